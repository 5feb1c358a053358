"""What keeps host jobs from starting while Docker is away, or cannot hand out GPUs."""

from __future__ import annotations

import pytest

from launcher.core.jobs.submit import submit
from launcher.core.messages import events as ev
from launcher.core.model.job import ImageKey, Job, Reason, State
from launcher.core.scheduling.explain import blockers
from launcher.core.scheduling.scheduler import UNKNOWN_USE
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import HOST, JobSpec
from tests.support.builders import CPU, ROOT, Machine, mig, profile


def on_host(machine: Machine, need: GpuRequest) -> Job:
    """Queue a host job."""
    spec = JobSpec("job", "", need, runtime=HOST, command=("true",), foreground=True)
    new = ev.NewJob(spec, "{}", ImageKey("", "missing"))
    (job,), _ = submit(machine.world, ev.Submitted(ROOT, (new,)), machine.time)
    machine.tell()
    return job


def test_without_a_slice_it_starts_while_docker_is_away_past_containers_in_front() -> None:
    machine = Machine(slices=[mig(0)])
    machine.tell(ev.EngineDown("away"))
    (container,) = machine.submit(CPU)
    assert on_host(machine, CPU).state is State.STARTING
    assert container.state is State.PENDING
    (told,) = blockers(machine.world, container, machine.time)
    assert (told.reason, told.have) == (Reason.ENGINE_UNAVAILABLE, "away")
    machine.tell(ev.EngineUp())
    assert container.state is State.STARTING


def test_with_a_slice_it_waits_for_docker_which_alone_knows_who_uses_slices() -> None:
    machine = Machine(slices=[mig(0)])
    machine.tell(ev.EngineDown("away"))
    job = on_host(machine, profile())
    assert job.state is State.PENDING
    (told,) = blockers(machine.world, job, machine.time)
    assert (told.reason, told.have) == (Reason.ENGINE_UNAVAILABLE, f"{UNKNOWN_USE}: away")
    machine.tell(ev.EngineUp())
    assert job.state is State.STARTING


def test_it_needs_no_docker_that_can_hand_out_gpus() -> None:
    machine = Machine(slices=[mig(0)])
    machine.world.gpu_support = "install nvidia-container-toolkit"
    (container,) = machine.submit(profile())
    assert on_host(machine, profile()).state is State.STARTING
    assert container.state is State.PENDING


@pytest.mark.parametrize("need", [CPU, profile()])
def test_like_all_others_it_waits_until_the_daemon_has_looked_around(need: GpuRequest) -> None:
    machine = Machine(slices=[mig(0)], ready=False)
    job = on_host(machine, need)
    assert job.state is State.PENDING
    machine.tell(ev.Reconciled())
    assert job.state is State.STARTING


def test_a_gpu_that_is_silent_keeps_the_slices_back() -> None:
    machine = Machine(slices=[mig(0)])
    machine.tell(ev.InventoryFailed("NVML is gone"))
    assert on_host(machine, profile()).state is State.PENDING
    assert on_host(machine, CPU).state is State.STARTING
