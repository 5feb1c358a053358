"""What deleted jobs used, added up by day: ``launch usage`` needs it after the jobs are gone."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from launcher.core.jobs.pruning import by_day, day_of
from launcher.core.model.gpu import share_mib
from launcher.core.model.job import wall_of
from launcher.core.model.use import CPU, wait_bucket
from launcher.store.sql import queries

_Q = queries()
MOST_NAMES = 100
"""This many pairs of image and name of a user are counted separately on one day."""
OTHER = "(other)"
"""The image and name under which further ones count together."""

Key = tuple[str, int, int, str, str, str, str, str]
"""Day, uid, gid, profile, image, name, outcome, reason: the primary key of ``usage``."""


@dataclass(slots=True)
class Rollup:
    """What is added to one row of ``usage``."""

    user: str
    jobs: int = 0
    seconds: float = 0.0
    gib_seconds: float = 0.0
    waits: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class HeldSpan:
    """One slice of one attempt, or the CPU slots of one (profile ``cpu``).

    Times are seconds since 1970, from grant to release.
    """

    profile: str
    start: float
    end: float
    gib: float
    units: int = 1


def add_usage(db: sqlite3.Connection, jobs: Iterable[sqlite3.Row]) -> None:
    """Add what these jobs used to the table ``usage``, within the open transaction."""
    result: dict[Key, Rollup] = {}
    for job in jobs:
        spans = list(_spans(db, job))
        ended = wall_of(job["ended_at"]) or job["ended"]
        profile = spans[-1].profile if spans else "-"
        end = _rollup(db, result, job, day_of(ended), profile)
        end.jobs += 1
        if spans:
            granted = spans[0].start
            end.waits[wait_bucket(granted - _eligible(job, granted))] += 1
        for span in spans:
            for day, seconds in by_day(span.start, span.end):
                part = _rollup(db, result, job, day, span.profile)
                part.seconds += seconds * span.units
                part.gib_seconds += seconds * span.gib
    for key, rollup in result.items():
        before = db.execute(_Q["usage_waits"], key).fetchone()
        waits = rollup.waits + waits_from(before["waits"] if before else "{}")
        row = (rollup.user, rollup.jobs, rollup.seconds, rollup.gib_seconds, json.dumps(waits))
        db.execute(_Q["add_usage"], (*key, *row))


def waits_from(text: str) -> Counter[int]:
    """Return a stored histogram of waiting times."""
    return Counter({int(seconds): count for seconds, count in json.loads(text).items()})


def _eligible(job: sqlite3.Row, granted: float) -> float:
    """Return when the job could start at the earliest; times are seconds since 1970.

    A start time after the first grant is that of a later attempt: the pause before a retry.
    """
    submitted, begin = float(job["submitted_at"]), float(job["begin_at"] or 0.0)
    return max(submitted, begin) if begin <= granted else submitted


def _rollup(
    db: sqlite3.Connection, result: dict[Key, Rollup], job: sqlite3.Row, day: str, profile: str
) -> Rollup:
    image, name = _names(db, result, job, day)
    key = (day, job["uid"], job["gid"], profile, image, name, job["outcome"], job["reason"])
    return result.setdefault(key, Rollup(job["user"]))


def _spans(db: sqlite3.Connection, job: sqlite3.Row) -> Iterator[HeldSpan]:
    """Yield what the attempts of a job held, first to last."""
    for row in db.execute(_Q["uses_of_job"], (job["id"],)):
        start, profile = row["granted_at"], row["profile"]
        if profile is None:
            slots = int(json.loads(job["need"]).get("count", 1))
            yield HeldSpan(CPU, start, max(start, wall_of(row["ended_at"]) or start), 0.0, slots)
        else:
            gib = share_mib(profile, row["memory_mib"]) / 1024
            yield HeldSpan(profile, start, max(start, row["released_at"] or start), gib)


def _names(
    db: sqlite3.Connection, result: dict[Key, Rollup], job: sqlite3.Row, day: str
) -> tuple[str, str]:
    """Return the image and name under which a job counts: a user cannot fill the table."""
    pair = (job["image"], job["name"])
    known = {key[4:6] for key in result if key[:2] == (day, job["uid"])}
    if pair in known:
        return pair
    known |= {tuple(row) for row in db.execute(_Q["usage_of_day"], (day, job["uid"]))}
    return pair if pair in known or len(known) < MOST_NAMES else (OTHER, OTHER)
