"""An independent judge of the history: it reads the database and the record of starts, no more.

It shares no code with the launcher. The record is what saw every start from outside (the NVIDIA
hook's file, or a simulated machine's): wall time in seconds, the container's name, its devices.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Start = tuple[float, str, Sequence[str]]
CLOCK_SECONDS = 1.0
"""The record and the database are stamped by different programs."""


@dataclass
class Verdict:
    """What was looked at, and what is wrong: a sentence each."""

    leases: int = 0
    starts: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    overlapping: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """Return everything that must not be."""
        return [*self.lost, *self.twice, *self.overlapping, *self.leaked, *self.other]


def check(database: Path, starts: Sequence[Start], acknowledged: Iterable[int]) -> list[str]:
    """Return a sentence for everything that must not be; nothing is left running any more."""
    return examine(database, starts, acknowledged).wrong


def examine(database: Path, starts: Sequence[Start], acknowledged: Iterable[int]) -> Verdict:
    """Look at a whole history; nothing is left running any more."""
    db = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    try:
        jobs = {row["id"]: row for row in db.execute("SELECT * FROM jobs")}
        attempts = {row["container_name"]: row for row in db.execute("SELECT * FROM attempts")}
        leases = db.execute("SELECT * FROM leases ORDER BY granted_at").fetchall()
        asked = db.execute(
            "SELECT DISTINCT job FROM history"
            " WHERE event IN ('RequeueAsked', 'RetryAsked', 'Preempted')"
        )
        again = {row["job"] for row in asked}
        integrity = db.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        db.close()
    left = {i: job["state"] for i, job in jobs.items() if job["state"] != "DONE"}
    return Verdict(
        leases=len(leases),
        starts=len(starts),
        lost=[f"job {i} was acknowledged and is lost" for i in acknowledged if i not in jobs],
        twice=list(_twice(starts, jobs, again)),
        overlapping=list(_overlaps(leases)),
        leaked=list(_leaks(leases)),
        other=[
            *([] if integrity == "ok" else [f"the database: {integrity}"]),
            *(f"job {i} has not ended: {state}" for i, state in left.items()),
            *_starts(starts, attempts, leases),
        ],
    )


def _overlaps(leases: Sequence[Any]) -> Iterable[str]:
    """Two leases of one slice never overlap in time."""
    by_slice: dict[str, list[Any]] = defaultdict(list)
    for lease in leases:
        by_slice[lease["slice_uuid"]].append(lease)
    for uuid, held in by_slice.items():
        for earlier, later in itertools.pairwise(held):
            ended = earlier["released_at"]
            if ended is None or ended > later["granted_at"]:
                yield (
                    f"the leases of {uuid} overlap: attempt {earlier['job']}.{earlier['attempt']} "
                    f"until {ended}, {later['job']}.{later['attempt']} from {later['granted_at']}"
                )


def _leaks(leases: Sequence[Any]) -> Iterable[str]:
    for lease in leases:
        if lease["released_at"] is None:
            yield f"the lease of {lease['slice_uuid']} by job {lease['job']} never ended"


def _starts(starts: Sequence[Start], attempts: Any, leases: Sequence[Any]) -> Iterable[str]:
    """Every container ran on exactly the slices it was leased, while they were leased."""
    for at, name, devices in starts:
        attempt = attempts.get(name)
        if attempt is None:
            yield f"{name} was started, and no attempt is on record"
            continue
        if list(devices) != json.loads(attempt["slices"]):
            yield f"{name} ran on {list(devices)}, its attempt had {attempt['slices']}"
        held = {
            lease["slice_uuid"]: lease
            for lease in leases
            if (lease["job"], lease["attempt"]) == (attempt["job"], attempt["number"])
        }
        for uuid in devices:
            lease = held.get(uuid)
            if lease is None:
                yield f"{name} ran on {uuid}, which was never leased to it"
            elif not (
                lease["granted_at"] - CLOCK_SECONDS
                <= at
                <= (lease["released_at"] or at) + CLOCK_SECONDS
            ):
                yield f"{name} was started at {at}, its lease of {uuid} was not then"


def _twice(starts: Sequence[Start], jobs: Any, asked: set[int]) -> Iterable[str]:
    """No container ran twice, and no job ran again that did not ask for it."""
    for name, times in Counter(name for _, name, _ in starts).items():
        if times > 1:
            yield f"{name} was started {times} times"
    ran = Counter(int(name.rsplit("-", 2)[1]) for _, name, _ in starts)
    for job_id, times in ran.items():
        job = jobs.get(job_id)
        again = job_id in asked or (job is not None and job["retries"])
        if times > 1 and not again:
            yield f"job {job_id} ran {times} times"
