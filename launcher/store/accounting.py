"""``launch usage``: sums over the leases of a period, of deleted jobs over their roll-ups.

Each query reads its table once and groups there: a million leases take about a second, and a
million ended jobs two. That is done in parts, on several connections at once.
"""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from queue import SimpleQueue
from typing import Any

from launcher.core.jobs.pruning import by_day, day_of, seconds_of_day
from launcher.core.model.gpu import share_mib
from launcher.core.model.use import CPU, Profiles, UsageSum, wait_bucket
from launcher.store.rollups import waits_from
from launcher.store.sql import queries

_Q = queries()
DAY_SECONDS = 86400
PARTS = 3
"""The ended jobs are read in this many parts; what all jobs held, which takes less, is a fourth."""
_OF_JOB = {"user": "j.user", "group": "j.gid", "image": "j.image", "name": "j.name"}
BY = (*_OF_JOB, "profile", "day")
"""What sums can be grouped by."""

_LEASES = """
SELECT {key} AS key, l.profile, l.memory_mib, l.start, l.end, SUM(l.end - l.start) AS seconds
FROM (
    SELECT job, attempt, slice_uuid, profile, memory_mib, MAX(granted_at, :since) AS start,
        MIN(COALESCE(released_at, :now), :until) AS end
    FROM leases
    WHERE granted_at < :until AND COALESCE(released_at, :now) > MAX(:since, granted_at)
) l {of_jobs}
GROUP BY {group}, l.profile, l.memory_mib"""
_OF_JOBS = "CROSS JOIN jobs j ON j.id = l.job WHERE :uid IS NULL OR j.uid = :uid"
"""CROSS JOIN: the leases are read in their order, whatever SQLite knows of the tables."""
_SAME_DAY = "CAST(l.start / 86400 AS INT) = CAST(l.end / 86400 AS INT)"
_DAY = f"CASE WHEN {_SAME_DAY} THEN date(l.start, 'unixepoch')"
_DAY_OF_LEASE = f"{_DAY} END", f"{_DAY} ELSE l.job || ' ' || l.attempt || l.slice_uuid END"
"""Leases of one day are summed up; the others are few, as a slice has one lease at a time."""
_CPU_ATTEMPTS = """
SELECT {key} AS key, MAX(a.granted_at, :since) AS start, MIN(COALESCE(a.end, :now), :until) AS end,
    COALESCE(json_extract(j.need, '$.count'), 1) AS slots
FROM (
    SELECT job, number, granted_at, (julianday(ended_at) - 2440587.5) * 86400.0 AS end
    FROM attempts WHERE slices = '[]'
) a JOIN jobs j ON j.id = a.job
WHERE a.granted_at < :until AND (:uid IS NULL OR j.uid = :uid)
AND (
    a.end > MAX(:since, a.granted_at)
    OR (a.end IS NULL AND j.state NOT IN ('PENDING', 'DONE') AND j.attempt = a.number)
)"""
"""An attempt without an end that is over, because it did not start or was lost, counts nothing."""
_LAST_EVENT = """COALESCE(
    (SELECT at FROM history WHERE job = j.id ORDER BY seq DESC LIMIT 1), j.submitted_at
)"""
_ENDS = """
SELECT key, outcome, reason, SUM(jobs),
    json_group_object(wait, jobs) FILTER (WHERE wait IS NOT NULL)
FROM (SELECT key, outcome, reason, CASE
    WHEN wait < 100 THEN CAST(wait AS INT)
    WHEN wait < 1000 THEN CAST(wait / 10 AS INT) * 10
    WHEN wait < 10000 THEN CAST(wait / 100 AS INT) * 100
    ELSE CAST(wait / 1000 AS INT) * 1000
END AS wait, COUNT(*) AS jobs FROM (
    SELECT {key} AS key, j.outcome, COALESCE(j.reason, '') AS reason,
        MAX(0, a.granted_at - MAX(j.submitted_at, IIF(j.begin_at <= a.granted_at, j.begin_at, 0)))
            AS wait
    FROM jobs j NOT INDEXED LEFT JOIN attempts a ON a.job = j.id AND a.number = 1
    WHERE j.id BETWEEN :first AND :last AND j.state = 'DONE' AND (:uid IS NULL OR j.uid = :uid)
    AND CASE
        WHEN j.ended_at IS NOT NULL THEN j.ended_at >= :since_text AND j.ended_at < :until_text
        ELSE {last_event} >= :since AND {last_event} < :until
    END
) GROUP BY 1, 2, 3, 4) GROUP BY 1, 2, 3"""
"""Counted by SQLite, which lets other threads of the daemon run meanwhile: for each row that Python
takes it waits for its turn among them, so the waiting times of a group are one row."""
_RUNNING = """
SELECT {key} AS key, COUNT(*) AS jobs FROM jobs j INDEXED BY jobs_live
WHERE j.state <> 'DONE' AND j.state <> 'PENDING' AND (:uid IS NULL OR j.uid = :uid)
GROUP BY 1"""
_PROFILE_OF_JOB = """COALESCE(
    (SELECT profile FROM leases WHERE job = j.id ORDER BY attempt DESC, slice_uuid DESC LIMIT 1),
    CASE WHEN j.attempt > 0 THEN 'cpu' ELSE '-' END
)"""
_OF_ENDED = {**_OF_JOB, "profile": _PROFILE_OF_JOB}
_DAY_OF_END = f"COALESCE(substr(j.ended_at, 1, 10), date({_LAST_EVENT}, 'unixepoch'))"


