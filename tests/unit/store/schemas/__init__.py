"""Databases of every schema since 0.1.0, as SQL text: each must open for good.

``python -m tests.unit.store.schemas`` writes the one of the newest schema; it is never written anew
once a version with that schema is out.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

from launcher.core.messages.changes import AuditLine, Drain, HistoryLine, Quarantine
from launcher.core.model.arrays import Array, ArrayTemplate
from launcher.core.model.job import Element, Job
from launcher.core.model.packing import Place
from launcher.core.model.reservation import Reservation
from launcher.core.model.use import Use
from launcher.store import Store
from launcher.store.connect import FILE_NAME
from tests.support.builders import ALICE, ROOT, mig
from tests.unit.store.worlds import AT, attempt_of, changes, done, job, lease_of, starting

FOLDER = Path(__file__).parent
ARRAY = Array(4, ALICE, "array", 2, 1)


def written(directory: Path) -> Path:
    """Write a database with some of everything; returns its path."""
    store = Store.open(directory, "feedfeed")
    runs, over = starting(2, 0), done(3, attempt=1, exit_code=0, slices=(mig(1).uuid,))
    both = (changes_of_jobs(runs, over), changes_of_the_machine())
    for one in both:
        store.commit(one)
    store.close()
    return directory / FILE_NAME


def changes_of_jobs(runs: Job, over: Job):  # type: ignore[no-untyped-def]
    elements = [
        dataclasses.replace(job(5 + index), element=Element(4, index, (("lr", "0.1"),)))
        for index in range(2)
    ]
    made = changes(
        new=(job(1, priority=7, time_limit=60.0), runs, over),
        attempts=(attempt_of(runs), attempt_of(over)),
        leases=(lease_of(runs), lease_of(over, 1, released_at=AT + 60)),
        history=(HistoryLine(1, AT, "submitted", "by alice"), HistoryLine(3, AT, "ended", "")),
    )
    made.arrays[4] = (ARRAY, ArrayTemplate('{"name":"array","command":["${lr}"]}', ("lr",)))
    made.new_jobs += [(element, "") for element in elements]
    return made


def changes_of_the_machine():  # type: ignore[no-untyped-def]
    made = changes(
        quarantines={mig(3).uuid: Quarantine("a process stayed", lasting=True, since=AT)},
        drains={mig(2).uuid: Drain(mig(2).uuid, "maintenance", ROOT, AT)},
    )
    made.made[mig(0).gpu_uuid, 1] = Place(14, 0)
    made.uses[ALICE.uid] = Use("alice", 12.5, AT)
    made.reservations["class"] = Reservation(
        "class", (mig(2).uuid,), "bob", None, AT, AT + 3600, ROOT
    )
    made.private_images["sha256:1"] = frozenset({ALICE.uid})
    made.public_images["sha256:2"] = True
    made.pulls["private/image:1", ALICE.uid] = True
    made.audit = [
        AuditLine(1000, AT, AT, "alice", "user", "POST /v1/jobs", "1", "ok", "", 1, 4),
    ]
    made.clock = 5.0
    return made


def dump(db: sqlite3.Connection) -> str:
    """Return a database as SQL text, with the number of its schema."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    return "\n".join([*db.iterdump(), f"PRAGMA user_version = {version};", ""])
