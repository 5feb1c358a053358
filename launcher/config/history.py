"""The table ``[history]`` of launcher.toml: how long jobs and their logs are kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from launcher.config.tables import Read, read, some_seconds
from launcher.errors import ConfigError
from launcher.jobfile.values.units import parse_duration, parse_size

TABLE = "history"
DAY = 86400.0
LEAST_SECONDS = 3600.0
LONGEST_SECONDS = 100 * 365 * DAY
NEVER = "never"
"""The word for no limit."""


@dataclass(frozen=True, slots=True)
class History:
    """How long jobs and their logs are kept after the end; None: they are never deleted."""

    #: Jobs with all that is on record of them, in seconds.
    keep: float | None = 180 * DAY
    #: The logs of jobs, in seconds.
    keep_logs: float | None = 60 * DAY
    #: The logs of all jobs together, in bytes; the oldest are deleted first.
    max_logs: int | None = 50 * 2**30
    #: How often what is too old is looked for, in seconds.
    every: float = 3600.0


DEFAULT_HISTORY = History()
"""The history where launcher.toml says nothing."""


def history_from(table: Any, file: object) -> History:
    """Return what the table says; raises ``ConfigError`` naming file, key and value."""
    history = History(**read(table, _READ, TABLE, file))
    if history.keep is not None and (history.keep_logs or LONGEST_SECONDS + 1) > history.keep:
        if "keep_logs" in table:
            raise ConfigError(
                f"{file}: history.keep_logs is {table['keep_logs']!r}, longer than history.keep",
                fix="Logs are deleted with their jobs: raise keep, or lower keep_logs.",
            )
        history = replace(history, keep_logs=history.keep)
    return history


def _length(value: Any) -> float | None:
    if value == NEVER:
        return None
    result = parse_duration(value if isinstance(value, str) else str(value), LONGEST_SECONDS)
    if result < LEAST_SECONDS:
        raise ValueError(f"it must be an hour or more, or {NEVER!r}")
    return result


def _size(value: Any) -> int | None:
    if value == NEVER:
        return None
    result = parse_size(str(value)) if not isinstance(value, bool) else 0
    if result <= 0:
        raise ValueError(f"it must be a size such as '50g', or {NEVER!r}")
    return result


_READ: dict[str, Read] = {
    "keep": _length,
    "keep_logs": _length,
    "max_logs": _size,
    "every": some_seconds,
}
