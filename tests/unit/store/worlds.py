"""Changes to commit, in a few words."""

from __future__ import annotations

import dataclasses
from typing import Any

from launcher.core.messages.changes import Changes, Drain, HistoryLine, Quarantine
from launcher.core.model.ids import container_name
from launcher.core.model.job import Job, Outcome, State
from launcher.core.model.layout_change import LayoutOp
from launcher.core.model.lease import Attempt, Lease
from launcher.spec.gpus import GpuRequest
from tests.support.builders import ALICE, IMAGE, mig, profile

AT = 1_800_000_000.25


def job(number: int = 1, need: GpuRequest | None = None, **fields: Any) -> Job:
    made = Job(number, ALICE, "job", need or profile(), IMAGE, 50, AT)
    return dataclasses.replace(made, **fields)


def starting(number: int = 1, slice_number: int = 0, attempt: int = 1, **fields: Any) -> Job:
    uuids = (mig(slice_number).uuid,)
    fields = {"state": State.STARTING, "attempt": attempt, "slices": uuids} | fields
    return job(number, image_id="sha256:1", **fields)


def done(number: int = 1, **fields: Any) -> Job:
    return job(number, **({"state": State.DONE, "outcome": Outcome.COMPLETED} | fields))


def attempt_of(one: Job) -> Attempt:
    name = container_name("feed", one.id, one.attempt)
    return Attempt(one.id, one.attempt, name, one.slices, "sha256:1", AT)


def lease_of(one: Job, slice_number: int = 0, released_at: float | None = None) -> Lease:
    return Lease(one.id, one.attempt, mig(slice_number), AT, released_at)


def changes(
    *jobs: Job,
    new: tuple[Job, ...] = (),
    attempts: tuple[Attempt, ...] = (),
    leases: tuple[Lease, ...] = (),
    quarantines: dict[str, Quarantine | None] | None = None,
    drains: dict[str, Drain | None] | None = None,
    layouts: dict[int, LayoutOp] | None = None,
    history: tuple[HistoryLine, ...] = (),
) -> Changes:
    """Return what one decision changed; ``new`` jobs come with an empty spec."""
    return Changes(
        new_jobs=[(one, "{}") for one in new],
        jobs={one.id: one for one in (*new, *jobs)},
        attempts={(a.job, a.number): a for a in attempts},
        leases={(one.job, one.attempt, one.slice.uuid): one for one in leases},
        quarantines=quarantines or {},
        drains=drains or {},
        layouts=layouts or {},
        history=list(history),
    )
