"""Reading a table of launcher.toml: every key has a reader, an unknown key is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from launcher.errors import ConfigError
from launcher.jobfile.values.units import parse_duration

Read = Callable[[Any], Any]
"""Returns the value that is meant; raises ``ValueError`` that says what it must be."""


def mapping(value: Any, where: str, file: object) -> Mapping[str, Any]:
    """Return a table; raises ``ConfigError`` for anything else."""
    if not isinstance(value, dict):
        raise ConfigError(f"{file}: {where} is {value!r}, it must be a table ([{where}])")
    return value


def read(value: Any, keys: Mapping[str, Read], where: str, file: object) -> dict[str, Any]:
    """Return what a table says, by key; raises ``ConfigError`` naming file, key and value."""
    result: dict[str, Any] = {}
    for key, each in mapping(value, where, file).items():
        if key not in keys:
            raise ConfigError(
                f"{file}: unknown key {key!r} in [{where}]", fix=f"Known: {', '.join(keys)}"
            )
        try:
            result[key] = keys[key](each)
        except ValueError as error:
            raise ConfigError(f"{file}: {where}.{key} is {each!r}: {error}") from None
    return result


def count(value: Any) -> int:
    """Return a whole number, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("it must be a whole number, 0 or more")
    return value


def seconds(value: Any) -> float:
    """Return a length of time; a number alone has no unit, and is refused."""
    return parse_duration(value if isinstance(value, str) else str(value))


def some_seconds(value: Any) -> float:
    """Return a length of time that is more than nothing."""
    result = seconds(value)
    if result <= 0:
        raise ValueError("it must be more than nothing")
    return result


def names(value: Any) -> tuple[str, ...]:
    """Return a list of names."""
    if not isinstance(value, list) or not all(isinstance(n, str) and n.strip() for n in value):
        raise ValueError("it must be a list of names")
    return tuple(value)
