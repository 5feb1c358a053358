"""YAML text -> a tree of values that know where they stood.

Built from PyYAML's events, not its documents: tags, duplicate keys, deep nesting and second
documents are refused where they begin, before anything is built from them. What an alias repeats
counts as if it stood there. Scalars follow YAML 1.2's core schema, and a number with a leading zero
stays text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from launcher.errors import JobFileError

MAX_DEPTH = 20
MAX_BYTES = 256 * 1024
MAX_NODES = 20_000
"""As many as five thousand short jobs need, and few enough to be read within 50 ms."""
SMALLER = (
    "Make jobs that are alike with `array` or `matrix`, or write several files: one submit takes"
    " them together."
)

UNUSABLE = re.compile("[\0\ud800-\udfff]")
"""What no argument or variable of a program can hold."""
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_OCTAL_HEX = re.compile(r"0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]{1,30}|(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{0,30})?)(?:[eE][-+]?[0-9]{1,3})?"
)
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_REFUSED = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
    # What ends a line for YAML and for no editor, what turns a line around, what is not seen.
    "|[\u2028-\u202e\u2066-\u2069\ufeff]"
)
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Node:
    """A value of the file and where it stood (line and column from 1)."""

    file: str
    line: int
    column: int

    kind = "nothing"

    def where(self) -> tuple[str, int, int]:
        """Return the file, line and column: what another node at this place begins with."""
        return self.file, self.line, self.column

    def place(self) -> str:
        """Return where it stood, for people."""
        return f"{self.file}:{self.line}:{self.column}"

    def error(self, message: str, *, fix: str | None = None) -> JobFileError:
        """Return the error that points here."""
        return JobFileError(message, file=self.file, line=self.line, column=self.column, fix=fix)


@dataclass(slots=True)
class Scalar(Node):
    """One word or text: its value by YAML 1.2, and the text as it stands in the file."""

    value: bool | int | float | str | None
    text: str

    @property
    def kind(self) -> str:  # type: ignore[override]
        """What people call this."""
        if self.value is None:
            return "empty"
        if isinstance(self.value, bool):
            return "true or false"
        return "text" if isinstance(self.value, str) else "a number"


@dataclass(slots=True)
class Items(Node):
    """A list."""

    items: tuple[Node, ...]
    kind = "a list"


@dataclass(slots=True)
class Mapping(Node):
    """A mapping with its keys in the file's order, each key once."""

    entries: tuple[tuple[Scalar, Node], ...]
    kind = "a mapping"


