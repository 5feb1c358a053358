"""Jobs that give way to others of higher priority, and those that do not."""

from __future__ import annotations

from typing import Any

from launcher.core.messages.actions import SignalAttempt, StopAttempt
from launcher.core.model.job import Job, State
from launcher.core.policy.settings import Settings
from launcher.spec.job_spec import SignalBefore
from tests.support.builders import CPU, Machine, mig, profile

TWO = [mig(0), mig(1)]


def busy(count: int = 2, ran: float = 700.0, **spec: Any) -> tuple[Machine, list[Job]]:
    """A machine whose slices all have preemptible jobs of priority 10."""
    machine = Machine(slices=[mig(i) for i in range(count)])
    asked = {"preemptible": True, "priority": 10} | spec
    jobs = machine.submit(*[profile()] * count, **asked)
    for job in jobs:
        machine.run(job)
    machine.wait(ran)
    return machine, jobs


def test_a_job_of_lower_priority_gives_way_and_runs_again_when_it_can() -> None:
    machine, (low,) = busy(1)
    (high,) = machine.submit(profile(), priority=50)
    assert isinstance(machine.actions[-1], StopAttempt)
    machine.end(low, 143)
    assert (high.state, low.state, low.outcome) == (State.STARTING, State.PENDING, None)
    assert low.message == f"gave way to job {high.id}"
    machine.run(high)
    machine.end(high)
    assert (low.state, low.attempt, low.retried) == (State.STARTING, 2, 0)


def test_nothing_is_taken_from_who_does_not_say_so_or_has_the_same_priority() -> None:
    for spec in ({"preemptible": False}, {"priority": 50}):
        machine, (job,) = busy(1, **spec)
        machine.submit(profile(), priority=50)
        assert not job.stopping


def test_a_job_runs_undisturbed_for_a_while_first() -> None:
    machine, (low,) = busy(1, ran=100.0)
    machine.submit(profile(), priority=50)
    assert not low.stopping
    machine.tick(501)
    assert low.stopping


def test_the_one_that_loses_least_goes_first_and_no_more_than_are_needed() -> None:
    machine, (old,) = busy(1)
    machine.see(TWO)
    (young,) = machine.submit(profile(), preemptible=True, priority=10)
    machine.run(young)
    machine.wait(601)
    machine.submit(profile(), priority=50)
    assert (old.stopping, young.stopping) == (False, True)
    machine.tick(1)
    assert not old.stopping


def test_a_gang_takes_as_many_as_it_lacks() -> None:
    machine, jobs = busy(2)
    (gang,) = machine.submit(profile(count=2), priority=50)
    assert all(job.stopping for job in jobs)
    for job in jobs:
        machine.end(job, 143)
    assert gang.state is State.STARTING


def test_nobody_is_stopped_where_that_would_not_be_enough() -> None:
    machine = Machine(slices=TWO)
    (stays,) = machine.submit(profile())
    machine.run(stays)
    (low,) = machine.submit(profile(), preemptible=True, priority=10)
    machine.run(low)
    machine.wait(700)
    machine.submit(profile(count=2), priority=50)
    assert not low.stopping


def test_a_warning_goes_before_the_stop_by_the_time_that_was_asked_for() -> None:
    machine, (low,) = busy(1, signal=SignalBefore("SIGUSR1", 30.0))
    machine.submit(profile(), priority=50)
    assert isinstance(machine.actions[-1], SignalAttempt)
    assert machine.tick(29) == []
    (stop,) = machine.tick(2)
    assert isinstance(stop, StopAttempt)
    machine.end(low, 0)
    assert low.state is State.PENDING


def test_a_job_without_a_slice_takes_none_away() -> None:
    machine, (low,) = busy(1)
    machine.submit(CPU, priority=50)
    assert not low.stopping


def test_with_rules_of_no_minimum_a_job_can_go_at_once() -> None:
    machine = Machine(slices=[mig(0)], rules=Settings(preempt_after=0.0))
    (low,) = machine.submit(profile(), preemptible=True, priority=1)
    machine.run(low)
    machine.submit(profile(), priority=2)
    assert low.stopping


def test_nobody_gives_way_for_slices_that_a_gang_in_front_keeps() -> None:
    machine = Machine(slices=[mig(0), mig(1), mig(2)])
    (stays,) = machine.submit(profile(), priority=50, time_limit=3000.0)
    (low,) = machine.submit(profile(), preemptible=True, priority=10)
    for job in (stays, low):
        machine.run(job)
    machine.submit(profile(count=3), priority=50)
    machine.wait(700)
    machine.submit(profile(count=2), priority=40)
    machine.tick(1)
    assert not low.stopping


def test_a_warning_gives_no_more_time_than_there_is_for_anybody() -> None:
    machine, (low,) = busy(1, signal=SignalBefore("SIGUSR1", 1e6))
    machine.submit(profile(), priority=50)
    machine.tick(299)
    assert not any(isinstance(a, StopAttempt) for a in machine.actions)
    machine.tick(2)
    assert isinstance(machine.actions[-1], StopAttempt)
    assert low.again is not None
