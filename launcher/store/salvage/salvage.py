"""Reads what is left of a damaged database, row by row, into a new one.

SQLite is tried first, from both ends of each table. If it fails, the file's pages are searched for
the rows of jobs. What cannot be understood is counted and left out.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from launcher.core.model.job import Job
from launcher.core.model.layout_change import OpResult, OpState
from launcher.spec.gpus import GpuKind
from launcher.store.rows import layout_rows, rows
from launcher.store.rows.job_rows import JobReader
from launcher.store.salvage.pages import Pages
from launcher.store.sql import queries

TABLES = (
    "meta", "arrays", "jobs", "attempts", "leases", "quarantines", "drains", "made", "layouts",
    "uses", "reservations", "private_images", "public_images", "own_images", "pulled_images",
    "pulls", "pruned", "usage", "capacity", "events", "notify_targets",
    "notify_failures", "history", "audit",
)  # fmt: skip
SINCE = {
    "audit": 7, "private_images": 8, "public_images": 11, "pulls": 11, "pruned": 15,
    "own_images": 17, "usage": 20, "capacity": 20, "events": 20, "pulled_images": 20,
    "notify_targets": 21, "notify_failures": 21,
}  # fmt: skip
"""The schema that added a table, if a file of an older schema may lack it."""
FROM_PAGES: Mapping[str, tuple[int, ...]] = {
    "jobs": (2, 1, 1, 1), "arrays": (2,), "attempts": (6, 1), "leases": (), "history": (),
}  # fmt: skip
"""The tables whose rows are searched in the file's pages and recognised by their number of columns;
migrations appended this many, the last one first, which older rows lack."""
UNREADABLE = (sqlite3.Error, UnicodeError)
HIGHEST_ID = 1 << 53
LATEST = 1e11
"""A time in the year 5138, as seconds since 1970; nothing waits or runs for longer."""
_OF_JOB = {"jobs": "id", "arrays": "id", "attempts": "job", "leases": "job", "history": "job"}


@dataclass(slots=True)
class Salvaged:
    """How much was read. ``whole``: SQLite read everything without an error."""

    counts: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    highest: int = 0
    """The highest id of a job or array seen."""
    whole: bool = True
    unasked: int = 0
    """How many waiting or running elements have lost their array's template."""


