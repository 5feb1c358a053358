"""Jobs are counted once for each thing that happens to them, by the core's own decisions."""

from __future__ import annotations

import pytest

from launcher.core.messages import events as ev
from launcher.core.model.job import Job, Outcome, State
from launcher.daemon.metrics.amounts import ProfileHistogram
from launcher.daemon.metrics.job_metrics import AT_A_TIME, GRANTED, JobMetrics
from launcher.spec.job_spec import Retries
from tests.support.builders import CPU, Machine, profile


class Counted:
    """A machine whose every decision is counted."""

    def __init__(self) -> None:
        self.machine, self.metrics = Machine(), JobMetrics()
        self.machine.world.take_changes()

    def take(self) -> None:
        for _ in self.metrics.changed(self.machine.world.take_changes(), self.machine.time.wall):
            pass

    def submit(self, **spec: object) -> Job:
        (job,) = self.machine.submit(profile(), **spec)  # type: ignore[arg-type]
        self.take()
        return job

    def run(self, job: Job) -> None:
        self.machine.run(job)
        self.take()

    def end(self, job: Job, code: int = 0, *, idle: bool = True) -> None:
        self.machine.end(job, code, idle=idle)
        self.take()


def count(observed: ProfileHistogram) -> int:
    """Return the number of observations of all profiles."""
    return sum(sum(each.counts) for each in observed.by_profile.values())


def test_a_job_without_a_slice_is_observed_as_cpu() -> None:
    counted = Counted()
    (job,) = counted.machine.submit(CPU)
    counted.take()
    counted.run(job)
    counted.end(job)
    found = counted.metrics
    assert found.wait.by_profile.keys() == found.run.by_profile.keys() == {"cpu"}


def test_a_job_that_ran_before_a_restart_is_observed_under_its_profile() -> None:
    counted = Counted()
    job = counted.submit()
    counted.run(job)
    world = counted.machine.world
    restarted = counted.metrics = JobMetrics()
    restarted.resume([job], world.leases[job.id])
    counted.end(job)
    assert restarted.run.by_profile.keys() == {"1g.6gb"}


def test_a_job_that_waits_again_is_observed_under_its_next_profile() -> None:
    counted = Counted()
    job = counted.submit(retries=Retries(1, ("any",), 60.0, 60.0))
    counted.run(job)
    counted.end(job, 1)
    assert not counted.metrics._profiles


def test_a_job_is_counted_when_it_is_submitted_gets_its_slice_starts_and_ends() -> None:
    counted = Counted()
    job = counted.submit()
    found = counted.metrics
    assert (found.submitted, found.attempts, found.started) == (1, 1, 0)
    counted.run(job)
    assert found.started == 1
    counted.machine.wait(30.0)
    counted.end(job)
    assert found.ended.by_label[Outcome.COMPLETED.value] == 1
    assert sum(found.turnaround.counts) == count(found.wait) == count(found.run) == 1
    assert found.wait.by_profile.keys() == found.run.by_profile.keys() == {"1g.6gb"}
    assert not found._profiles
    assert found.turnaround.total == pytest.approx(30.0)


def test_a_job_that_still_holds_its_slice_after_its_end_is_counted_once() -> None:
    counted = Counted()
    job = counted.submit()
    counted.run(job)
    counted.end(job, 3, idle=False)
    assert counted.metrics.ended.by_label[Outcome.FAILED.value] == 1
    counted.machine.tell(ev.SlicesIdle(job.id, job.attempt, job.slices))
    counted.take()
    assert counted.metrics.ended.by_label[Outcome.FAILED.value] == 1
    assert not counted.metrics._completing


def test_a_job_that_ended_before_the_daemon_started_is_not_counted() -> None:
    counted = Counted()
    job = counted.submit()
    counted.run(job)
    counted.end(job, idle=False)
    restarted = JobMetrics()
    restarted.resume([job])
    counted.machine.tell(ev.SlicesIdle(job.id, job.attempt, job.slices))
    assert not [*restarted.changed(counted.machine.world.take_changes(), 0.0)]
    assert sum(restarted.ended.by_label.values()) == 0
    assert not restarted._completing


def test_a_retry_is_an_attempt_of_the_same_job_and_no_wait_of_its_own() -> None:
    counted = Counted()
    job = counted.submit(retries=Retries(1, ("any",), 0.0, 0.0))
    counted.run(job)
    counted.end(job, 1)
    counted.machine.tick(60.0)
    counted.take()
    assert (counted.metrics.attempts, counted.metrics.retries) == (2, 1)
    assert count(counted.metrics.wait) == 1
    assert sum(counted.metrics.ended.by_label.values()) == 0
    counted.run(job)
    counted.end(job, 1)
    assert counted.metrics.ended.by_label[Outcome.FAILED.value] == 1


def test_a_start_that_fails_is_counted() -> None:
    counted = Counted()
    job = counted.submit()
    counted.machine.fail_start(job, ev.StartFailure.USER)
    counted.take()
    assert counted.metrics.starts_failed == 1
    assert counted.metrics.started == 0


def test_a_job_that_is_cancelled_while_it_waits_has_no_run_time() -> None:
    counted = Counted()
    held = counted.submit(hold=True)
    counted.machine.tell(ev.CancelAsked(held.id, 1000))
    counted.take()
    assert counted.metrics.ended.by_label[Outcome.CANCELLED.value] == 1
    assert count(counted.metrics.run) == 0


def test_the_word_of_the_history_for_a_grant_is_the_one_that_is_counted() -> None:
    counted = Counted()
    counted.machine.submit(profile())
    assert GRANTED in {line.event for line in counted.machine.world.changes.history}


def test_jobs_that_are_only_submitted_cost_no_step_and_many_ends_take_many() -> None:
    counted = Counted()
    machine = counted.machine
    machine.submit_array(1000, profile())
    assert not [*counted.metrics.changed(machine.world.take_changes(), 0.0)]
    assert counted.metrics.submitted == 1000
    waiting = [job.id for job in machine.world.jobs.values() if job.state is State.PENDING]
    machine.tell(*(ev.CancelAsked(job_id, 1000) for job_id in waiting))
    steps = [*counted.metrics.changed(machine.world.take_changes(), 0.0)]
    assert len(steps) >= 2 * (len(waiting) // AT_A_TIME)
    assert counted.metrics.ended.by_label[Outcome.CANCELLED.value] == len(waiting)
