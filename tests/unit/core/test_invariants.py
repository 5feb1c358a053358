"""The invariants that the core answers for, each by its name."""

from __future__ import annotations

import pytest

from launcher.core.invariants import violations
from launcher.core.messages import events as ev
from launcher.core.messages.actions import RemoveContainer, StartAttempt
from launcher.core.model.gpu import Placement, Slice
from launcher.core.model.job import Outcome, Reason, State
from launcher.core.recovery.reconcile import resume
from tests.support.builders import CPU, IMAGE, Machine, mig, profile


def test_i1_two_jobs_never_get_one_slice() -> None:
    machine = Machine(slices=[mig(0)])
    first, second = machine.submit(profile(), profile())
    assert (first.state, second.state) == (State.STARTING, State.PENDING)
    with pytest.raises(AssertionError, match="leased twice"):
        machine.world.grant(machine.world.leases[first.id][0])


def test_i2_an_ended_container_does_not_free_its_slice_before_the_proof() -> None:
    machine = Machine(slices=[mig(0)])
    first, second = machine.submit(profile(), profile())
    machine.run(first)
    machine.end(first, idle=False)
    assert (first.state, first.outcome) == (State.COMPLETING, Outcome.COMPLETED)
    assert second.state is State.PENDING
    machine.tell(ev.SlicesIdle(first.id, 1, first.slices))
    assert (first.state, second.state) == (State.DONE, State.STARTING)


def test_i2_a_slice_that_is_not_proven_free_is_quarantined_until_it_is() -> None:
    machine = Machine(slices=[mig(0)])
    first, second = machine.submit(profile(), profile())
    machine.run(first)
    machine.end(first, idle=False)
    machine.tell(ev.SliceStuck(first.id, 1, first.slices[0], "process 7"))
    assert first.state is State.DONE
    assert second.state is State.PENDING
    machine.tell(ev.QuarantineCleared(first.slices[0]))
    assert second.state is State.STARTING


def test_i2_cancelling_does_not_free_the_slice() -> None:
    machine = Machine(slices=[mig(0)])
    first, second = machine.submit(profile(), profile())
    machine.run(first)
    machine.tell(ev.CancelAsked(first.id, 1000))
    assert second.state is State.PENDING


def test_i3_a_start_of_unknown_outcome_goes_on_under_its_own_number_and_looks_first() -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    (again,) = [a for a in resume(machine.world, machine.time) if isinstance(a, StartAttempt)]
    assert (again.attempt, again.resumed) == (job.attempt, True)
    assert again.container_name == "launch-feed-1-1"


def test_i6_a_restart_only_follows_what_runs() -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    machine.run(job)
    assert [type(a).__name__ for a in resume(machine.world, machine.time)] == ["FollowAttempt"]


@pytest.mark.parametrize("attempt", [0, 2, 99])
def test_i11_late_words_of_another_attempt_are_dropped_and_counted(attempt: int) -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    machine.run(job)
    late = ev.AttemptEnded(job.id, attempt, 1, False, "t", "t", job.slices)
    assert machine.tell(late) == []
    assert (job.state, machine.world.late_events) == (State.RUNNING, 1)


def test_i11_an_end_that_is_told_twice_counts_once() -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    machine.run(job)
    machine.end(job, 3, idle=False)
    machine.end(job, 4)
    assert (job.exit_code, machine.world.late_events) == (3, 1)


@pytest.mark.parametrize(
    "other",
    [
        Slice("MIG-a-0", "GPU-a", 0, "2g.12gb", 5, 11968, 0, 0, Placement(0, 2)),
        Slice("MIG-a-0", "GPU-a", 0, "1g.6gb", 14, 5952, 9, 0, Placement(0, 1)),
        Slice("MIG-a-0", "GPU-a", 0, "1g.6gb", 14, 5952, 0, 0, Placement(3, 1)),
    ],
)
def test_i12_a_leased_uuid_that_names_another_shape_is_lost(other: Slice) -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile())
    machine.run(job)
    machine.see([other])
    assert machine.world.slices["MIG-a-0"].lost
    assert job.state is State.RUNNING, "a running job is left alone"


def test_i12_a_slice_that_changed_before_the_start_queues_the_job_again() -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    machine.fail_start(job, ev.StartFailure.SLICE_CHANGED, slice=job.slices[0])
    assert (job.state, job.attempt) == (State.STARTING, 2)
    assert job.slices == ("MIG-a-1",)
    assert machine.world.slices["MIG-a-0"].lost


def test_i13_a_slice_that_another_uses_is_never_leased() -> None:
    machine = Machine(slices=[mig(0)])
    machine.see([mig(0)], {"MIG-a-0": "is used by the container launch-other-1-1"})
    (job,) = machine.submit(profile())
    assert job.state is State.PENDING
    machine.see([mig(0)])
    assert job.state is State.STARTING


def test_i14_a_start_that_may_have_run_is_never_repeated() -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    machine.run(job)
    machine.tell(ev.AttemptLost(job.id, 1, "somebody removed it", job.slices))
    assert (job.state, job.outcome) == (State.DONE, Outcome.LOST)


def test_i14_a_start_that_never_ran_costs_nothing_but_three_of_them_hold_the_job() -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    for attempt in (1, 2, 3):
        assert job.attempt == attempt
        actions = machine.fail_start(job, ev.StartFailure.INFRA)
        assert RemoveContainer(job.id, attempt, f"launch-feed-1-{attempt}") in actions
    assert (job.state, job.held) == (State.PENDING, Reason.NEVER_STARTED)
    machine.tell(ev.Tick())
    assert job.state is State.PENDING
    machine.tell(ev.ReleaseAsked(job.id, 0))
    assert (job.state, job.attempt) == (State.STARTING, 4)


def test_i9_a_container_that_got_something_else_loses_its_slice() -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile())
    machine.fail_start(job, ev.StartFailure.TAMPERED)
    assert (job.state, job.outcome) == (State.DONE, Outcome.LOST)
    assert machine.world.slices["MIG-a-0"].quarantine == "because"


def test_i10_nothing_starts_before_the_start_up_comparison_and_while_docker_is_away() -> None:
    machine = Machine(ready=False)
    (job,) = machine.submit(profile())
    assert job.state is State.PENDING
    machine.tell(ev.EngineDown("it does not answer"), ev.Reconciled())
    assert job.state is State.PENDING
    machine.tell(ev.EngineUp())
    assert job.state is State.STARTING


def test_i10_nvml_away_stops_gpu_jobs_and_leaves_cpu_jobs_and_running_ones_alone() -> None:
    machine = Machine()
    (running,) = machine.submit(profile())
    machine.run(running)
    machine.tell(ev.InventoryFailed("the driver is not loaded"))
    gpu, cpu = machine.submit(profile(), CPU)
    assert (gpu.state, cpu.state) == (State.PENDING, State.STARTING)
    assert running.state is State.RUNNING


def test_the_checker_sees_a_broken_world() -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    machine.world.slices["MIG-a-0"].lease = None
    job.slices = ("MIG-a-3",)
    found = violations(machine.world)
    assert any(line.startswith("I1") for line in found)
    assert any(line.startswith("I9") for line in found)


def test_a_slice_is_never_held_while_an_image_is_pulled() -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile(), pinned=False)
    machine.tell(ev.ImageMissing(IMAGE))
    assert job.state is State.PENDING
    assert machine.world.leases == {}