@dataclass(frozen=True, slots=True)
class Period:
    """The time that is asked about, in seconds since 1970; ``until`` is at most ``now``."""

    since: float
    until: float
    now: float


@dataclass(slots=True)
class Usage:
    """The sums of a period by group, and the capacity's changes.

    ``whole_days``: the period was extended to whole days (UTC), as only the day is known of what
    deleted jobs used.
    """

    period: Period
    groups: dict[str, UsageSum] = field(default_factory=dict)
    capacity: list[tuple[float, Profiles]] = field(default_factory=list)
    whole_days: bool = False

    def of(self, key: object) -> UsageSum:
        """Return the sums of a group, new ones for a new group."""
        name = str(key)
        sums = self.groups.get(name)
        if sums is None:
            sums = self.groups[name] = UsageSum()
        return sums

    def add(self, other: Usage) -> None:
        """Add the groups of another part of the same period."""
        for name, sums in other.groups.items():
            self.of(name).add(sums)


def usage(
    connections: Sequence[sqlite3.Connection], period: Period, by: str, uid: int | None
) -> Usage:
    """Return what jobs used in a period; of one user, or of all.

    The connections read the same state of the database, each in a thread of its own.
    """
    db = connections[0]
    asked, period = period, _extended(db, period, uid)
    result, spare = Usage(period), SimpleQueue[sqlite3.Connection]()
    result.whole_days = period != asked
    for each in connections:
        spare.put(each)

    def read(part: Callable[[sqlite3.Connection], Usage]) -> Usage:
        connection = spare.get()
        try:
            return part(connection)
        finally:
            spare.put(connection)

    parts = [partial(_held, period=period, by=by, uid=uid)]
    parts += [partial(_ended, period=period, by=by, uid=uid, ids=ids) for ids in _parts(db)]
    with ThreadPoolExecutor(len(connections), "usage") as threads:
        for found in threads.map(read, parts):
            result.add(found)
    _add_running(db, result, period, by, uid)
    _add_rollups(db, result, period, by, uid)
    result.capacity = _capacity(db, period)
    return result


def _extended(db: sqlite3.Connection, period: Period, uid: int | None) -> Period:
    """Return a period with the whole of its first and last day if these have roll-ups."""
    first, last = _days(period)
    since, until = period.since, period.until
    if _has_rollups(db, first, uid):
        since = seconds_of_day(first)
    if _has_rollups(db, last, uid):
        until = min(period.now, seconds_of_day(last) + DAY_SECONDS)
    return Period(since, max(until, period.until), period.now)


def _days(period: Period) -> tuple[str, str]:
    """Return the first and last day of a period; one until midnight ends the day before."""
    last = day_of(period.until)
    if seconds_of_day(last) == period.until:
        last = day_of(period.until - DAY_SECONDS)
    return day_of(period.since), last


def _has_rollups(db: sqlite3.Connection, day: str, uid: int | None) -> bool:
    found = db.execute(_Q["has_usage"], {"day": day, "uid": uid}).fetchone()
    return bool(found[0])


def _capacity(db: sqlite3.Connection, period: Period) -> list[tuple[float, Profiles]]:
    """Return the changes of the capacity that count in a period, oldest first.

    After the clock was set back, a later change can have an earlier time: it replaces those that
    were recorded before it for times after its own.
    """
    steps: list[tuple[float, str]] = []
    for at, slices in db.execute(_Q["capacity_before"], {"until": period.until}):
        while steps and steps[-1][0] >= at:
            steps.pop()
        steps.append((at, slices))
    first = max(0, bisect_right(steps, period.since, key=lambda step: step[0]) - 1)
    return [
        (at, {name: (n, mib) for name, (n, mib) in json.loads(slices).items()})
        for at, slices in steps[first:]
    ]


