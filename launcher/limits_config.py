"""The table ``[limits]`` of launcher.toml: how much one user may ask of the daemon at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from launcher.errors import ConfigError
from launcher.jobfile.units import parse_duration

TABLE = "limits"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one user may ask; times are seconds.

    ``connections`` and the times bind everybody, the rest everybody but admins: who repairs a
    machine must not be slowed, and who forgets to close connections must not stop it either.
    Each rate may be saved up: requests for ten seconds, the others for a minute.
    """

    #: Connections that are open at once, by uid.
    connections: int = 256
    #: Requests that stay open until something happens: follow, logs, wait.
    streams: int = 128
    requests_per_second: float = 50.0
    #: A body counts once more for every 64 KiB that it has.
    submits_per_minute: float = 300.0
    #: New jobs, the elements of arrays among them, and retried ones; five times as many may be
    #: held, released, edited or requeued.
    jobs_per_minute: float = 10_000.0
    #: From the connection to the whole head of the first request.
    head_time: float = 10.0
    #: From the head of a request to the end of its body.
    body_time: float = 30.0
    #: From an answer to the whole head of the next request; the answer must be taken meanwhile.
    idle_time: float = 60.0


DEFAULT_LIMITS = Limits()
"""The limits where launcher.toml says nothing."""


def limits_from(table: Any, file: object) -> Limits:
    """Return the limits of the table; raises ``ConfigError`` naming file, key and value."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{file}: {TABLE} is {table!r}, it must be a table ([{TABLE}])")
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _READ:
            raise ConfigError(
                f"{file}: unknown key {key!r} in [{TABLE}]", fix=f"Known: {', '.join(_READ)}"
            )
        try:
            found[key] = _READ[key](value)
        except ValueError as error:
            raise ConfigError(f"{file}: {TABLE}.{key} is {value!r}: {error}") from None
    return Limits(**found)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("it must be a whole number, 1 or more")
    return value


def _rate(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise ValueError("it must be a number above 0")
    return float(value)


def _time(value: Any) -> float:
    seconds = parse_duration(value if isinstance(value, str) else str(value))
    if seconds <= 0:
        raise ValueError("it must be more than nothing")
    return seconds


def _reader(name: str) -> Callable[[Any], Any]:
    if name.endswith("_time"):
        return _time
    return _rate if "_per_" in name else _count


_READ: dict[str, Callable[[Any], Any]] = {each.name: _reader(each.name) for each in fields(Limits)}
