"""The steps of every handler: a job moves by the table, ends, is stopped, killed and followed."""

from __future__ import annotations

import pytest

from launcher.core.messages import events as ev
from launcher.core.messages.actions import KillAttempt, StopAttempt
from launcher.core.model.job import Job, Outcome, Reason, State
from launcher.core.world import lifecycle
from launcher.core.world.transitions import current, finish, follow, kill, move, stop
from launcher.errors import InvalidTransition
from tests.support.builders import CPU, Machine, mig, profile


def running(**spec: object) -> tuple[Machine, Job]:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile(), **spec)  # type: ignore[arg-type]
    machine.run(job)
    machine.world.take_changes()
    return machine, job


def test_a_move_is_in_the_history_and_one_that_the_table_lacks_changes_nothing() -> None:
    machine, job = running()
    move(machine.world, job, ev.AttemptEnded, State.COMPLETING, machine.time, "because")
    with pytest.raises(InvalidTransition, match="AttemptEnded -> COMPLETING"):
        move(machine.world, job, ev.AttemptStarted, State.RUNNING, machine.time)
    assert job.state is State.COMPLETING
    (line,) = machine.world.take_changes().history
    assert (line.event, line.detail, line.at) == ("AttemptEnded", "because", machine.time.wall)


def test_a_finished_job_is_forgotten_and_its_end_told_to_those_that_wait() -> None:
    machine = Machine(ready=False)
    (job,) = machine.submit(CPU)
    outcome, reason = Outcome.CANCELLED, Reason.DEPENDENCY
    finish(machine.world, job, lifecycle.Settled, outcome, machine.time, reason, "because")
    assert (job.state, job.outcome, job.reason, job.message) == (
        State.DONE, outcome, reason, "because",
    )  # fmt: skip
    assert job.id not in machine.world.jobs
    assert machine.world.ended == [(job.id, outcome)]


def test_an_attempt_is_stopped_once_and_later_reasons_do_not_prolong_its_grace() -> None:
    machine, job = running(stop_grace_period=5.0)
    (action,) = stop(machine.world, job, machine.time)
    assert isinstance(action, StopAttempt)
    assert job.kill_at == machine.time.boot + 5
    machine.wait(3)
    assert stop(machine.world, job, machine.time) == []
    assert job.kill_at == machine.time.boot + 2


def test_an_attempt_that_is_to_be_killed_gets_no_grace() -> None:
    machine, job = running()
    job.kill_now = True
    (action,) = stop(machine.world, job, machine.time)
    assert isinstance(action, KillAttempt)
    assert job.kill_at is None


def test_a_kill_ends_the_grace_and_is_in_the_history() -> None:
    machine, job = running()
    stop(machine.world, job, machine.time)
    (action,) = kill(machine.world, job, machine.time, "because")
    assert isinstance(action, KillAttempt)
    assert (job.kill_now, job.kill_at) == (True, None)
    assert machine.world.take_changes().history[-1].detail == "because"


def test_an_event_is_for_the_live_attempt_alone() -> None:
    machine, job = running()
    world, late = machine.world, machine.world.late_events
    assert current(world, job.id, 1, ev.AttemptEnded) is job
    for job_id, attempt in ((job.id, 2), (job.id, 0), (99, 1)):
        assert current(world, job_id, attempt, ev.AttemptEnded) is None
    assert world.late_events == late + 3


def test_what_observers_may_report_twice_is_late_and_not_an_error() -> None:
    machine, job = running()
    world = machine.world
    assert current(world, job.id, 1, ev.AttemptStarted) is None
    machine.end(job, idle=False)
    for event in (ev.AttemptStarted, ev.AttemptEnded, ev.AttemptLost):
        assert current(world, job.id, 1, event) is None
    with pytest.raises(InvalidTransition):
        current(world, job.id, 1, ev.StartFailed)


def test_a_job_is_followed_in_its_container_on_its_slices() -> None:
    machine, job = running()
    action = follow(machine.world, job)
    assert (action.job, action.attempt, action.slices) == (job.id, 1, job.slices)
    assert action.container_id == job.container_id
