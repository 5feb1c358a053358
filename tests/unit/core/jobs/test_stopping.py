"""A stop is a signal and a timer: one grace period an attempt; a second request cuts it short."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from launcher.core.messages import events as ev
from launcher.core.messages.actions import KillAttempt, StopAttempt
from launcher.core.model.job import Job, Outcome
from launcher.core.policy.settings import Policy, Settings
from launcher.core.recovery.reconcile import take_up
from launcher.errors import NotAllowed
from tests.support.builders import ALICE, ROOT, Machine, mig, profile


def running(policy: Policy | None = None, **spec: Any) -> tuple[Machine, Job]:
    machine = Machine(slices=[mig(0)], rules=Settings(policy=policy or Policy()))
    (job,) = machine.submit(profile(), **spec)
    machine.run(job)
    return machine, job


def kinds(actions: Any) -> list[type]:
    return [type(a) for a in actions]


def cancel(machine: Machine, job: Job, **how: Any) -> list[type]:
    return kinds(machine.tell(ev.CancelAsked(job.id, ALICE.uid, **how)))


def test_a_job_that_ignores_its_stop_signal_is_killed_when_its_grace_period_ends() -> None:
    machine, job = running(stop_grace_period=10.0)
    assert cancel(machine, job) == [StopAttempt]
    machine.wait(9.0)
    assert kinds(machine.tell(ev.Tick())) == []
    machine.wait(1.0)
    assert kinds(machine.tell(ev.Tick())) == [KillAttempt]
    machine.wait(100.0)
    assert kinds(machine.tell(ev.Tick())) == []


def test_a_second_cancel_kills_at_once_and_a_hundred_more_cost_nothing() -> None:
    machine, job = running(stop_grace_period=300.0)
    assert cancel(machine, job) == [StopAttempt]
    assert cancel(machine, job) == [KillAttempt]
    assert [cancel(machine, job) for _ in range(100)] == [[]] * 100


def test_a_cancel_can_ask_for_no_grace_period_at_all() -> None:
    machine, job = running(stop_grace_period=300.0)
    assert cancel(machine, job, kill=True) == [KillAttempt]
    machine.end(job, 137)
    assert job.outcome is Outcome.CANCELLED


def test_a_cancel_during_the_grace_period_of_a_time_limit_does_not_prolong_it() -> None:
    machine, job = running(stop_grace_period=10.0, time_limit=5.0)
    machine.wait(5.0)
    assert kinds(machine.tell(ev.Tick())) == [StopAttempt]
    machine.wait(6.0)
    assert cancel(machine, job) == []
    machine.wait(4.0)
    assert kinds(machine.tell(ev.Tick())) == [KillAttempt]


def test_a_job_cancelled_twice_before_it_runs_is_killed_as_soon_as_it_does() -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile(), stop_grace_period=300.0)
    assert [cancel(machine, job) for _ in range(3)] == [[], [], []]
    assert kinds(machine.run(job))[-1] is KillAttempt


def test_a_job_that_was_to_be_killed_is_killed_by_the_next_daemon() -> None:
    machine, job = running(stop_grace_period=300.0)
    cancel(machine, job, kill=True)
    assert job.id in machine.world.changes.jobs or job.kill_now
    world = copy.deepcopy(machine.world)
    assert kinds(take_up(world, machine.time)) == [KillAttempt]


def test_a_job_that_runs_again_gets_its_grace_period_again() -> None:
    machine, job = running(stop_grace_period=10.0)
    machine.tell(ev.RequeueAsked(job.id, ALICE.uid))
    machine.wait(10.0)
    machine.tell(ev.Tick())
    machine.end(job, 137)
    machine.run(job)
    assert (job.attempt, job.kill_now, job.kill_at) == (2, False, None)
    assert cancel(machine, job) == [StopAttempt]


def test_a_longer_grace_period_than_the_policy_allows_is_refused_at_submit() -> None:
    machine = Machine(slices=[mig(0)])
    with pytest.raises(NotAllowed, match="stop_grace_period: 301 s is above 300 s"):
        machine.submit(profile(), stop_grace_period=301.0)
    machine.submit(profile(), stop_grace_period=300.0)
    machine.submit(profile(), owner=ROOT, stop_grace_period=86400.0)


def test_a_job_queued_under_another_policy_gets_no_longer_grace_period_than_todays() -> None:
    machine, job = running(Policy(max_stop_grace=300.0), stop_grace_period=300.0)
    machine.world.rules = Settings(policy=Policy(max_stop_grace=20.0))
    cancel(machine, job)
    machine.wait(20.0)
    assert kinds(machine.tell(ev.Tick())) == [KillAttempt]
