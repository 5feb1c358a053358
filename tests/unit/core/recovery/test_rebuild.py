"""A world put right: Docker's word wins, and nothing that may have begun begins again."""

from __future__ import annotations

import dataclasses

import pytest

from launcher.core.invariants import violations
from launcher.core.messages import events as ev
from launcher.core.model.ids import container_name
from launcher.core.model.job import ALONE, After, Dependency, Job, Outcome, Reason, State
from launcher.core.recovery.rebuild import FoundContainer, Rebuild, RebuiltJobs
from launcher.core.recovery.reconcile import resume
from launcher.core.world.world import World
from tests.support.builders import ALICE, CPU, Machine, mig, profile

STARTED, ENDED = "2026-12-01T00:00:00.000000Z", "2026-12-01T00:01:00.000000Z"
SHOWN = {mig(i).uuid: mig(i) for i in range(4)}


def found(job: int, slice_number: int = 0, attempt: int = 1, **fields: object) -> FoundContainer:
    made = FoundContainer(
        job, attempt, ALICE, (mig(slice_number).uuid,), container_name("feed", job, attempt),
        f"c{job}", "sha256:1", "made", "busybox:1", "{}",
        running=True, started_at=STARTED, ended_at=None, exit_code=0, oom=False,
    )  # fmt: skip
    return dataclasses.replace(made, **fields)  # type: ignore[arg-type]


def over(job: int, slice_number: int = 0, code: int = 0, **fields: object) -> FoundContainer:
    return found(job, slice_number, running=False, ended_at=ENDED, exit_code=code, **fields)


def rebuild(
    world: World,
    *containers: FoundContainer,
    ended: tuple[Job, ...] = (),
    logs: dict[int, int] | None = None,
) -> RebuiltJobs:
    known = {job.id: job for job in ended}
    now = ev.Now(1_800_000_000.0, 1000.0)
    restored = Rebuild(world, known.get, logs or {}, SHOWN, now).run(containers)
    assert violations(world) == []
    resume(world, now)
    assert violations(world) == []
    return restored


def empty() -> World:
    return World("feed")


def test_a_running_container_becomes_a_running_job_that_holds_its_slices() -> None:
    world = empty()
    restored = rebuild(world, found(7, 2, attempt=3, time_limit=60.0))
    job = world.jobs[7]
    assert (job.state, job.attempt, job.slices) == (State.RUNNING, 3, (mig(2).uuid,))
    assert (job.owner, job.need.kind, job.time_limit) == (ALICE, "uuid", 60.0)
    assert world.slices[mig(2).uuid].lease.slice == mig(2)  # type: ignore[union-attr]
    assert restored.running == [7]
    assert [one.id for one, _ in world.changes.new_jobs] == [7]


def test_a_container_that_ended_is_followed_to_its_true_end() -> None:
    world = empty()
    assert rebuild(world, over(7, code=3)).ended == [7]
    assert world.jobs[7].state is State.RUNNING, "its follower tells how it ended"


def test_an_ended_container_does_not_take_a_slice_from_a_running_one() -> None:
    world = empty()
    rebuild(world, over(3, code=9), found(7))
    assert world.slices[mig(0).uuid].lease.job == 7  # type: ignore[union-attr]
    assert 3 not in world.jobs
    assert world.changes.jobs[3].outcome is Outcome.FAILED
    assert world.changes.jobs[3].exit_code == 9


def test_a_container_that_was_only_created_goes_on_as_a_start() -> None:
    world = empty()
    assert rebuild(world, found(7, running=False, started_at=None)).starting == [7]
    assert world.jobs[7].state is State.STARTING


def test_a_container_that_was_only_created_waits_for_a_slice_that_others_run_on() -> None:
    world = empty()
    rebuild(world, found(7, running=False, started_at=None), found(8))
    assert (world.jobs[7].state, world.jobs[7].attempt) == (State.PENDING, 1)
    assert world.slices[mig(0).uuid].lease.job == 8  # type: ignore[union-attr]


def test_what_was_recorded_as_running_and_has_no_container_is_lost() -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    machine.run(job)
    assert rebuild(machine.world).lost == [job.id]
    assert job.outcome is Outcome.LOST
    assert machine.world.slices[job.slices[0]].lease is not None, "not free without a proof"


