"""Reads launcher.toml into dataclasses by pydantic, and words its errors for people."""

from __future__ import annotations

import bisect
import functools
import itertools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, SchemaValidator

from launcher.errors import ConfigError

MOST_BYTES = 2**20
"""The largest configuration file that is read."""
SEARCHED_BYTES, MOST_PARSED = 2**16, 100
"""The line of a fault is not told if the file is larger, or if the search parses it more often."""
MOST_SHOWN = 200
_WORDS = {
    "int": "it must be a whole number",
    "float": "it must be a number",
    "bool": "it must be true or false",
    "string": "it must be text",
    "path": "it must be a path",
    "dict": "it must be a table ([{where}])",
    "dataclass": "it must be a table ([{where}])",
    "greater_than": "it must be more than {gt:g}",
    "greater_than_equal": "it must be {ge:g} or more",
    "less_than": "it must be less than {lt:,.0f}",
    "less_than_equal": "it must be {le:g} or less",
}
"""The words of an error, by pydantic's type of it or the first part of that."""
_LIMITS: dict[str, dict[str, Any]] = {
    "int": {"lt": 2**63},
    "float": {"lt": 1e12, "allow_inf_nan": False},
    "dataclass-args": {"extra_behavior": "forbid"},
}


def file_text(file: Path, *, required: bool) -> str:
    """Return what a configuration file holds; nothing where it is missing and not required."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ConfigError(f"cannot read {file}: it is larger than {MOST_BYTES >> 20} MiB")
        return content.decode()
    except FileNotFoundError:
        if not required:
            return ""
        raise ConfigError(
            f"there is no configuration file {file}",
            fix="Make it, or leave out --config and LAUNCHER_CONFIG.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from error


def parse(text: str, file: object) -> dict[str, Any]:
    """Return the values of a text in TOML; raises ``ConfigError`` that names line and column."""
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from error
    except RecursionError:
        raise ConfigError(f"{file}: its values are nested too deeply") from None


def read(kind: Any, values: Mapping[str, Any], file: object, text: str) -> Any:
    """Return the dataclass ``kind`` of the values of a file.

    Raises ``ConfigError`` for the first fault, with its line in ``text``.
    """
    try:
        return _validator(kind, strict=True).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    path = [str(part) for part in itertools.takewhile(lambda p: isinstance(p, str), first["loc"])]
    if of_name := path[-1] == "[key]":
        path.pop()
    line = line_of(text, path)
    place = f"{file}:{line}" if line else f"{file}"
    *tables, key = path
    if first["type"] == "unexpected_keyword_argument":
        within = f" in [{'.'.join(tables)}]" if tables else ""
        known = ", ".join(_known(kind, tables))
        raise ConfigError(f"{place}: unknown key {key!r}{within}", fix=f"Known: {known}")
    where = ".".join(path)
    value = functools.reduce(lambda table, part: table[part], path, values)
    shown = "" if of_name else f" is {_shown(value)}"
    raise ConfigError(f"{place}: {where}{shown}: {_words(first, where)}")


def read_word(kind: Any, word: Any, name: str) -> Any:
    """Return the value of a variable or a flag; raises ``ConfigError`` that names it."""
    try:
        return _validator(kind, strict=False).validate_python(word)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    raise ConfigError(f"{name} is {_shown(word)}: {_words(first, name)}")


@functools.cache
def _validator(kind: Any, *, strict: bool) -> SchemaValidator:
    """Return the validator of a type; ``strict`` accepts no text as a number or boolean."""

    def limited(schema: Any) -> Any:
        if isinstance(schema, list):
            return [limited(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        made = {key: limited(each) for key, each in schema.items()}
        name = made["type"] if isinstance(made.get("type"), str) else ""
        scalar = {"strict": strict} if name in ("int", "float", "bool") else {}
        return scalar | _LIMITS.get(name, {}) | made

    return SchemaValidator(limited(TypeAdapter(kind).core_schema))


def _words(error: ErrorDetails, where: str) -> str:
    """Return what the value must be."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if words := _WORDS.get(kind) or _WORDS.get(kind.partition("_")[0]):
        return words.format(**context, where=where)
    return error["msg"].replace("Input should", "it must")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return "too large to show"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _known(kind: Any, tables: Sequence[str]) -> Iterator[str]:
    """Yield the keys of a table; a key that is a table itself as its header."""
    for table in tables:
        kind = get_type_hints(kind)[table] if is_dataclass(kind) else get_args(kind)[1]
    hints = get_type_hints(kind)
    for name in (each.name for each in fields(kind)):
        hint = hints[name]
        is_table = is_dataclass(get_args(hint)[1] if get_origin(hint) is Mapping else hint)
        yield f"[{'.'.join((*tables, name))}]" if is_table else name


def line_of(text: str, path: Sequence[str]) -> int | None:
    """Return the line of a key or table, counted from 1; None if it is not known.

    tomllib tells no lines: the text up to this line lacks the key, with its statement it has it.
    """
    lines = text.split("\n")

    @functools.cache
    def values(count: int) -> dict[str, Any] | None:
        try:
            return tomllib.loads("\n".join(lines[:count]) + "\n")
        except ValueError:
            return None

    def whole(count: int) -> tuple[int, dict[str, Any]]:
        """Return how many of the first ``count`` lines are whole statements, and their values."""
        while values.cache_info().misses <= MOST_PARSED:
            if (found := values(count)) is not None:
                return count, found
            count -= 1
        raise LookupError

    if len(text) > SEARCHED_BYTES or not _has(tomllib.loads(text), path):
        return None
    try:
        last = bisect.bisect_left(
            range(len(lines)), True, key=lambda count: _has(whole(count)[1], path)
        )
        return whole(last - 1)[0] + 1
    except LookupError:
        return None


def _has(values: Any, path: Sequence[str]) -> bool:
    for part in path:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True
