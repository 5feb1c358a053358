"""Env files as Compose reads them (the ``dotenv`` package of compose-go).

``KEY=value``, ``KEY: value``, ``export KEY=value``, and ``KEY`` alone for the caller's own value.
A value without quotes ends with its line or before `` #``; quoted ones may have several lines.
Variables are replaced, except between single quotes, from the caller's variables and from earlier
lines; between double quotes escapes are, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from launcher.jobfile.variables.substitution import Variables

_SPACE = "\t\v\f\r \x85\xa0"
"""What is space within a line; what else ends a line for Unicode does not end one here."""
_ANY_SPACE = (
    _SPACE + "\n\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
)
"""What Go's ``unicode.IsSpace`` names: it is skipped between variables and ends no line."""
_KEY = re.compile(rf"(?:export[{_SPACE}]+)?([\w.\-\[\]{_SPACE}]*)")
# No group is possessive: those match wrongly up to Python 3.11.4 (CPython gh-106052).
_QUOTED = re.compile(r"""'((?:[^'\\]++|\\.)*)'|"((?:[^"\\]++|\\.)*)\"""", re.DOTALL)
_ESCAPE = re.compile(r"""\\(?:(?P<letter>[abfnrtv$"\\])|0(?P<octal>[0-3][0-7]{2}))""")
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "$": "$$"}


class EnvFileError(ValueError):
    """A line of an env file cannot be read."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Line:
    """A variable of an env file, and the line where it begins."""

    number: int
    name: str
    value: str


def read(text: str, variables: Variables) -> Iterator[Line]:
    """Yield the variables of an env file; ``variables`` looks up values in earlier lines too."""
    at, number, counted = 0, 1, 0
    while True:
        at = _next_statement(text, at)
        number, counted = number + text.count("\n", counted, at), at
        if at == len(text):
            return
        key, at = _key(text, at, number)
        if at == len(text) or text[at] == "\n":
            value = variables.lookup(key)
            if value is not None:
                yield Line(number, key, value)
            continue
        while (at := at + 1) < len(text) and text[at] in _SPACE:
            pass
        try:
            value, at = _value(text, at, variables)
        except EnvFileError:
            raise
        except ValueError as error:
            raise EnvFileError(number, str(error)) from error
        yield Line(number, key, value)


def _next_statement(text: str, at: int) -> int:
    """Return where the next variable begins, after space and comments."""
    while at < len(text):
        if text[at] == "#":
            at = _line_end(text, at)
        elif text[at] in _ANY_SPACE:
            at += 1
        else:
            break
    return at


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _key(text: str, at: int, number: int) -> tuple[str, int]:
    """Return a name, and where the ``=``, ``:`` or line end after it stands."""
    match = _KEY.match(text, at)
    end = at if match is None else match.end()
    if match is None or (end < len(text) and text[end] not in "=:\n"):
        line = text[at : _line_end(text, at)]
        raise EnvFileError(number, f"'{line[:60]}' is not a variable: write NAME=value")
    key = match[1].strip(_SPACE)
    if not key:
        raise EnvFileError(number, "there is no name before the value: write NAME=value")
    if " " in key:
        raise EnvFileError(number, f"the name '{key[:60]}' has a space in it: write NAME=value")
    return key, end


def _value(text: str, at: int, variables: Variables) -> tuple[str, int]:
    if text[at : at + 1] not in ("'", '"'):
        end = _line_end(text, at)
        value = text[at:end].partition(" #")[0].rstrip(_ANY_SPACE)
        return variables.substitute(value), end
    match = _QUOTED.match(text, at)
    if match is None:
        raise ValueError(f"the quote {text[at]} is not closed")
    end = match.end()
    if end < len(text) and text[end] not in f"#\n{_SPACE}":
        rest = text[end : _line_end(text, end)]
        raise ValueError(f"'{rest[:40]}' stands directly after the closing quote {text[at]}")
    if match[1] is not None:
        return match[1].replace("\\'", "'"), end
    return variables.substitute(_ESCAPE.sub(_escaped, match[2])), end


def _escaped(match: re.Match[str]) -> str:
    if match["octal"]:
        return chr(int(match["octal"], 8))
    return _LETTERS.get(match["letter"], match["letter"])