class Salvage:
    """Copies the rows of one file into one new database with the present schema."""

    def __init__(self, source: Path, into: sqlite3.Connection) -> None:
        self._source, self._into = source, into
        self._old = sqlite3.connect(source, isolation_level=None)
        self.salvaged = Salvaged()
        schema = next(self._until_damage("PRAGMA user_version"), (max(SINCE.values()),))
        self._version = int(schema[0])

    def run(self) -> Salvaged:
        """Copy everything readable, and leave out what is inconsistent."""
        with contextlib.closing(self._old):
            return self._run()

    def _run(self) -> Salvaged:
        self._into.execute("PRAGMA foreign_keys = OFF")
        self._into.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            self._copy(table)
        self._sequence()
        if not self.salvaged.whole:
            self._copy_from_pages()
        self._delete_invalid_rows()
        self._remove_inconsistent()
        self._into.execute("COMMIT")
        self._into.execute("PRAGMA foreign_keys = ON")
        return self.salvaged

    def _copy(self, table: str) -> None:
        old = [row[1] for row in self._until_damage(f"PRAGMA table_info({table})")]
        if not old:
            self.salvaged.whole = self.salvaged.whole and self._version < SINCE.get(table, 0)
            return
        new = _columns(self._into, table)
        shared = [name for name in old if name in new]
        for row in self._rows(table, shared):
            self._insert(table, shared, tuple(row))

    def _rows(self, table: str, columns: list[str]) -> Iterator[Any]:
        """Yield rows from the front and, if that fails, from the back."""
        # A table's own tree, never an index: that may be damaged too, or hide rows.
        chosen = f"SELECT {', '.join(columns)} FROM {table} NOT INDEXED"
        if not (yield from self._until_damage(chosen)):
            self.salvaged.whole = False
            order = ", ".join(f"{key} DESC" for key in _keys(self._into, table))
            yield from self._until_damage(f"{chosen} ORDER BY {order}")

    def _until_damage(self, query: str) -> Generator[Any, None, bool]:
        try:
            yield from self._old.execute(query)
        except UNREADABLE:
            return False
        return True

    def _insert(self, table: str, columns: list[str], values: tuple[Any, ...]) -> None:
        if key := _OF_JOB.get(table):
            number = dict(zip(columns, values, strict=True)).get(key)
            if not isinstance(number, int) or not 0 < number < HIGHEST_ID:
                return self._count_unusable(table)
            self.salvaged.highest = max(self.salvaged.highest, number)
        marks = ", ".join("?" * len(columns))
        text = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"
        try:
            self._into.execute(text, values)
        except (*UNREADABLE, OverflowError):
            self._count_unusable(table)
        return None

    def _count_unusable(self, table: str, count: int = 1) -> None:
        self.salvaged.left[table] = self.salvaged.left.get(table, 0) + count
        self.salvaged.whole = False

    def _sequence(self) -> None:
        for row in self._until_damage("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'"):
            if isinstance(row[0], int) and row[0] < HIGHEST_ID:
                self.salvaged.highest = max(self.salvaged.highest, row[0])

    def _copy_from_pages(self) -> None:
        """Copy the rows that SQLite did not find from the file itself.

        If a row is there twice, the one that is further in its lifecycle is the newer one.
        """
        columns = {table: _columns(self._into, table) for table in FROM_PAGES}
        keys = {table: len(_keys(self._into, table)) for table in FROM_PAGES}
        # Of these tables, those whose key is one column have a rowid, which is that column.
        shapes = {
            (keys[table] == 1, len(columns[table]) - lacking): table
            for table, appended in FROM_PAGES.items()
            for lacking in itertools.accumulate(appended, initial=0)
        }
        best: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        wal = self._source.with_name(f"{self._source.name}-wal")
        for rowid, values in Pages(self._source, wal).rows():
            table = shapes.get((rowid is not None, len(values)))
            if table is None or isinstance(values[0], str):  # sqlite_schema looks like history
                continue
            row = values if rowid is None else (rowid, *values[1:])
            key, names = (table, *row[: keys[table]]), columns[table]
            if key not in best or _progress(names, row) > _progress(names, best[key]):
                best[key] = row
        for (table, *_), row in best.items():
            self._insert(table, columns[table][: len(row)], row)

    def _delete_invalid_rows(self) -> None:
        """Delete the rows that no reader of the store understands."""
        readers: dict[str, Callable[[sqlite3.Row], object]] = {
            "jobs": _plausible_job,
            "attempts": rows.attempt_from,
            "leases": rows.lease_from,
            "layouts": layout_rows.from_row,
            "drains": rows.drain_from,
            "reservations": rows.reservation_from,
        }
        for table, read in readers.items():
            keys = _keys(self._into, table)
            for row in self._into.execute(f"SELECT * FROM {table}").fetchall():
                try:
                    read(row)
                except (ValueError, TypeError, KeyError, IndexError):
                    self._count_unusable(table)
                    where = " AND ".join(f"{key} = ?" for key in keys)
                    values = tuple(row[key] for key in keys)
                    self._into.execute(f"DELETE FROM {table} WHERE {where}", values)

    def _remove_inconsistent(self) -> None:
        """Leave out references to missing jobs; create the missing arrays."""
        db = self._into
        for table in ("attempts", "leases", "history"):
            gone = db.execute(f"DELETE FROM {table} WHERE job NOT IN (SELECT id FROM jobs)")
            if gone.rowcount:
                self._count_unusable(table, gone.rowcount)
        db.execute(
            "UPDATE leases SET released_at = granted_at "
            "WHERE released_at IS NULL AND (job, attempt) NOT IN "
            "(SELECT id, attempt FROM jobs WHERE state NOT IN ('PENDING', 'DONE'))"
        )
        db.execute(
            "INSERT INTO arrays (id, uid, gid, user, name, size, indices) "
            "SELECT array_id, uid, gid, user, name, COUNT(*), '' FROM jobs "
            "WHERE array_id IS NOT NULL AND array_id NOT IN (SELECT id FROM arrays) "
            "GROUP BY array_id"
        )
        (self.salvaged.unasked,) = db.execute(
            "SELECT COUNT(*) FROM jobs j JOIN arrays a ON a.id = j.array_id "
            "WHERE j.spec = '' AND j.state <> 'DONE' AND a.template IS NULL"
        ).fetchone()
        for row in db.execute(queries()["open_layouts"]).fetchall():
            op = layout_rows.from_row(row)
            op.state, op.result, op.ended_at = OpState.DONE, OpResult.FAILED, op.asked_at
            op.message = "the database was rebuilt meanwhile"
            db.execute(queries()["put_layout"], layout_rows.row(op))
        for table in TABLES:
            (count,) = db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
            self.salvaged.counts[table] = count


def _plausible_job(row: sqlite3.Row) -> Job:
    """Return the job of a row; raises ``ValueError`` if its values cannot be a job's."""
    job = JobReader().job(row)
    times = (job.submitted_at, job.begin, job.started_wall, job.stop_asked)
    whole = (
        all(at is None or 0.0 <= at < LATEST for at in times)
        and all(s is None or 0.0 < s < LATEST for s in (job.time_limit, job.idle_timeout))
        and 0.0 <= job.stop_grace < LATEST
        and 0 <= job.kept_bytes < 1 << 31
        and 0 <= job.attempt < 1 << 31
        and 0 < job.need.count < 1 << 31
        and job.need.kind in get_args(GpuKind)
        and abs(job.priority) < 1 << 31
        and (job.warn is None or 0.0 <= job.warn.before < LATEST)
        and (job.retries is None or 0 <= job.retries.max < 1 << 31)
    )
    if not whole:
        raise ValueError("its values cannot be a job's")
    return job


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


def _keys(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[5]]


_COME = ("PENDING", "STARTING", "RUNNING", "COMPLETING", "DONE")


def _progress(columns: list[str], row: tuple[Any, ...]) -> tuple[int, int, int]:
    """Return how far a row is in its lifecycle; attempts and leases gain values until they end."""
    named = dict(zip(columns, row, strict=False))
    state, attempt = named.get("state"), named.get("attempt")
    return (
        attempt if isinstance(attempt, int) else -1,
        _COME.index(state) if state in _COME else -1,
        sum(value is not None for value in row),
    )
