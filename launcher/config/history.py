"""The table ``[history]`` of launcher.toml: how long jobs and their logs are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from launcher.errors import ConfigError
from launcher.jobfile.values.units import parse_duration, parse_size
from launcher.toml_kinds import PositiveDuration, ReadBy

DAY = 86400.0
LEAST_SECONDS = 3600.0
LONGEST_SECONDS = 100 * 365 * DAY
NEVER = "never"
"""The word for no limit."""


def _age(value: Any) -> float | None:
    if value == NEVER:
        return None
    result = parse_duration(str(value), LONGEST_SECONDS)
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


_AgeOrNever = Annotated[float | None, ReadBy(_age)]
_SizeOrNever = Annotated[int | None, ReadBy(_size)]


@dataclass(frozen=True, slots=True)
class History:
    """How long jobs and their logs are kept after the end; None: they are never deleted."""

    keep: _AgeOrNever = 180 * DAY  #: jobs with attempts, history and logs, after their end
    keep_logs: _AgeOrNever = 60 * DAY  #: logs, after they were last written
    max_logs: _SizeOrNever = 50 * 2**30  #: all logs together; the oldest are deleted first
    #: all images that the launcher pulled together; the least recently used are removed first
    max_images: _SizeOrNever = None
    every: PositiveDuration = 3600.0  #: how often that is looked for


def with_jobs(history: History, table: Mapping[str, Any], file: object) -> History:
    """Return it with logs kept for no longer than jobs; ``ConfigError`` if ``table`` differs."""
    if history.keep is None or (history.keep_logs or LONGEST_SECONDS + 1) <= history.keep:
        return history
    if "keep_logs" in table:
        raise ConfigError(
            f"{file}: history.keep_logs is {table['keep_logs']!r}: it is longer than history.keep",
            fix="Logs are deleted with their jobs: raise keep, or lower keep_logs.",
        )
    return replace(history, keep_logs=history.keep)
