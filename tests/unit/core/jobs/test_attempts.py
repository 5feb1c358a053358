"""The effects of an attempt's events: started, refused, ended, lost, proven free."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from launcher.core.jobs.attempts import LONGEST_WAIT_SECONDS, MAX_STARTS_NEVER_STARTED
from launcher.core.messages import events as ev
from launcher.core.messages.actions import FollowAttempt, ProveIdle, RemoveContainer, StartAttempt
from launcher.core.messages.events import StartFailure
from launcher.core.model.job import Job, Outcome, Reason, State
from launcher.core.model.measurement import Measurement
from launcher.core.world.world import FIRST_WAIT_SECONDS, World
from launcher.spec.job_spec import Retries
from tests.support.builders import ALICE, CPU, Machine, mig, profile

SLICE = mig(0).uuid


def starting(**spec: object) -> tuple[Machine, Job]:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile(), **spec)  # type: ignore[arg-type]
    assert job.state is State.STARTING
    return machine, job


def running(**spec: object) -> tuple[Machine, Job]:
    machine, job = starting(**spec)
    machine.run(job)
    return machine, job


def kinds(actions: list[object]) -> list[type]:
    return [type(action) for action in actions]


def test_a_start_is_followed_and_recorded_and_its_time_limit_counts_from_now() -> None:
    machine, job = starting(time_limit=60.0)
    machine.wait(5)
    (follow,) = machine.run(job)
    assert isinstance(follow, FollowAttempt)
    attempt = machine.world.attempts[job.id]
    assert follow.container_id == attempt.container_id == job.container_id == f"c{job.id}"
    assert attempt.started_at == job.started_at
    assert (job.started_wall, job.deadline) == (machine.time.wall, machine.time.boot + 60)


def test_an_event_of_an_earlier_attempt_is_counted_as_late_and_changes_nothing() -> None:
    machine, job = running()
    late = machine.world.late_events
    stale = job.attempt - 1
    for event in (
        ev.AttemptStarted(job.id, stale, "other", "2026-01-01T00:00:00Z"),
        ev.StartFailed(job.id, stale, StartFailure.USER, "because"),
        ev.AttemptEnded(job.id, stale, 1, False, None, None),
        ev.AttemptLost(job.id, stale, "because"),
        ev.SlicesIdle(job.id, stale, (SLICE,)),
        ev.SliceStuck(job.id, stale, SLICE, "because"),
    ):
        assert machine.tell(event) == []
    assert machine.world.late_events == late + 6
    assert (job.state, job.container_id) == (State.RUNNING, f"c{job.id}")


GATES: dict[StartFailure, Callable[[World], object]] = {
    StartFailure.ENGINE_AWAY: lambda world: world.engine_down,
    StartFailure.NO_GPU_SUPPORT: lambda world: world.gpu_support,
    StartFailure.GPU_AWAY: lambda world: world.slices[SLICE].silent,
    StartFailure.FOREIGN: lambda world: world.slices[SLICE].foreign,
}


@pytest.mark.parametrize("failure", GATES)
def test_what_failed_a_start_keeps_the_next_job_from_the_same(failure: StartFailure) -> None:
    machine, job = starting()
    actions = machine.fail_start(job, failure, slice=SLICE)
    assert kinds([*actions]) == [RemoveContainer], "nothing starts again at once"
    assert GATES[failure](machine.world) == "because"
    assert (job.state, job.slices, job.never_started) == (State.PENDING, (), 0)
    assert machine.world.slices[SLICE].lease is None


def test_a_slice_that_changed_is_lost_until_it_is_seen_again() -> None:
    machine, job = starting()
    machine.fail_start(job, StartFailure.SLICE_CHANGED, slice=SLICE)
    assert machine.world.slices[SLICE].lost
    machine.see([mig(0)])
    assert (job.state, job.attempt, job.never_started) == (State.STARTING, 2, 1)


def test_gpu_support_is_tried_again_after_waits_that_double_up_to_a_limit() -> None:
    machine, job = starting()
    waits = []
    for _ in range(8):
        waits.append(machine.world.gpu_support_wait)
        machine.fail_start(job, StartFailure.NO_GPU_SUPPORT)
        assert machine.tick(waits[-1] - 1) == []
        machine.tick(1)
        assert job.state is State.STARTING
    assert waits[:3] == [FIRST_WAIT_SECONDS, 2 * FIRST_WAIT_SECONDS, 4 * FIRST_WAIT_SECONDS]
    assert waits[-1] == LONGEST_WAIT_SECONDS
    machine.run(job)
    assert machine.world.gpu_support_wait == FIRST_WAIT_SECONDS


def test_a_job_whose_starts_keep_failing_is_held() -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(CPU)
    for n in range(1, MAX_STARTS_NEVER_STARTED + 1):
        assert job.state is State.STARTING
        machine.fail_start(job, StartFailure.INFRA)
        assert job.never_started == n
    assert (job.state, job.held) == (State.PENDING, Reason.NEVER_STARTED)


def test_the_users_own_error_ends_the_job_with_its_exit_code() -> None:
    machine, job = starting(retries=None)
    machine.fail_start(job, StartFailure.USER, exit_code=127)
    assert (job.outcome, job.exit_code, job.message) == (Outcome.FAILED, 127, "because")


def test_a_refused_start_of_a_cancelled_job_is_its_end() -> None:
    machine, job = starting()
    machine.tell(ev.CancelAsked(job.id, ALICE.uid))
    machine.fail_start(job, StartFailure.ENGINE_AWAY)
    assert job.outcome is Outcome.CANCELLED
    assert machine.world.engine_down is None


def test_slices_of_a_container_that_got_others_stay_out_of_use() -> None:
    machine, job = starting()
    actions = machine.fail_start(job, StartFailure.TAMPERED)
    state = machine.world.slices[SLICE]
    assert (job.outcome, state.quarantine, state.lasting) == (Outcome.LOST, "because", True)
    assert ProveIdle not in kinds([*actions])
    assert job.id not in machine.world.jobs


@pytest.mark.parametrize(
    ("code", "oom", "outcome", "told"),
    [
        (0, False, Outcome.COMPLETED, None),
        (0, True, Outcome.COMPLETED, None),
        (1, False, Outcome.FAILED, None),
        (137, True, Outcome.OUT_OF_MEMORY, None),
        (137, False, Outcome.FAILED, "SIGKILL"),
        (143, False, Outcome.FAILED, "SIGTERM"),
    ],
)
def test_an_end_that_the_launcher_did_not_ask_for_is_the_programs_or_a_signals(
    code: int, oom: bool, outcome: Outcome, told: str | None
) -> None:
    machine, job = running()
    machine.end(job, code, oom=oom)
    assert (job.outcome, job.exit_code) == (outcome, code)
    assert (told or "") in (job.message or "")
    assert (job.message is None) == (told is None)


def test_a_signal_that_the_launcher_sent_is_not_told_as_somebody_elses() -> None:
    machine, job = running()
    machine.tell(ev.CancelAsked(job.id, ALICE.uid))
    machine.end(job, 143)
    assert (job.outcome, job.message) == (Outcome.CANCELLED, None)


def test_an_end_that_comes_with_its_proof_frees_the_slice_for_the_next_job() -> None:
    machine, job = running()
    (other,) = machine.submit(profile())
    actions = machine.end(job)
    assert ProveIdle not in kinds([*actions])
    assert StartAttempt in kinds([*actions])
    assert (job.state, other.slices) == (State.DONE, (SLICE,))


def test_an_end_without_proof_asks_for_it_and_keeps_the_slice_until_then() -> None:
    machine, job = running()
    (other,) = machine.submit(profile())
    proofs = [a for a in machine.end(job, idle=False) if isinstance(a, ProveIdle)]
    assert [proof.uuids for proof in proofs] == [(SLICE,)]
    assert (job.state, other.state) == (State.COMPLETING, State.PENDING)
    machine.tell(ev.SlicesIdle(job.id, job.attempt, (SLICE,)))
    assert (job.state, other.state) == (State.DONE, State.STARTING)


def test_each_slice_of_several_is_freed_once_it_is_proven() -> None:
    machine = Machine(slices=[mig(0), mig(1)])
    (job,) = machine.submit(profile(count=2))
    machine.run(job)
    machine.end(job, idle=False)
    machine.tell(ev.SlicesIdle(job.id, job.attempt, (SLICE,)))
    assert job.state is State.COMPLETING
    assert machine.world.slices[SLICE].free
    machine.tell(ev.SliceStuck(job.id, job.attempt, mig(1).uuid, "a process stays"))
    assert job.state is State.DONE
    assert machine.world.slices[mig(1).uuid].quarantine == "a process stays"


@pytest.mark.parametrize(
    ("asked", "outcome"),
    [
        (None, Outcome.LOST),
        (lambda job: ev.CancelAsked(job.id, ALICE.uid), Outcome.CANCELLED),
    ],
)
def test_an_attempt_whose_end_nobody_saw_is_lost_unless_it_was_cancelled(
    asked: Callable[[Job], ev.Event] | None, outcome: Outcome
) -> None:
    machine, job = running(retries=Retries(3, ("any",)))
    if asked is not None:
        machine.tell(asked(job))
    machine.tell(ev.AttemptLost(job.id, job.attempt, "it is gone", (SLICE,)))
    assert (job.state, job.outcome, job.exit_code) == (State.DONE, outcome, None)


def test_an_attempt_that_was_lost_at_its_time_limit_timed_out() -> None:
    machine, job = running(time_limit=60.0)
    machine.tick(61)
    machine.tell(ev.AttemptLost(job.id, job.attempt, "it is gone", (SLICE,)))
    assert job.outcome is Outcome.TIMEOUT


def test_what_an_attempt_used_is_recorded_with_its_end_however_it_ended() -> None:
    used = Measurement(memory_peak_bytes=1, cpu_seconds=2.0)
    ends: list[Callable[[Job], ev.Event]] = [
        lambda job: ev.AttemptEnded(job.id, 1, 0, False, None, None, measured=used),
        lambda job: ev.AttemptLost(job.id, 1, "it is gone", measured=used),
    ]
    for end in ends:
        machine, job = running()
        attempt = machine.world.attempts[job.id]
        machine.world.changes.attempts.clear()
        machine.tell(end(job))
        assert machine.world.changes.attempts[job.id, 1] is attempt
        assert attempt.measured == used
