"""The words for what a job waits for: how other jobs must end, and a time to begin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.jobfile.values.units import parse_duration

if TYPE_CHECKING:
    from datetime import datetime

CONDITIONS = {
    "service_completed_successfully": "afterok",
    "afterok": "afterok",
    "afternotok": "afternotok",
    "afterany": "afterany",
}
"""Compose's word and Slurm's, to what the daemon is asked."""


_JOB = re.compile(r"\d{1,18}(?:\[\d{1,10}\])?", re.ASCII)


def condition(word: str) -> str:
    """Return the condition of a word; ``ValueError`` names those there are."""
    if word in ("service_started", "service_healthy"):
        raise ValueError(f"'{word}' is for services; a job waits for the other's end: afterok")
    if word not in CONDITIONS:
        raise ValueError(f"'{word[:40]}' is not known: write {', '.join(CONDITIONS)}")
    return CONDITIONS[word]


def is_job(text: str) -> bool:
    """Whether a text is the id of a job or array, or ``12[3]``, an element of one."""
    return _JOB.fullmatch(text) is not None


def parse_dependency(text: str) -> dict[str, str]:
    """Return what Slurm's ``afterok:12:13,afterany:14`` asks; ``12`` alone means afterok.

    ``12[3]`` is one element of an array, ``12`` all of it.

    >>> parse_dependency("afterok:12:13,afterany:14[3]")
    {'12': 'afterok', '13': 'afterok', '14[3]': 'afterany'}
    """
    result: dict[str, str] = {}
    for part in text.split(","):
        words = part.strip().split(":")
        plain = words[0][:1].isdecimal()
        how, jobs = ("afterok", words) if plain else (condition(words[0]), words[1:])
        if not jobs or not all(is_job(job) for job in jobs):
            raise ValueError(
                f"'{part[:40]}' names no job: write afterok:12, afterok:12:13,"
                " or afterok:12[3] for one element of an array"
            )
        result |= dict.fromkeys(jobs, how)
    return result


def parse_begin(text: str, now: datetime | None = None) -> str:
    """Return RFC 3339 of a moment: itself, without a zone local time, or ``+2h`` from now."""
    from datetime import UTC, datetime, timedelta

    word = text.strip()
    now = now or datetime.now(UTC)
    if word.startswith(("+", "now+")):
        return _rfc3339(now + timedelta(seconds=parse_duration(word.partition("+")[2])))
    try:
        result = datetime.fromisoformat(word)
    except ValueError:
        raise ValueError(
            f"'{text[:40]}' is not a valid time: write 2026-12-01T02:00 (local time),"
            " 2026-12-01T02:00:00Z or +2h"
        ) from None
    return _rfc3339(result.astimezone(UTC))


def parse_moment(text: str, now: datetime | None = None) -> float:
    """Return seconds since 1970 of a moment, or of a time ago (``10m``); no zone is local time."""
    from datetime import UTC, datetime

    word = text.strip()
    try:
        return (now or datetime.now(UTC)).timestamp() - parse_duration(word)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(word).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(
            f"'{text[:40]}' is not a valid time: write 10m (ago), 2026-12-01T02:00 (local time)"
            " or 2026-12-01T02:00:00Z"
        ) from None


def _rfc3339(moment: datetime) -> str:
    from datetime import UTC

    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
