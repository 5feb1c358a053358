"""Jobs that run again: which ends, how often, after how long, and under which number."""

from __future__ import annotations

import pytest

from launcher.core.jobs.retries import delay, matches
from launcher.core.messages import events as ev
from launcher.core.model.job import Job, Outcome, Reason, State
from launcher.spec.job_spec import Retries
from tests.support.builders import CPU, IMAGE, Machine, mig, profile


def running(retries: Retries | None, need: object = None) -> tuple[Machine, Job]:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(need or profile(), retries=retries)  # type: ignore[arg-type]
    machine.run(job)
    return machine, job


@pytest.mark.parametrize("need", [profile(), CPU])
def test_a_failed_job_runs_again_with_the_next_attempt_until_its_retries_are_used(
    need: object,
) -> None:
    machine, job = running(Retries(2, ("exit:75",)), need)
    for attempt in (2, 3):
        machine.end(job, 75)
        assert (job.state, job.attempt, job.outcome) == (State.STARTING, attempt, None)
        machine.run(job)
    machine.end(job, 75)
    assert (job.state, job.outcome, job.exit_code) == (State.DONE, Outcome.FAILED, 75)


def test_an_end_that_is_not_named_is_the_end() -> None:
    machine, job = running(Retries(2, ("exit:75", "oom")))
    machine.end(job, 1)
    assert job.outcome is Outcome.FAILED


def test_while_the_slice_is_proven_free_the_job_has_no_outcome() -> None:
    machine, job = running(Retries(1, ("any",)))
    machine.end(job, 1, idle=False)
    assert (job.state, job.outcome) == (State.COMPLETING, None)
    assert job.message == "FAILED (exit 1): retry 1 of 1"
    machine.tell(ev.SlicesIdle(job.id, 1, job.slices))
    assert (job.state, job.attempt) == (State.STARTING, 2)


def test_a_retry_waits_for_its_backoff_which_doubles_up_to_a_limit() -> None:
    machine, job = running(Retries(3, ("any",), backoff=30.0, max_backoff=45.0))
    machine.end(job, 1)
    assert machine.reasons(job) == [Reason.BEGIN_TIME]
    machine.tick(29)
    assert job.state is State.PENDING
    machine.tick(2)
    assert (job.state, job.attempt) == (State.STARTING, 2)
    assert [delay(Retries(9, backoff=30.0, max_backoff=45.0), n) for n in (1, 2, 3)] == [30, 45, 45]


def test_a_time_limit_can_be_retried_and_the_next_attempt_has_all_of_it() -> None:
    machine = Machine()
    (job,) = machine.submit(profile(), retries=Retries(1, ("timeout",)), time_limit=60.0)
    machine.run(job)
    machine.tick(61)
    machine.end(job, 143)
    machine.run(job)
    machine.tick(59)
    assert not job.timed_out
    machine.tick(2)
    machine.end(job, 143)
    assert (job.outcome, job.attempt) == (Outcome.TIMEOUT, 2)


def test_a_lost_container_is_run_again_only_for_the_word_infra() -> None:
    for words, expected in ((("any",), State.DONE), (("infra",), State.STARTING)):
        machine, job = running(Retries(1, words))
        machine.tell(ev.AttemptLost(job.id, 1, "gone", job.slices))
        assert job.state is expected


@pytest.mark.parametrize("need", [profile(), CPU])
def test_a_container_that_was_killed_for_what_it_got_runs_again_only_for_infra(
    need: object,
) -> None:
    machine = Machine(slices=[mig(0), mig(1)])
    (job,) = machine.submit(need, retries=Retries(1, ("infra",)))  # type: ignore[arg-type]
    machine.fail_start(job, ev.StartFailure.TAMPERED)
    assert (job.state, job.attempt) == (State.STARTING, 2)
    assert "MIG-a-0" not in job.slices


def test_a_cancelled_job_is_not_run_again_even_while_its_retry_waits() -> None:
    machine, job = running(Retries(5, ("any",)))
    machine.tell(ev.CancelAsked(job.id, 1000))
    machine.end(job, 1)
    assert job.outcome is Outcome.CANCELLED
    machine, job = running(Retries(5, ("any",)))
    machine.end(job, 1, idle=False)
    machine.tell(ev.CancelAsked(job.id, 1000))
    assert (job.state, job.outcome) == (State.COMPLETING, Outcome.CANCELLED)
    machine.tell(ev.SlicesIdle(job.id, 1, job.slices))
    assert job.state is State.DONE


def test_who_depends_on_a_job_waits_for_its_last_attempt() -> None:
    machine, job = running(Retries(1, ("any",)))
    machine.end(job, 1)
    assert machine.world.ended == []
    machine.run(job)
    machine.end(job)
    assert job.outcome is Outcome.COMPLETED


def test_a_slice_that_is_stuck_does_not_keep_the_job_from_its_next_attempt() -> None:
    machine = Machine(slices=[mig(0), mig(1)])
    (job,) = machine.submit(profile(), retries=Retries(1, ("any",)))
    machine.run(job)
    machine.end(job, 1, idle=False)
    machine.tell(ev.SliceStuck(job.id, 1, "MIG-a-0", "process 7"))
    assert (job.state, job.slices) == (State.STARTING, ("MIG-a-1",))


def test_what_provably_never_started_costs_no_retry() -> None:
    machine = Machine()
    (job,) = machine.submit(profile(), retries=Retries(1, ("any",)))
    machine.fail_start(job, ev.StartFailure.INFRA)
    machine.fail_start(job, ev.StartFailure.INFRA)
    assert (job.state, job.attempt, job.retried) == (State.STARTING, 3, 0)


def test_a_registry_that_cannot_be_asked_is_tried_three_times_then_the_job_is_held() -> None:
    machine = Machine()
    (job,) = machine.submit(profile(), pinned=False)
    for seconds in (11.0, 21.0):
        machine.tell(ev.ImageFailed(IMAGE, "no route to host", transient=True))
        assert machine.reasons(job) == [Reason.BEGIN_TIME]
        machine.tick(seconds)
        assert machine.reasons(job) == [Reason.IMAGE_PULL]
    machine.tell(ev.ImageFailed(IMAGE, "no route to host", transient=True))
    assert machine.reasons(job) == [Reason.IMAGE_PULL_FAILED]
    machine.tell(ev.ReleaseAsked(job.id, 1000))
    machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
    assert job.state is State.STARTING


@pytest.mark.parametrize(
    ("word", "outcome", "code", "holds"),
    [
        ("exit:75", Outcome.FAILED, 75, True),
        ("exit:75", Outcome.FAILED, 7, False),
        ("exit:1-3", Outcome.FAILED, 3, True),
        ("exit:1-3", Outcome.TIMEOUT, 3, False),
        ("exit:137", Outcome.OUT_OF_MEMORY, 137, True),
        ("oom", Outcome.OUT_OF_MEMORY, 137, True),
        ("timeout", Outcome.TIMEOUT, 143, True),
        ("any", Outcome.TIMEOUT, 143, True),
        ("any", Outcome.LOST, None, False),
        ("infra", Outcome.LOST, None, True),
        ("infra", Outcome.FAILED, 1, False),
    ],
)
def test_each_word_means_its_ends(
    word: str, outcome: Outcome, code: int | None, holds: bool
) -> None:
    assert matches((word,), outcome, code) is holds