def scalar_value(text: str) -> bool | int | float | str | None:
    """Return what an unquoted scalar means by YAML 1.2; ``010``, ``on``, ``12:30`` are text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL_HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def read_node(text: str, file: str) -> Node:
    """Return the tree of the one document in ``text``."""
    match = _REFUSED.search(text)
    if match:
        line, column = _line_column(text, match.start())
        code = ord(match.group())
        raise JobFileError(
            f"the character U+{code:04X} is not allowed", file=file, line=line, column=column
        )
    try:
        return _Builder(file).build(yaml.parse(text, Loader=_LOADER))
    except yaml.YAMLError as error:
        raise _syntax_error(error, file) from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise JobFileError("this is not valid YAML", file=file, line=1, column=1) from error


def _line_column(text: str, index: int) -> tuple[int, int]:
    before = text[:index]
    return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1


def _syntax_error(error: yaml.YAMLError, file: str) -> JobFileError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "a mistake"
    context = getattr(error, "context", None)
    said = f"{problem} ({context})" if context else str(problem)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    fix = "YAML indents with spaces, never with tabs." if "'\\t'" in said else None
    return JobFileError(
        f"this is not valid YAML: {said}", file=file, line=line, column=column, fix=fix
    )


@dataclass(frozen=True, slots=True)
class _Anchored:
    """What an anchor names, and what an alias of it counts as."""

    node: Node
    nodes: int
    letters: int
    levels: int


class _Builder:
    """Builds the tree from events; one level of Python calls per level of the file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.nodes = 0
        self.letters = 0
        self.deepest = 0
        self.anchors: dict[str, _Anchored | None] = {}
        """None while the node that an anchor names is read."""

    def build(self, events: Iterator[Any]) -> Node:
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise self._error(
                        event,
                        "a second document begins here: write several jobs"
                        " under `jobs:`, or several files",
                    )
                root = self._node(next(events), events, 1)
        return root if root is not None else Scalar(self.file, 1, 1, None, "")

    def _error(self, event: Any, message: str, *, fix: str | None = None) -> JobFileError:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        return JobFileError(message, file=self.file, line=line, column=column, fix=fix)

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        if event.anchor is None:
            return self._new_node(event, events, depth)
        nodes, letters, deepest = self.nodes, self.letters, self.deepest
        self.deepest = depth
        self.anchors[event.anchor] = None
        node = self._new_node(event, events, depth)
        self.anchors[event.anchor] = _Anchored(
            node, self.nodes - nodes, self.letters - letters, self.deepest - depth
        )
        self.deepest = max(self.deepest, deepest)
        return node

    def _alias(self, event: Any, depth: int) -> Node:
        anchored = self.anchors.get(event.anchor)
        if anchored is None:
            inside = event.anchor in self.anchors
            where = "stands inside what it names" if inside else "has no anchor before it"
            raise self._error(event, f"the alias *{event.anchor} {where}")
        self._count(event, anchored.nodes, anchored.letters, depth + anchored.levels)
        return anchored.node

    def _new_node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        if event.tag is not None:
            raise self._error(event, f"tags ({event.tag}) are not allowed here")
        scalar = isinstance(event, yaml.ScalarEvent)
        self._count(event, 1, len(event.value) if scalar else 0, depth)
        where = (self.file, event.start_mark.line + 1, event.start_mark.column + 1)
        if scalar:
            value = event.value if event.style else scalar_value(event.value)
            return Scalar(*where, value, self._text(event))
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(inner := next(events), yaml.SequenceEndEvent):
                items.append(self._node(inner, events, depth + 1))
            return Items(*where, tuple(items))
        return Mapping(*where, self._entries(events, depth))

    def _entries(self, events: Iterator[Any], depth: int) -> tuple[tuple[Scalar, Node], ...]:
        entries: dict[str, tuple[Scalar, Node]] = {}
        merged: Node | None = None
        while not isinstance(inner := next(events), yaml.MappingEndEvent):
            key = self._node(inner, events, depth + 1)
            if not isinstance(key, Scalar):
                raise key.error("a key must be one word")
            if key.text in entries or (key.text == "<<" and merged is not None):
                first = entries[key.text][0].line if key.text in entries else key.line
                raise key.error(f"the key `{key.text}` is there twice (first in line {first})")
            value = self._node(next(events), events, depth + 1)
            if key.text == "<<" and isinstance(inner, yaml.ScalarEvent) and not inner.style:
                merged = value
            else:
                entries[key.text] = (key, value)
        return tuple((_merged(merged) | entries if merged else entries).values())

    def _count(self, event: Any, nodes: int, letters: int, depth: int) -> None:
        self.nodes += nodes
        self.letters += letters
        self.deepest = max(self.deepest, depth)
        if depth > MAX_DEPTH:
            raise self._error(event, f"this is nested more than {MAX_DEPTH} levels deep")
        if self.nodes > MAX_NODES:
            said = f"the file has more than {MAX_NODES} values"
            raise self._error(event, said, fix=SMALLER)
        if self.letters > MAX_BYTES:
            said = f"with what its aliases repeat the file is over {MAX_BYTES // 1024} KiB"
            raise self._error(event, said, fix=SMALLER)

    def _text(self, event: Any) -> str:
        text: str = event.value
        if UNUSABLE.search(text):
            raise self._error(event, "this text holds a character that no program can be given")
        return text


def _merged(value: Node) -> dict[str, tuple[Scalar, Node]]:
    """Return the entries that a merge key adds; of several mappings the first wins."""
    result: dict[str, tuple[Scalar, Node]] = {}
    for mapping in value.items if isinstance(value, Items) else (value,):
        if not isinstance(mapping, Mapping):
            raise mapping.error(f"a merge key (<<) takes mappings, not {mapping.kind}")
        for entry in mapping.entries:
            result.setdefault(entry[0].text, entry)
    return result
