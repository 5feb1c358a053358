"""The values of ``Client.map``: a command with placeholders becomes a matrix, with nothing reread.

A value reaches its element as it is: the daemon puts values into ``${key}`` and reads none of them
again. Text that looks like such a ``${key}`` is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Real
from typing import Any, TypeVar

from launcher.errors import UserError
from launcher.interpolation import KEY

V = TypeVar("V")
Command = str | Sequence[str] | Callable[[V], Sequence[str]]
Matrix = list[dict[str, str]]

ONLY_KEY = "value"
"""The key of values that are not mappings."""
_FUNCTION = "For full control pass a function: command=lambda value: [...]."


def matrix_of(
    command: Sequence[str] | Callable[[V], Sequence[str]], values: Sequence[V]
) -> tuple[tuple[str, ...], Matrix]:
    """Return the words of an array's command, and the matrix with a combination for each value.

    >>> matrix_of(["train", "--lr={}"], [0.1, 0.01])
    (('train', '--lr=${value}'), [{'value': '0.1'}, {'value': '0.01'}])
    >>> matrix_of(["echo", "{a} {c}"], [{"a": "${x}", "b": 2}])
    (('echo', '${a} {c}'), [{'a': '${x}', 'b': '2'}])
    >>> matrix_of(lambda value: ["echo", "x" * value], [1, 2])
    (('echo', '${word_1}'), [{'word_1': 'x'}, {'word_1': 'xx'}])
    """
    if callable(command):
        return _of_words(
            [_list_of(command(value), "what the function returns") for value in values]
        )
    words = _list_of(command, "the command")
    if isinstance(values[0], Mapping):
        matrix = [_combination(value, values[0]) for value in values]
        placeholders = {f"{{{key}}}": key for key in matrix[0]}
    else:
        matrix = [{ONLY_KEY: text(value)} for value in values]
        placeholders = {"{}": ONLY_KEY}
    pattern = re.compile("|".join(map(re.escape, placeholders)))
    if not any(map(pattern.search, words)):
        raise UserError(
            f"map: the command has no placeholder for its values: {' or '.join(placeholders)}",
            fix=_FUNCTION,
        )
    return tuple(_template(word, pattern, placeholders) for word in words), matrix


def literal(words: str, keys: Collection[str]) -> str:
    """Return a text that the daemon, with these keys, reads as the given one.

    >>> literal("${lr} ${HOME}", ["lr"])
    '$${lr} ${HOME}'
    """
    for key in keys:
        words = words.replace(f"${{{key}}}", f"$${{{key}}}")
    return words


def text(value: object) -> str:
    """Return a value as a program gets it; raises ``UserError`` for other types.

    >>> text("a b"), text(3), text(0.1)
    ('a b', '3', '0.1')
    """
    if isinstance(value, str | Real):  # NumPy's numbers are registered as Real
        return str(value)
    raise UserError(
        f"map: a value is a str, a number, or a dict of them, not {type(value).__name__}",
        fix=_FUNCTION,
    )


def _combination(value: object, first: Mapping[str, Any]) -> dict[str, str]:
    if not isinstance(value, Mapping) or value.keys() != first.keys():
        raise UserError(
            f"map: all values must be dicts with the same keys, {sorted(map(str, first))}"
        )
    for key in value:
        if not isinstance(key, str) or not KEY.fullmatch(key):
            raise UserError(
                f"map: {key!r} is not a valid key: use letters, digits and '_', no digit first"
            )
    if not value:
        raise UserError("map: a value is an empty dict")
    return {key: text(one) for key, one in value.items()}


def _template(word: str, pattern: re.Pattern[str], placeholders: Mapping[str, str]) -> str:
    keys = placeholders.values()
    result, end = "", 0
    for found in pattern.finditer(word):
        before = word[end : found.start()]
        if before.endswith("$"):  # a "$" cannot stand before the daemon's ${key}
            raise UserError(
                f"map: '${found.group()}' in the command could mean a variable of a shell, or a"
                " '$' before the value",
                fix=_FUNCTION,
            )
        result += f"{literal(before, keys)}${{{placeholders[found.group()]}}}"
        end = found.end()
    return result + literal(word[end:], keys)


def _of_words(commands: Sequence[list[str]]) -> tuple[tuple[str, ...], Matrix]:
    """Return commands as one, in which each word that differs is a key of the matrix."""
    counts = sorted({len(words) for words in commands})
    if len(counts) > 1:
        raise UserError(
            f"map: the function returned commands of {counts[0]} and of {counts[-1]} words",
            fix="The elements of an array have equally many words: pad them, or call map twice.",
        )
    columns = list(zip(*commands, strict=True))
    varying = [at for at, column in enumerate(columns) if len(set(column)) > 1]
    keys = [f"word_{at}" for at in varying] or ["word_0"]
    command = [literal(column[0], keys) for column in columns]
    for at in varying:
        command[at] = f"${{word_{at}}}"
    if not varying:
        return tuple(command), [{"word_0": ""} for _ in commands]
    return tuple(command), [{f"word_{at}": words[at] for at in varying} for words in commands]


def _list_of(words: Sequence[str], what: str) -> list[str]:
    if isinstance(words, str) or not all(isinstance(word, str) for word in words):
        raise UserError(f"map: {what} must be a list of str, the words of a command")
    return list(words)
