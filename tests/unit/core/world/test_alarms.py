"""Times at which something is due by time alone; an entry that is out of date is dropped."""

from __future__ import annotations

from launcher.core.model.job import Job
from launcher.core.model.reservation import Reservation
from launcher.core.world.alarms import boundaries, due, next_alarm
from launcher.spec.job_spec import SignalBefore
from tests.support.builders import ROOT, Machine, profile


def running(machine: Machine, **spec: object) -> Job:
    (job,) = machine.submit(profile(), **spec)  # type: ignore[arg-type]
    machine.run(job)
    return job


def test_without_limits_nothing_is_due() -> None:
    machine = Machine()
    running(machine)
    assert next_alarm(machine.world) is None
    assert due(machine.world, 1e9) == []


def test_the_earliest_of_warning_deadline_and_kill_is_next() -> None:
    machine = Machine()
    job = running(machine, time_limit=60.0, signal=SignalBefore("SIGUSR1", 10.0))
    start = machine.time.boot
    assert next_alarm(machine.world) == start + 50
    machine.world.set_kill(job, start + 5)
    assert next_alarm(machine.world) == start + 5


def test_jobs_are_due_once_each_and_earliest_first() -> None:
    machine = Machine()
    late = running(machine, time_limit=60.0, signal=SignalBefore("SIGUSR1", 10.0))
    soon = running(machine, time_limit=30.0)
    start = machine.time.boot
    assert due(machine.world, start + 29) == []
    assert due(machine.world, start + 60) == [soon, late]
    assert next_alarm(machine.world) is None


def test_a_time_that_was_changed_or_of_a_job_that_is_gone_is_dropped() -> None:
    machine = Machine()
    changed, gone = (running(machine, time_limit=limit) for limit in (30.0, 40.0))
    machine.world.set_deadline(changed, machine.time.boot + 100)
    machine.end(gone)
    assert due(machine.world, machine.time.boot + 99) == []
    assert next_alarm(machine.world) == machine.time.boot + 100


def test_a_waiting_job_may_start_when_a_window_ends_a_turn_ends_or_a_job_may_be_preempted() -> None:
    machine = Machine()
    world, wall, boot = machine.world, machine.time.wall, machine.time.boot
    world.reservations["course"] = Reservation("course", (), "bob", None, wall, wall + 7, ROOT)
    world.keeping[99] = boot - 1.5 * world.rules.holdback_idle
    job = running(machine, preemptible=True)
    assert world.preemptible == {job.id}
    assert list(boundaries(world, wall, boot)) == [
        wall + 7,
        wall + 0.5 * world.rules.holdback_idle,
        wall + world.rules.preempt_after,
    ]


def test_a_preemptible_job_that_has_not_started_has_no_time_yet() -> None:
    machine = Machine()
    machine.submit(profile(), preemptible=True)
    assert list(boundaries(machine.world, machine.time.wall, machine.time.boot)) == []