def _parts(db: sqlite3.Connection) -> list[tuple[int, int]]:
    """Return ranges of all job ids, both ends included."""
    first, last = db.execute("SELECT MIN(id), MAX(id) FROM jobs").fetchone()
    if first is None:
        return []
    size = (last - first) // PARTS + 1
    return [(start, start + size - 1) for start in range(first, last + 1, size)]


def _held(db: sqlite3.Connection, period: Period, by: str, uid: int | None) -> Usage:
    """Return what jobs held: slices, and CPU slots."""
    result = Usage(period)
    _add_leases(db, result, period, by, uid)
    _add_cpu_attempts(db, result, period, by, uid)
    return result


def _values(period: Period, uid: int | None) -> dict[str, object]:
    return {"since": period.since, "until": period.until, "now": period.now, "uid": uid}


def _add_leases(
    db: sqlite3.Connection, result: Usage, period: Period, by: str, uid: int | None
) -> None:
    key = {**_OF_JOB, "profile": "l.profile"}.get(by)
    key, group = _DAY_OF_LEASE if key is None else (key, "1")
    of_jobs = _OF_JOBS if by in _OF_JOB or uid is not None else ""
    query = _LEASES.format(key=key, group=group, of_jobs=of_jobs)
    for row in db.execute(query, _values(period, uid)):
        gib = share_mib(row["profile"], row["memory_mib"]) / 1024
        for name, seconds in _by_key(row, row["seconds"]):
            sums = result.of(name)
            sums.slice_seconds += seconds
            sums.gib_seconds += seconds * gib


def _add_cpu_attempts(
    db: sqlite3.Connection, result: Usage, period: Period, by: str, uid: int | None
) -> None:
    key = {**_OF_JOB, "profile": f"'{CPU}'"}.get(by, "NULL")
    for row in db.execute(_CPU_ATTEMPTS.format(key=key), _values(period, uid)):
        for name, seconds in _by_key(row, row["end"] - row["start"]):
            result.of(name).slot_seconds += seconds * row["slots"]


def _by_key(row: sqlite3.Row, seconds: float) -> Iterator[tuple[str, float]]:
    """Yield group and seconds of a row; one without a group is split by days."""
    if row["key"] is not None:
        yield str(row["key"]), seconds
    else:
        yield from by_day(row["start"], row["end"])


def _ended(
    db: sqlite3.Connection, period: Period, by: str, uid: int | None, ids: tuple[int, int]
) -> Usage:
    """Return how the jobs with ids in a range ended, and how long they had waited."""
    result = Usage(period)
    values = _values(period, uid) | {"first": ids[0], "last": ids[1]}
    values |= {"since_text": _as_text(period.since), "until_text": _as_text(period.until)}
    query = _ENDS.format(key=_OF_ENDED.get(by, _DAY_OF_END), last_event=_LAST_EVENT)
    cursor = db.cursor()
    cursor.row_factory = None
    for group, outcome, reason, jobs, waits in cursor.execute(query, values):
        sums = result.of(group)
        sums.ends[outcome, reason] += jobs
        for wait, count in waits_from(waits).items():
            sums.waits[wait_bucket(wait) if wait > 99_999 else wait] += count
    return result


def _add_running(
    db: sqlite3.Connection, result: Usage, period: Period, by: str, uid: int | None
) -> None:
    if period.until >= period.now:
        key = _OF_ENDED.get(by, "date(:now, 'unixepoch')")
        for row in db.execute(_RUNNING.format(key=key), _values(period, uid)):
            result.of(row["key"]).running += row["jobs"]


def _as_text(seconds: float) -> str:
    """Return a time so that it can be compared with ``ended_at`` as text."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _add_rollups(
    db: sqlite3.Connection, result: Usage, period: Period, by: str, uid: int | None
) -> None:
    first, last = _days(period)
    column = {"group": "gid"}.get(by, by)
    for row in db.execute(_Q["usage"], {"first": first, "last": last, "uid": uid}):
        sums = result.of(row[column])
        if row["profile"] == CPU:
            sums.slot_seconds += row["seconds"]
        else:
            sums.slice_seconds += row["seconds"]
            sums.gib_seconds += row["gib_seconds"]
        if row["jobs"]:
            sums.ends[row["outcome"], row["reason"]] += row["jobs"]
        sums.waits.update(waits_from(row["waits"]))


def jobs_used(
    db: sqlite3.Connection,
    period: Period,
    after: int,
    most: int,
    *,
    uid: int | None = None,
    user: str | None = None,
) -> list[dict[str, Any]]:
    """Return what the next jobs by id used that ran in a period, by the names of the columns.

    Jobs that ended before ``since`` or started after ``until`` are left out.
    """
    values = _values(period, uid) | {"after": after, "most": most, "user": user}
    values["since_text"] = _as_text(period.since)
    return [dict(row) for row in db.execute(_Q["jobs_used"], values)]
