"""Warnings, time limits, kills and idle timeouts: which running jobs are due, and for what."""

from __future__ import annotations

from launcher.core.messages import events as ev
from launcher.core.messages.actions import KillAttempt, SignalAttempt, StopAttempt
from launcher.core.model.job import Job, State
from launcher.core.scheduling.time_limits import idle, tick, warn
from launcher.spec.job_spec import SignalBefore
from tests.support.builders import ALICE, Machine, mig, profile


def running(**spec: object) -> tuple[Machine, Job]:
    machine = Machine(slices=[mig(0), mig(1)])
    (job,) = machine.submit(profile(count=2), **spec)  # type: ignore[arg-type]
    machine.run(job)
    return machine, job


def kinds(machine: Machine) -> list[type]:
    return [type(action) for action in tick(machine.world, machine.time)]


def test_nothing_is_due_before_its_time() -> None:
    machine, job = running(time_limit=60.0, signal=SignalBefore("SIGUSR1", 10.0))
    machine.wait(49)
    assert kinds(machine) == []
    assert job.state is State.RUNNING


def test_a_job_is_warned_once_then_stopped_once_then_killed() -> None:
    machine, job = running(
        time_limit=60.0, signal=SignalBefore("SIGUSR1", 10.0), stop_grace_period=5.0
    )
    done = []
    for seconds in (50, 1, 9, 1, 4, 1):
        machine.wait(seconds)
        done.append(kinds(machine))
    assert done == [[SignalAttempt], [], [StopAttempt], [], [KillAttempt], []]
    assert (job.timed_out, job.message) == (True, "time limit of 60 s")


def test_a_late_look_sends_the_warning_and_the_stop_together() -> None:
    machine, _ = running(time_limit=60.0, signal=SignalBefore("SIGUSR1", 10.0))
    machine.wait(600)
    assert kinds(machine) == [SignalAttempt, StopAttempt]


def test_a_job_that_is_being_cancelled_does_not_time_out() -> None:
    machine, job = running(time_limit=60.0, stop_grace_period=300.0)
    machine.tell(ev.CancelAsked(job.id, ALICE.uid))
    machine.wait(61)
    assert kinds(machine) == []
    assert not job.timed_out


def test_a_job_that_is_to_run_again_is_stopped_at_its_limit_without_timing_out() -> None:
    machine, job = running(time_limit=60.0)
    job.again = "it gives way"
    machine.wait(61)
    assert kinds(machine) == [StopAttempt]
    assert not job.timed_out


def test_a_job_that_asked_for_no_warning_gets_none() -> None:
    machine, job = running()
    assert warn(machine.world, job, machine.time) == []


def test_a_job_is_idle_only_while_all_of_its_slices_are() -> None:
    machine, job = running(idle_timeout=30.0)
    both = frozenset(job.slices)
    for seen in (both, frozenset(job.slices[:1]), both):
        assert idle(machine.world, seen, machine.time) == []
        machine.wait(29)
    assert idle(machine.world, both, machine.time) == []
    machine.wait(1)
    assert [type(a) for a in idle(machine.world, both, machine.time)] == [StopAttempt]
    assert (job.timed_out, job.message) == (True, "no process on its slices for 30 s")
    assert idle(machine.world, both, machine.time) == [], "it is being stopped"


def test_a_job_without_an_idle_timeout_may_be_idle_for_any_time() -> None:
    machine, job = running()
    for _ in range(2):
        assert idle(machine.world, frozenset(job.slices), machine.time) == []
        machine.wait(1e6)
