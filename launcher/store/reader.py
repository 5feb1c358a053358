"""Reads for users: ended jobs, specs, attempts and histories, on a connection of its own."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from launcher.core.messages.changes import AuditLine
from launcher.core.messages.published import PublishedEvent
from launcher.core.messages.requests import Prunable
from launcher.core.model.arrays import Array
from launcher.core.model.job import Job
from launcher.core.model.layout_change import LayoutOp
from launcher.core.model.lease import Attempt
from launcher.core.model.measurement import PastRun
from launcher.core.policy.settings import Settings
from launcher.core.world.world import World
from launcher.store.accounting import Period, Usage, jobs_used, usage
from launcher.store.connect import FILE_NAME, check, connect, explained, same_state
from launcher.store.copying import copy_database
from launcher.store.load import LIVE, load
from launcher.store.rows import audit_rows as audit
from launcher.store.rows import event_rows, rows
from launcher.store.rows import layout_rows as layouts
from launcher.store.rows.job_rows import JobReader
from launcher.store.rows.rows import Stored
from launcher.store.sql import queries

_Q = queries()
MOST_LOOKED_AT = 1000
"""Of so many completed jobs of a name those are searched that were measured."""


class Reader:
    """A read-only view of the store; sees only what is committed, not what is only decided."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        with explained(self._path):
            self._db = connect(self._path, read_only=True)
        self._beside: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the connections."""
        self._db.close()
        if self._beside is not None:
            self._beside.close()

    def _rows(self, query: str, *values: Any, **named: Any) -> list[Any]:
        with explained(self._path):
            return self._db.execute(_Q[query], named or values).fetchall()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the database, whatever is committed meanwhile."""
        with explained(self._path):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

    def rows(self, query: str, *values: Any, **named: Any) -> list[Any]:
        """Return the rows of a named query, for the other reads of this package."""
        return self._rows(query, *values, **named)

    def _jobs(self, values: Iterable[Any]) -> list[Job]:
        reading = JobReader()
        return [reading.job(row) for row in values]

    def job(self, job_id: int) -> Job | None:
        """Return a job, ended or not."""
        return next(iter(self._jobs(self._rows("job", job_id))), None)

    def jobs_after(self, job_id: int, most: int) -> list[Job]:
        """Return the next jobs, ended or not, by id."""
        return self._jobs(self._rows("jobs_after", job_id, most))

    def jobs_between(
        self, first: int, last: int, uid: int | None = None, most: int = -1
    ) -> list[Job]:
        """Return the first jobs and elements of arrays with these ids, both ends included, by id.

        Of one user, or of all; at most ``most``, -1 for no limit.
        """
        if uid is None:
            jobs = self._jobs(self._rows("jobs_between", first, last, most))
        else:
            jobs = self._jobs(self._rows("jobs_between_of_user", uid, first, last, most))
        elements = self._rows("elements_of", first=first, last=last, uid=uid, most=most)
        if elements:
            jobs = list({job.id: job for job in [*jobs, *self._jobs(elements)]}.values())
            jobs.sort(key=lambda job: job.id)
        return jobs if most < 0 else jobs[:most]

    def owners_between(self, first: int, last: int) -> dict[int, int]:
        """Return the uids of the jobs with these ids, both ends included."""
        return {row["id"]: row["uid"] for row in self._rows("owners_between", first, last)}

    def world(self, cpu_slots: int, rules: Settings) -> World:
        """Return a separate world of what is committed, which a caller may change."""
        with self.snapshot():
            store = str(self._db.execute(_Q["get_meta"], ("store",)).fetchone()[0])
            return load(self._db, store, cpu_slots, rules)

    def medians(self, uid: int | None = None) -> dict[tuple[int, str], float]:
        """Return the median seconds of completed jobs by (uid, name); of one user, or of all.

        The last 100,000 ids count, so that a long history costs no more.
        """
        rows = self._rows("medians", uid)
        return {(row["uid"], row["name"]): row["seconds"] for row in rows}

    def past_runs(
        self, since: str, most: int, *, uid: int | None = None, user: str | None = None
    ) -> list[PastRun]:
        """Return the last attempts of ended jobs that ran, newest first, with what they used.

        At most ``most`` of the last 100,000 ids that ended after ``since`` (RFC 3339); of one
        user, by uid or by name, or of all.
        """
        values = {"since": since, "most": most, "uid": uid, "user": user}
        return [rows.past_run_from(row) for row in self._rows("past_runs", **values)]

    def past_runs_of_name(self, uid: int, name: str, since: str, most: int) -> list[PastRun]:
        """As ``past_runs``, of the newest ``most`` jobs of a user with this name."""
        values = {"since": since, "most": most, "uid": uid, "name": name}
        return [rows.past_run_from(row) for row in self._rows("past_runs_of_name", **values)]

    def gpu_peaks(self, uid: int, name: str, most: int) -> list[tuple[int, int]]:
        """Return (peak of GPU memory, memory of the slice) in MiB of a user's completed jobs.

        They are the newest ones of this name that had one slice and were measured.
        """
        values = {"uid": uid, "name": name, "most": most, "looked_at": MOST_LOOKED_AT}
        return [tuple(row) for row in self._rows("gpu_peaks", **values)]

    def elements(self, array_id: int, first: int = 0, last: int | None = None) -> list[Job]:
        """Return the elements of an array, or those with indices from ``first`` to ``last``."""
        if last is None:
            return self._jobs(self._rows("elements", array_id))
        return self._jobs(self._rows("elements_between", array_id, first, last))

    def array(self, array_id: int) -> Array | None:
        """Return an array with the counts of its ended elements by outcome."""
        row = next(iter(self._rows("array", array_id)), None)
        if row is None:
            return None
        ended = {r["outcome"]: r["n"] for r in self._rows("array_ends", array_id)}
        return rows.array_from(row, ended)

    def jobs_of(self, job_ids: Iterable[int]) -> list[Job]:
        """Return the jobs with these ids."""
        return self._jobs(self._rows("jobs_of", json.dumps(list(job_ids))))

    def jobs_named(self, name: str, uid: int | None = None, most: int = -1) -> list[Job]:
        """Return the newest jobs of this name, by id; of one user, or of all."""
        if uid is None:
            return self._jobs(self._rows("jobs_named", name, most))[::-1]
        return self._jobs(self._rows("jobs_named_of_user", name, uid, most))[::-1]

    def last_of(self, uid: int) -> Job | None:
        """Return the last job that this user submitted."""
        return next(iter(self._jobs(self._rows("last_of_user", uid))), None)

    def spec(self, job_id: int) -> Stored | None:
        """Return the job's stored request; None if it is no longer stored."""
        row = next(iter(self._rows("spec", job_id)), None)
        if row is None or row["document"] is None:
            return None
        values = rows.values_from(row["params"], job_id)
        return Stored(row["document"], rows.keys_from(row["keys"]), values)

    def secrets_of_live(self) -> list[tuple[int, int, str]]:
        """Return (job, uid, location of its secrets) of jobs that may still need theirs."""
        result = self._rows("live_specs_with_secrets")
        own = [
            (r["id"], r["uid"], at)
            for r in result
            if (at := _secrets_location(r["spec"])) is not None
        ]
        elements = self._made_of(self._rows("live_templates_with_secrets"))
        return own + [(r["id"], r["uid"], at) for r, at in elements if r["state"] != "DONE"]

    def secrets_of(self, job_ids: Iterable[int]) -> dict[int, str]:
        """Return job id -> location of its secrets, of those jobs that have some."""
        wanted = set(job_ids)
        ids = json.dumps(list(wanted))
        result = self._rows("specs_with_secrets", ids)
        own = {r["id"]: at for r in result if (at := _secrets_location(r["spec"])) is not None}
        elements = self._made_of(self._rows("templates_with_secrets", ids))
        return own | {r["id"]: at for r, at in elements if r["id"] in wanted}

    def _made_of(self, templates: Iterable[Any]) -> Iterator[tuple[Any, str]]:
        """Yield the elements that are stored as a template, with the location of their secrets."""
        for template in templates:
            if (at := _secrets_location(template["template"])) is not None:
                for row in self._rows("made_of_template", template["id"]):
                    yield row, at

    def commands(self, job_ids: Iterable[int]) -> dict[int, Stored]:
        """Return job id -> the requested command, as ``spec`` does; null is the image's.

        Elements of one array follow each other and share the document.
        """
        result = self._rows("commands", json.dumps(list(job_ids)))
        arrays = json.dumps(list({row["template_of"] for row in result} - {None}))
        templates = {
            row["id"]: (row["command"] or "null", rows.keys_from(row["keys"]))
            for row in self._rows("commands_of_templates", arrays)
        }
        commands: dict[int, Stored] = {}
        for row in result:
            if row["template_of"] is None:
                commands[row["id"]] = Stored(row["command"] or "null")
            else:
                values = rows.values_from(row["params"], row["id"])
                commands[row["id"]] = Stored(*templates[row["template_of"]], values)
        return commands

    def attempts(self, job_id: int) -> list[Attempt]:
        """Return the attempts of a job, first to last."""
        return [rows.attempt_from(row) for row in self._rows("attempts_of", job_id)]

    def slice_memory(self, job_id: int) -> dict[int, int]:
        """Return attempt number -> the memory of its slices in MiB, of attempts that had some."""
        return {row["attempt"]: row["mib"] for row in self._rows("slice_memory_of", job_id)}

    def history(self, job_id: int) -> list[tuple[float, str, str]]:
        """Return (seconds since 1970, event, detail) of each of a job's events."""
        return [tuple(row) for row in self._rows("history_of", job_id)]

    def events_after(self, seq: int, most: int) -> list[tuple[int, PublishedEvent]]:
        """Return the first published events with a higher number, with their numbers."""
        return [event_rows.from_row(row) for row in self._rows("events_after", seq, most)]

    def bounds_of_events(self) -> tuple[int, int]:
        """Return the numbers of the first and the last published event that is stored."""
        row = self._rows("bounds_of_events")[0]
        return row["first"], row["last"]

    def first_event_since(self, at: float) -> int | None:
        """Return the number of the first published event of this time or later."""
        seq: int | None = self._rows("first_event_since", at)[0]["seq"]
        return seq

    def ended(self) -> dict[str, int]:
        """Return how many jobs ended, by outcome."""
        return {row["word"]: row["jobs"] for row in self._rows("tallies") if row["word"] != LIVE}

    def highest_id(self) -> int:
        """Return the highest id of a stored job, 0 if there is none."""
        return int(self._rows("highest_id")[0][0])

    def submitted_from(self, job_id: int) -> tuple[int, float] | None:
        """Return (id, seconds since 1970) of the submit of the first job from this id on."""
        return next((tuple(row) for row in self._rows("submitted_from", job_id)), None)

    def old_jobs(
        self, after: int, below: int, before: float, uid: int | None, most: int
    ) -> list[Prunable]:
        """Return jobs between two ids that ended before a time; no elements of arrays."""
        ends: dict[str, Any] = {"after": after, "below": below, "before": before, "most": most}
        if uid is None:
            return [Prunable(*row) for row in self._rows("old_jobs", **ends)]
        return [Prunable(*row) for row in self._rows("old_jobs_of_user", uid=uid, **ends)]

    def old_arrays(self, below: int, before: float, uid: int | None) -> list[int]:
        """Return the arrays of which every element ended before a time."""
        return [row[0] for row in self._rows("old_arrays", below=below, before=before, uid=uid)]

    def elements_after(self, array: int, after: int, most: int) -> list[Prunable]:
        """Return the next elements of an array, by id."""
        result = self._rows("elements_after", array=array, after=after, most=most)
        return [Prunable(*row) for row in result]

    def pruned_at(self, job_id: int) -> float | None:
        """Return when a job was deleted, in seconds since 1970; None if that is unknown."""
        result = next(iter(self._rows("pruned_before", job_id)), None)
        return result["at"] if result is not None and job_id <= result["last"] else None

    def usage(self, period: Period, by: str, uid: int | None = None) -> Usage:
        """Return what jobs used in a period, grouped by one of ``accounting.BY``.

        Of one user's jobs, or of all. A million leases take seconds.
        """
        with explained(self._path), same_state(self._db, beside := self._second()):
            return usage((self._db, beside), period, by, uid)

    def _second(self) -> sqlite3.Connection:
        """Return a second connection, opened when it is first needed."""
        if self._beside is None:
            self._beside = connect(self._path, read_only=True)
        return self._beside

    def jobs_used(
        self,
        period: Period,
        after: int,
        most: int,
        *,
        uid: int | None = None,
        user: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return what the next jobs by id used that ran in a period; of one user's, or of all."""
        with explained(self._path):
            return jobs_used(self._db, period, after, most, uid=uid, user=user)

    def check(self, table: str) -> None:
        """Raise ``DatabaseDamaged`` if a table's pages are inconsistent; reads all of it."""
        with explained(self._path):
            check(self._db, self._path, table)

    def copy_to(self, target: Path, at: str) -> None:
        """Copy the present database (``at``, RFC 3339) to a new file; raises
        ``StateDirError``."""
        with explained(self._path):
            copy_database(self._db, target, at)

    def tables(self) -> list[str]:
        """Return the names of all tables."""
        return [row[0] for row in self._rows("tables")]

    def interrupt(self) -> None:
        """End a query that is under way in another thread; it raises ``StateDirError``."""
        self._db.interrupt()
        if self._beside is not None:
            self._beside.interrupt()

    def audit(self, user: str | None, since: float, most: int) -> list[AuditLine]:
        """Return the last lines of the audit log, newest last; ``since`` is seconds since 1970."""
        return [audit.from_row(row) for row in self._rows("audit", since, user, most)][::-1]

    def meta(self, key: str) -> str | None:
        """Return a stored value."""
        result = self._rows("get_meta", key)
        return str(result[0][0]) if result else None

    def metas(self, *keys: str) -> list[str | None]:
        """Return stored values, in the order of their keys."""
        return [self.meta(key) for key in keys]

    def layout(self, op_id: int) -> LayoutOp | None:
        """Return a change of the layout, under way or over."""
        return next(iter(map(layouts.from_row, self._rows("layout", op_id))), None)

    def layouts(self, most: int) -> list[LayoutOp]:
        """Return the last changes of the layout, newest first."""
        return [layouts.from_row(row) for row in self._rows("layouts", most)]


def _secrets_location(spec: str) -> str | None:
    """Return the secrets of a document; None if it has none, or is damaged."""
    try:
        reply = json.loads(spec).get("secrets") or {}
        return next((str(at) for at in reply.values() if at is not None), None)
    except (ValueError, AttributeError):
        return None
