"""Decodes JSON into the dataclasses of ``launcher.wire``, with the standard library only.

Unknown keys are ignored, so that an older client works with a newer daemon.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from functools import cache
from typing import Any, TypeVar

from launcher.errors import LauncherError

T = TypeVar("T")

_FIX = "`launch status` shows both versions; the launcher and its daemon may differ too much."


def decode(kind: type[T], value: Any) -> T:
    """Return ``value`` (parsed JSON) as ``kind``; raise ``LauncherError`` if it does not fit."""
    return typing.cast(T, _decode(kind, value))


def decode_list(kind: type[T], value: Any) -> list[T]:
    """Return a JSON array as a list of ``kind``."""
    if not isinstance(value, list):
        raise _misfit("a list", value)
    return [decode(kind, item) for item in value]


@cache
def _fields(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _decode(kind: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, value)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        kinds = [inner_kind for inner_kind in inner if inner_kind is not type(None)]
        return _decode(kinds[0], value) if len(kinds) == 1 else value
    if origin in (list, tuple) and isinstance(value, list):
        return origin(_decode(inner[0], item) for item in value)
    if origin is dict and isinstance(value, dict):
        return {key: _decode(inner[1], item) for key, item in value.items()}
    return _plain(kind, origin, value)


def _plain(kind: Any, origin: Any, value: Any) -> Any:
    if kind is Any or origin is typing.Literal:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    wanted = origin or kind
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is int):
        raise _misfit(wanted.__name__, value)
    return value


def _dataclass(kind: type, value: Any) -> Any:
    if not isinstance(value, dict):
        raise _misfit(kind.__name__, value)
    hints = _fields(kind)
    known = {name: _decode(hints[name], value[name]) for name in hints if name in value}
    try:
        return kind(**known)
    except TypeError as error:
        raise LauncherError(f"the daemon's reply is incomplete: {error}", fix=_FIX) from error


def _misfit(expected: str, value: Any) -> LauncherError:
    return LauncherError(
        f"the daemon's reply does not fit: expected {expected}, not {type(value).__name__}",
        fix=_FIX,
    )
