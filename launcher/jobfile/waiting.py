"""The words for what a job waits for: how other jobs must end, and a time to begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.jobfile.units import parse_duration

if TYPE_CHECKING:
    from datetime import datetime

CONDITIONS = {
    "service_completed_successfully": "afterok",
    "afterok": "afterok",
    "afternotok": "afternotok",
    "afterany": "afterany",
}
"""Compose's word and Slurm's, to what the daemon is asked."""


def condition(word: str) -> str:
    """Return the condition of a word; ``ValueError`` names those there are."""
    if word in ("service_started", "service_healthy"):
        raise ValueError(f"'{word}' is for services; a job waits for the other's end: afterok")
    if word not in CONDITIONS:
        raise ValueError(f"'{word[:40]}' is not known: write {', '.join(CONDITIONS)}")
    return CONDITIONS[word]


def parse_dependency(text: str) -> dict[str, str]:
    """Return what Slurm's ``afterok:12:13,afterany:14`` asks; ``12`` alone means afterok.

    >>> parse_dependency("afterok:12:13,afterany:14")
    {'12': 'afterok', '13': 'afterok', '14': 'afterany'}
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        words = part.strip().split(":")
        how, jobs = ("afterok", words) if words[0].isdecimal() else (condition(words[0]), words[1:])
        if not jobs or not all(job.isdecimal() for job in jobs):
            raise ValueError(f"'{part}' names no job: write afterok:12 or afterok:12:13")
        found |= dict.fromkeys(jobs, how)
    return found


def parse_begin(text: str, now: datetime | None = None) -> str:
    """Return RFC 3339 of a moment: itself, without a zone local time, or ``+2h`` from now."""
    from datetime import UTC, datetime, timedelta

    word = text.strip()
    now = now or datetime.now(UTC)
    if word.startswith(("+", "now+")):
        return _rfc3339(now + timedelta(seconds=parse_duration(word.partition("+")[2])))
    try:
        found = datetime.fromisoformat(word)
    except ValueError:
        raise ValueError(
            f"'{text[:40]}' is no moment: write 2026-12-01T02:00 (local time),"
            " 2026-12-01T02:00:00Z or +2h"
        ) from None
    return _rfc3339(found.astimezone(UTC))


def _rfc3339(moment: datetime) -> str:
    from datetime import UTC

    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
