"""The words for what a job waits for: how other jobs must end, and a time to begin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.jobfile.values.units import parse_duration
from launcher.spec.conditions import CONDITIONS, parse_condition

if TYPE_CHECKING:
    from datetime import datetime

COMPOSE = {"service_completed_successfully": "afterok", "service_started": "after"}
"""Compose's words, to what the daemon is asked."""


_FROM_NOW = re.compile(
    r"now|now\+(?P<plain>\d{1,9})"
    r"|(?:now)?\+(?:(?P<count>\d{1,9})(?P<unit>second|minute|hour|day|week)s?|(?P<length>.+))",
    re.ASCII,
)
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}
_TIME_OF_DAY = re.compile(r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?", re.ASCII)
_OF_DAY = {"midnight": "00:00", "noon": "12:00"}
_JOB = re.compile(r"\d{1,18}(?:\[\d{1,10}\])?", re.ASCII)
_SLURM_ELEMENT = re.compile(r"(\d{1,18})_(\d{1,10})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Waits:
    """What a job waits for, as the fields of a job have it."""

    depends_on: dict[str, str]
    depends_any: bool = False
    singleton: bool = False


def condition(word: str) -> str:
    """Return the condition of a word; ``ValueError`` names those there are."""
    if word == "service_healthy":
        raise ValueError("'service_healthy' is for services, jobs have no health: write after")
    word = COMPOSE.get(word, word)
    if word not in CONDITIONS:
        known = ", ".join((*COMPOSE, *CONDITIONS))
        raise ValueError(f"'{word[:40]}' is not known: write {known}")
    return word


def is_job(text: str) -> bool:
    """Whether a text is the id of a job or array, or ``12[3]``, an element of one."""
    return _JOB.fullmatch(text) is not None


def parse_dependency(text: str) -> Waits:
    """Return what Slurm's ``afterok:12:13,afterany:14`` asks; ``12`` alone means afterok.

    ``12[3]`` is one element of an array, ``12`` all of it. ``after:12+10`` is ten minutes after the
    start of 12, ``singleton`` the end of earlier jobs of the same name. With ``?`` instead of the
    commas one of them suffices.

    >>> parse_dependency("afterok:12:13,afterany:14[3]").depends_on
    {'12': 'afterok', '13': 'afterok', '14[3]': 'afterany'}
    """
    if "?" in text and "," in text:
        raise ValueError("a dependency has commas (all of them) or ? (one of them), not both")
    parts = [part.strip() for part in re.split("[,?]", text)]
    others = [part for part in parts if part != "singleton"]
    if "?" in text and len(others) < len(parts):
        raise ValueError("singleton cannot be one of several (?): write it with a comma")
    result: dict[str, str] = {}
    for part in others:
        for job, how in _jobs_of(part):
            if job in result:
                raise ValueError(f"'{text[:80]}' names {job} twice")
            result[job] = how
    return Waits(result, "?" in text, len(others) < len(parts))


def _jobs_of(part: str) -> Iterator[tuple[str, str]]:
    """Yield (job, condition) of ``afterok:12:13``, one part of a dependency."""
    words = part.split(":")
    plain = words[0][:1].isdecimal()
    how, jobs = ("afterok", words) if plain else (condition(words[0]), words[1:])
    if not jobs:
        raise ValueError(_no_job(part))
    for word in jobs:
        job, plus, minutes = word.partition("+")
        job = _SLURM_ELEMENT.sub(r"\1[\2]", job) if _SLURM_ELEMENT.fullmatch(job) else job
        if not is_job(job):
            raise ValueError(_no_job(part))
        if plus and how != "after":
            raise ValueError(f"'{part[:40]}': minutes (+{minutes[:10]}) go with after:{job}")
        delayed = f"{how}{plus}{minutes}"
        parse_condition(delayed)
        yield job, delayed


def _no_job(part: str) -> str:
    return (
        f"'{part[:40]}' names no job: write its id, as in afterok:12, afterok:12:13,"
        " or afterok:12[3] for one element of an array"
    )


def parse_begin(text: str, now: datetime | None = None) -> str:
    """Return RFC 3339 of a moment: ISO 8601, Slurm's words, or ``+2h`` from now.

    Slurm's (sbatch(1), ``--begin``): ``16:00``, ``noon``, ``midnight``, ``today``, ``tomorrow``,
    ``now+1hour``. Without a zone a moment is local time; a time of day is the next one.
    """
    from datetime import UTC, datetime

    word = text.strip()
    now = now or datetime.now(UTC)
    result = _relative(word, now) or _named(word.lower(), now.astimezone())
    if result is None:
        try:
            result = in_utc(datetime.fromisoformat(word))
        except OverflowError:
            raise ValueError(f"'{text[:40]}' is too far away") from None
        except ValueError as error:
            if "local time" in str(error):
                raise
            raise ValueError(
                f"'{text[:40]}' is not a valid time: write 2026-12-01T02:00 (local time),"
                " 2026-12-01T02:00:00Z, 16:00, tomorrow or +2h"
            ) from None
    return _rfc3339(result)


def parse_end(text: str) -> str:
    """As ``parse_begin``; a time of day is returned as it is: which day is told by the begin."""
    word = text.strip().lower()
    if word in _OF_DAY or _TIME_OF_DAY.fullmatch(word):
        return word
    return parse_begin(text)


def _relative(word: str, now: datetime) -> datetime | None:
    from datetime import timedelta

    match = _FROM_NOW.fullmatch(word.lower())
    if match is None:
        return None
    if match["length"]:
        return now + timedelta(seconds=parse_duration(match["length"]))
    seconds = int(match["count"] or match["plain"] or 0) * _UNITS[match["unit"] or "second"]
    return now + timedelta(seconds=parse_duration(f"{seconds}s"))


def _named(word: str, now: datetime) -> datetime | None:
    """Return the next time of day, or the moment of a word; ``now`` is local time."""
    from datetime import datetime, time, timedelta

    if word in ("today", "tomorrow"):  # sbatch: the present time of that day
        return in_utc(now.replace(tzinfo=None) + timedelta(days=word == "tomorrow"))
    word = _OF_DAY.get(word, word)
    if not _TIME_OF_DAY.fullmatch(word):
        return None
    at = time.fromisoformat(word.zfill(5) if word.count(":") == 1 else word.zfill(8))
    day = now.date() if at > now.time() else now.date() + timedelta(days=1)
    return in_utc(datetime.combine(day, at))


def in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC; without a zone it is local time.

    Raises ``ValueError`` for a local time that a change of the clocks leaves out or repeats.
    """
    from datetime import UTC

    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    first, second = (moment.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    here = first.astimezone().replace(tzinfo=None, fold=0)
    if here != moment.replace(fold=0):
        raise ValueError(
            f"'{moment:%Y-%m-%dT%H:%M}' is left out of local time, as the clocks are set forward:"
            f" write {_rfc3339(first)} or {_rfc3339(second)}"
        )
    if first != second:
        raise ValueError(
            f"'{moment:%Y-%m-%dT%H:%M}' is there twice in local time, as the clocks are set back:"
            f" write {_rfc3339(first)} or {_rfc3339(second)}"
        )
    return first


def parse_moment(text: str, now: datetime | None = None) -> float:
    """Return seconds since 1970 of a moment, or of a time ago (``10m``); no zone is local time."""
    from datetime import UTC, datetime

    word = text.strip()
    try:
        return (now or datetime.now(UTC)).timestamp() - parse_duration(word)
    except ValueError:
        pass
    try:
        seconds = in_utc(datetime.fromisoformat(word)).timestamp()
    except (ValueError, OverflowError) as error:
        if "local time" in str(error):
            raise
        raise ValueError(
            f"'{text[:40]}' is not a valid time: write 10m (ago), 2026-12-01T02:00 (local time)"
            " or 2026-12-01T02:00:00Z"
        ) from None
    if seconds < 0:
        raise ValueError(f"'{text[:40]}' is before 1970")
    return seconds


def _rfc3339(moment: datetime) -> str:
    from datetime import UTC

    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
