"""Deletes ended jobs. Their use is added up first, and their ids are recorded as deleted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping

from launcher.core.jobs.pruning import UsageRow, by_day, day_of
from launcher.core.model.job import wall_of
from launcher.indices import runs
from launcher.store.sql import queries

_Q = queries()
MOST_RANGES = 100_000
"""The date is kept for this many ranges of deleted ids; older ranges lose it."""
MOST_IMAGES = 100
"""This many images of a user are counted separately on one day; the others together."""
OTHER_IMAGES = "(other)"

Key = tuple[str, int, str, str, str]
"""Day, uid, profile, image, outcome: the primary key of ``usage``."""


def prune(db: sqlite3.Connection, pruned: Mapping[int, float]) -> None:
    """Delete these ended jobs and all their data, within the open transaction."""
    if not pruned:
        return
    rows = db.execute(_Q["jobs_to_prune"], (json.dumps(list(pruned)),)).fetchall()
    if not rows:
        return
    ids = json.dumps([row["id"] for row in rows])
    arrays = [row[0] for row in db.execute(_Q["arrays_of_jobs"], (ids,))]
    _add_usage(db, rows)
    db.execute(_Q["delete_history"], (ids,))
    db.execute(_Q["delete_leases"], (ids,))
    db.execute(_Q["delete_attempts"], (ids,))
    db.execute(_Q["delete_jobs"], (ids,))
    gone = [row[0] for row in db.execute(_Q["delete_empty_arrays"], (json.dumps(arrays),))]
    _remember(db, [*(row["id"] for row in rows), *gone], max(pruned.values()))


def _add_usage(db: sqlite3.Connection, jobs: Iterable[sqlite3.Row]) -> None:
    """Add what these jobs used to the table ``usage``."""
    users: dict[int, str] = {}
    result: dict[Key, tuple[int, float]] = {}
    for row in jobs:
        users[row["uid"]] = row["user"]
        for day, profile, ended, seconds in _used(db, row):
            image = _image(db, day, row["uid"], row["image"], result)
            key = (day, row["uid"], profile, image, row["outcome"])
            before = result.get(key, (0, 0.0))
            result[key] = before[0] + ended, before[1] + seconds
    db.executemany(
        _Q["add_usage"],
        [(*key, users[key[1]], ended, seconds) for key, (ended, seconds) in result.items()],
    )


def _used(db: sqlite3.Connection, job: sqlite3.Row) -> Iterator[tuple[str, str, int, float]]:
    """Yield day, profile, number of ended jobs, and seconds; the job once, on its last day."""
    uses = list(_uses(db, job))
    last = max(uses, key=lambda use: use.end, default=UsageRow("", job["ended"], job["ended"]))
    yield day_of(last.end), last.profile, 1, 0.0
    for use in uses:
        for day, seconds in by_day(use.start, use.end):
            yield day, use.profile, 0, seconds * use.units


def _uses(db: sqlite3.Connection, job: sqlite3.Row) -> Iterator[UsageRow]:
    """Yield the use of each attempt of a job; as for the fair share, until its container ended."""
    slots = int(json.loads(job["need"]).get("count", 1))
    for row in db.execute(_Q["uses_of_job"], (job["id"],)):
        start, profile = row["granted_at"], row["profile"]
        ended = wall_of(row["ended_at"])
        ends = [end for end in (ended, row["released_at"]) if end is not None]
        units = 1 if profile is not None else slots
        yield UsageRow(profile or "cpu", start, max(start, min(ends, default=start)), units)


def _image(db: sqlite3.Connection, day: str, uid: int, image: str, keys: Iterable[Key]) -> str:
    """Return the name under which an image counts, so that a user cannot fill the table."""
    known = {key[3] for key in keys if key[:2] == (day, uid)}
    if image in known:
        return image
    known |= {row[0] for row in db.execute(_Q["usage_images"], (day, uid))}
    return image if image in known or len(known) < MOST_IMAGES else OTHER_IMAGES


def _remember(db: sqlite3.Connection, ids: list[int], at: float) -> None:
    """Record deleted ids, joined with those that were deleted earlier on the same day."""
    for first, last in runs(ids):
        before = db.execute(_Q["pruned_before"], (first,)).fetchone()
        joins = before and before["last"] == first - 1 and day_of(before["at"]) == day_of(at)
        db.execute(_Q["put_pruned"], (before["first"] if joins else first, last, at))
    db.execute(_Q["forget_pruned"], (MOST_RANGES,))
