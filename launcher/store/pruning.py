"""Deletes ended jobs. Their use is added up first, and their ids are recorded as deleted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

from launcher.core.jobs.pruning import day_of
from launcher.indices import runs
from launcher.store.rollups import add_usage
from launcher.store.sql import queries

_Q = queries()
MOST_RANGES = 100_000
"""The date is kept for this many ranges of deleted ids; older ranges lose it."""


def prune(db: sqlite3.Connection, pruned: Mapping[int, float]) -> None:
    """Delete these ended jobs and all their data, within the open transaction."""
    if not pruned:
        return
    rows = db.execute(_Q["jobs_to_prune"], (json.dumps(list(pruned)),)).fetchall()
    if not rows:
        return
    ids = json.dumps([row["id"] for row in rows])
    arrays = [row[0] for row in db.execute(_Q["arrays_of_jobs"], (ids,))]
    add_usage(db, rows)
    db.execute(_Q["delete_history"], (ids,))
    db.execute(_Q["delete_leases"], (ids,))
    db.execute(_Q["delete_attempts"], (ids,))
    db.execute(_Q["delete_jobs"], (ids,))
    gone = [row[0] for row in db.execute(_Q["delete_empty_arrays"], (json.dumps(arrays),))]
    _remember(db, [*(row["id"] for row in rows), *gone], max(pruned.values()))


def _remember(db: sqlite3.Connection, ids: list[int], at: float) -> None:
    """Record deleted ids, joined with those that were deleted earlier on the same day."""
    for first, last in runs(ids):
        before = db.execute(_Q["pruned_before"], (first,)).fetchone()
        joins = before and before["last"] == first - 1 and day_of(before["at"]) == day_of(at)
        db.execute(_Q["put_pruned"], (before["first"] if joins else first, last, at))
    db.execute(_Q["forget_pruned"], (MOST_RANGES,))
