"""The table ``[limits]`` of launcher.toml: how much one user may ask of the daemon at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from launcher.config.tables import Read, count, read, some_seconds

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
    #: Of the time of the daemon's event loop; a user above it waits while others want the loop.
    loop_share: float = 0.1
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
    return Limits(**read(table, _READ, TABLE, file))


def _some(value: Any) -> int:
    if count(value) == 0:
        raise ValueError("it must be a whole number, 1 or more")
    return int(value)


def _rate(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise ValueError("it must be a number above 0")
    return float(value)


def _share(value: Any) -> float:
    if _rate(value) > 1:
        raise ValueError("it must be a number above 0, and 1 at most")
    return float(value)


def _reader(name: str) -> Read:
    if name.endswith("_time"):
        return some_seconds
    if name.endswith("_share"):
        return _share
    return _rate if "_per_" in name else _some


_READ: dict[str, Read] = {each.name: _reader(each.name) for each in fields(Limits)}
