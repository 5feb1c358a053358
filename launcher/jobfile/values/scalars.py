"""From a node to a plain value of one type, or the error that points at the node."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import TypeVar

from launcher.errors import JobFileError
from launcher.jobfile.values.nodes import Items, Mapping, Node, Scalar

MOST_COMPARED = 200
MOST_LISTED = 50
"""How many known keys a wrong one is compared with, and how many are listed."""
S = TypeVar("S")
T = TypeVar("T")


class SeveralErrors(JobFileError):
    """Several values of one key are wrong."""

    def __init__(self, errors: list[JobFileError]) -> None:
        first = errors[0]
        super().__init__("", file=first.file, line=first.line, column=first.column, fix=first.fix)
        self.message, self.errors = first.message, errors


def each(values: Iterable[S], read: Callable[[S], T]) -> list[T]:
    """Return what ``read`` makes of each value; every one that is wrong is told."""
    result: list[T] = []
    errors: list[JobFileError] = []
    for value in values:
        try:
            result.append(read(value))
        except JobFileError as error:
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else SeveralErrors(errors)
    return result


def string(node: Node, label: str) -> str:
    """Return a scalar's text as it stands in the file; ``null`` and lists are refused."""
    if not isinstance(node, Scalar) or node.value is None:
        raise node.error(f"{label} must be text, not {node.kind}")
    return node.text


def boolean(node: Node, label: str) -> bool:
    """Return ``true`` or ``false``."""
    if not isinstance(node, Scalar) or not isinstance(node.value, bool):
        raise node.error(f"{label} must be true or false, not {node.kind}")
    return node.value


def parsed(node: Node, label: str, parse: Callable[[str], T]) -> T:
    """Return what ``parse`` makes of the node's text, its ``ValueError`` placed at the node."""
    text = string(node, label)
    try:
        return parse(text)
    except ValueError as error:
        raise node.error(f"{label}: {error}") from error


def items(node: Node, label: str) -> tuple[Node, ...]:
    """Return a list's items."""
    if not isinstance(node, Items):
        raise node.error(f"{label} must be a list, not {node.kind}")
    return node.items


def entries(node: Node, label: str) -> tuple[tuple[Scalar, Node], ...]:
    """Return a mapping's entries without the ``x-`` keys, which are for the reader of the file."""
    if not isinstance(node, Mapping):
        raise node.error(f"{label} must be a mapping (`key: value`), not {node.kind}")
    return tuple(entry for entry in node.entries if not entry[0].text.startswith("x-"))


def unknown(key: Scalar, known: Iterable[str], label: str) -> JobFileError:
    """Return the error for a key that is not known, with the nearest one that is."""
    names = sorted(known)
    close = names if len(names) <= MOST_COMPARED else []
    near = difflib.get_close_matches(key.text[:64].lower(), close, n=1, cutoff=0.6)
    hint = f" (did you mean `{near[0]}`?)" if near else ""
    fix = None if near or len(names) > MOST_LISTED else f"Known here: {', '.join(names)}."
    return key.error(f"`{key.text[:64]}` is not a key of {label}{hint}", fix=fix)
