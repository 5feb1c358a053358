"""A world from a backup: what had not ended is held, nothing is leased, and ids go on."""

from __future__ import annotations

from launcher.core.messages import events as ev
from launcher.core.model.job import Job, Reason, State
from launcher.core.recovery.restore import restore
from tests.support.builders import Machine, profile

AT = "2026-11-28T00:00:00.000000Z"


def running(machine: Machine) -> Job:
    (job,) = machine.submit(profile())
    machine.run(job)
    return job


def test_what_waits_and_what_had_started_is_held_with_the_reason() -> None:
    machine = Machine()
    runs = running(machine)
    (waits,) = machine.submit(profile(), hold=True)
    found = restore(machine.world, machine.time, AT, {runs.id: 4})
    assert (found.waiting, found.started, found.ended) == ([waits.id], [runs.id], [])
    for job in (runs, waits):
        assert (job.state, job.held, job.outcome) == (State.PENDING, Reason.RESTORED, None)
        assert AT in (job.message or "")
    assert (runs.container_id, runs.started_at, runs.slices) == (None, None, ())
    assert runs.attempt == 4, "a log of attempt 4 is there: the next one has another number"
    leases = machine.world.changes.leases.values()
    assert leases
    assert all(lease.released_at is not None for lease in leases)


def test_a_job_that_an_admin_holds_stays_the_admins() -> None:
    machine = Machine()
    (job,) = machine.submit(profile(), hold=True)
    machine.tell(ev.HoldAsked(job.id, 0, admin=True))
    restore(machine.world, machine.time, AT, {})
    assert job.held is Reason.JOB_HELD_ADMIN


def test_a_job_that_had_ended_and_only_held_its_slices_is_over() -> None:
    machine = Machine()
    job = running(machine)
    at = "2026-01-01T00:00:00.000000Z"
    machine.tell(ev.AttemptEnded(job.id, 1, 3, False, at, at))
    assert job.state is State.COMPLETING
    found = restore(machine.world, machine.time, AT, {})
    assert found.ended == [job.id]
    assert (job.state, job.exit_code) == (State.DONE, 3)
