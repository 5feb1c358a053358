"""A GPU that cannot be asked: nothing starts on it, nothing of it is lost, and it heals."""

from __future__ import annotations

import pytest

from launcher.core.messages import events as ev
from launcher.core.mig.layout_requests import start
from launcher.core.model.gpu import Gpu, Instance, Inventory, Slice
from launcher.core.model.job import Reason, State
from launcher.core.model.layout_change import Busy, LayoutTarget
from launcher.core.model.packing import Place
from launcher.core.scheduling.explain import Explainer
from launcher.errors import ImpossibleRequest, StaleRequest
from tests.support.builders import ROOT, Machine, a30, mig, profile

WHY = (
    "NVML does not answer for GPU 0 since 2026-11-25T12:00:00Z: nvmlDeviceGetUUID has not returned"
)


def see(
    machine: Machine,
    gpus: list[Gpu],
    slices: list[Slice],
    silent: str | None = None,
    instances: tuple[Instance, ...] = (),
) -> None:
    told = () if silent is None else ((silent, WHY),)
    machine.tell(
        ev.InventoryRead(Inventory("580.95.05", tuple(gpus), tuple(slices), instances, silent=told))
    )


def two_gpus() -> tuple[Machine, list[Gpu], list[Slice]]:
    gpus, slices = [a30(), a30("GPU-b")], [mig(0), mig(1), mig(0, gpu="GPU-b")]
    return Machine(slices=slices, gpus=gpus), gpus, slices


def test_nothing_starts_on_a_silent_gpu_and_the_blocker_says_so() -> None:
    machine, gpus, slices = two_gpus()
    see(machine, gpus, slices, "GPU-a")
    first, second = machine.submit(profile(), profile())
    assert (first.slices, second.state) == (("MIG-b-0",), State.PENDING)
    machine.run(first)
    (third,) = machine.submit(profile(count=2))
    (blocker,) = Explainer(machine.world, machine.time).blockers(third)
    assert blocker.reason is Reason.GPU_UNAVAILABLE
    assert f"MIG-a-0 cannot be used now: {WHY}" in blocker.have
    see(machine, gpus, slices)
    assert second.state is State.STARTING, "it heals by itself"


def test_a_job_on_a_silent_gpu_is_left_alone_and_its_slice_is_not_lost() -> None:
    machine, gpus, slices = two_gpus()
    (job,) = machine.submit(profile())
    machine.run(job)
    see(machine, gpus[1:], slices[2:], "GPU-a")
    state = machine.world.slices[job.slices[0]]
    assert (job.state, state.lost, state.usable) == (State.RUNNING, False, False)
    machine.end(job, idle=False)
    machine.tell(ev.SlicesIdle(job.id, job.attempt, job.slices))
    assert (state.lease, state.free) == (None, False)
    see(machine, gpus, slices)
    assert state.free


@pytest.mark.parametrize("silent", ["GPU-a", ""])
def test_what_stood_on_a_silent_gpu_is_remembered_whoever_made_it(silent: str) -> None:
    machine, gpus, slices = two_gpus()
    machine.world.set_made("GPU-a", 0, Place(14, 0))
    see(machine, gpus[1:], slices[2:], silent)
    assert set(machine.world.slices) == {s.uuid for s in slices}
    assert ("GPU-a", 0) in machine.world.made
    assert machine.world.slices["MIG-b-0"].usable


def test_a_gpu_that_was_never_read_may_have_what_a_job_asks_for() -> None:
    machine = Machine(slices=[mig(0)])
    see(machine, [a30()], [mig(0)], "")
    (job,) = machine.submit(profile("9g.99gb"))
    (blocker,) = Explainer(machine.world, machine.time).blockers(job)
    assert blocker.reason is Reason.GPU_UNAVAILABLE
    assert blocker.have == f"0 exist now; {WHY}"


def test_a_start_that_cannot_ask_nvml_waits_for_it_and_counts_for_nobody() -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile())
    for _ in range(4):
        machine.fail_start(job, ev.StartFailure.GPU_AWAY, slice="MIG-a-0")
        assert (job.state, job.held, job.never_started) == (State.PENDING, None, 0)
        assert machine.reasons(job) == [Reason.GPU_UNAVAILABLE]
        assert not machine.world.slices["MIG-a-0"].lost
        machine.see([mig(0)])
        assert job.state is State.STARTING


def test_the_layout_of_a_silent_gpu_is_not_changed() -> None:
    machine, gpus, slices = two_gpus()
    see(machine, gpus, slices, "GPU-a")
    wish = LayoutTarget("GPU-a", wants=(), exact=True)
    with pytest.raises(StaleRequest, match="does not answer"):
        start(
            machine.world,
            ev.LayoutAsked(ROOT, "clear", "0", (wish,), Busy.REFUSE),
            machine.time,
        )


def test_a_gpu_that_fell_off_the_bus_may_have_had_what_a_job_asks_for() -> None:
    machine = Machine(slices=[mig(0)])
    machine.tell(ev.InventoryRead(Inventory("580.95.05", (a30(),), (mig(0),), lost=1)))
    (job,) = machine.submit(profile("9g.99gb"))
    (blocker,) = Explainer(machine.world, machine.time).blockers(job)
    assert blocker.reason is Reason.GPU_UNAVAILABLE
    assert blocker.have == "0 exist now; 1 GPU(s) fell off the bus: look at dmesg"
    machine.see([mig(0)])
    with pytest.raises(ImpossibleRequest):
        machine.submit(profile("9g.99gb"))