@pytest.mark.parametrize("state", [State.PENDING, State.STARTING])
def test_a_job_that_was_not_seen_to_run_is_where_its_container_is(state: State) -> None:
    machine = Machine(ready=state is State.STARTING)
    (job,) = machine.submit(profile())
    assert job.state is state
    rebuild(machine.world, found(job.id, 1))
    assert (job.state, job.slices) == (State.RUNNING, (mig(1).uuid,))
    assert sum(s.lease is not None for s in machine.world.slices.values()) == 1


def test_a_recorded_end_is_believed_unless_a_later_attempt_is_there() -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    machine.run(job)
    machine.end(job, 4)
    done = dataclasses.replace(job)
    world = empty()
    assert not rebuild(world, over(job.id), ended=(done,)).ended
    assert not world.jobs
    again = found(job.id, attempt=2)
    assert rebuild(world, again, ended=(done,)).running == [job.id]
    assert world.changes.reopened == {job.id}
    assert (done.state, done.outcome, done.attempt) == (State.RUNNING, None, 2)


def test_a_waiting_job_with_a_log_of_an_unknown_attempt_is_not_run_again() -> None:
    machine = Machine(ready=False)
    first, second = machine.submit(profile(), profile())
    assert rebuild(machine.world, logs={first.id: 1}).lost == [first.id]
    assert first.outcome is Outcome.LOST
    assert second.state is State.PENDING


def test_who_waits_for_a_job_that_is_lost_hears_of_it() -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    machine.run(job)
    (after,) = machine.submit(profile())
    after.depends_on = (Dependency(job.id),)
    after.waits_for = dict.fromkeys(after.depends_on)
    after.state = State.PENDING
    machine.world.depend(after)
    for lease in list(machine.world.leases.get(after.id, ())):
        machine.world.release(lease, 0.0)
    rebuild(machine.world)
    assert after.outcome is Outcome.CANCELLED


def test_who_waits_for_a_job_of_which_nothing_is_known_is_held() -> None:
    machine = Machine(ready=False)
    (job,) = machine.submit(profile())
    job.waits_for = {Dependency(999): None}
    restored = rebuild(machine.world)
    assert (job.state, job.held) == (State.PENDING, Reason.JOB_HELD_ADMIN)
    assert "job 999" in (job.message or "")
    assert "is held" in restored.doubts[0]


def test_who_waits_to_run_alone_or_for_a_start_goes_on_after_a_rebuild() -> None:
    machine = Machine(ready=False)
    (first,) = machine.submit(profile())
    alone, after = machine.submit(CPU, CPU, hold=True)
    alone.depends_on = (ALONE,)
    after.depends_on = (Dependency(first.id, After.START),)
    for job in (alone, after):
        job.waits_for, job.held = dict.fromkeys(job.depends_on), None
        machine.world.depend(job)
    rebuild(machine.world, found(first.id))
    assert first.state is State.RUNNING
    assert (alone.held, alone.message) == (None, None)
    assert not after.waits_for
    machine.tell(ev.Tick())
    assert alone.waits_for, "an earlier job of its name runs"


def test_i10_where_a_running_containers_slice_is_not_in_nvml_nothing_is_free_unproven() -> None:
    world = empty()
    restored = rebuild(world, found(7, slices=("MIG-gone",)), found(8, 1))
    quarantined = {u for u, s in world.slices.items() if s.quarantine}
    assert quarantined == SHOWN.keys() - {mig(1).uuid}
    assert "MIG-gone" in restored.doubts[-1]
    assert world.jobs[7].state is State.RUNNING, "it is left alone"


def test_a_job_whose_end_was_recorded_keeps_its_outcome_until_its_slices_are_proven() -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    machine.run(job)
    machine.end(job, 2, idle=False)
    assert job.state is State.COMPLETING
    rebuild(machine.world, over(job.id, int(job.slices[0][-1]), code=2))
    assert (job.state, job.outcome, job.exit_code) == (State.COMPLETING, Outcome.FAILED, 2)


def test_a_job_without_a_gpu_runs_on_without_one() -> None:
    world = empty()
    rebuild(world, found(7, slices=()))
    assert world.cpu_running == {7}
    assert world.jobs[7].need.kind == "none"
