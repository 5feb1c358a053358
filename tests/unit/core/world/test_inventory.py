"""What NVML reports, applied: what is new, gone, changed, silent, foreign or not ours."""

from __future__ import annotations

from dataclasses import replace

from launcher.core.messages.changes import Quarantine
from launcher.core.messages.events import InventoryRead
from launcher.core.model.gpu import Instance, Inventory, Placement, Slice
from launcher.core.model.packing import Place
from launcher.core.world.inventory import take_inventory
from launcher.core.world.world import World
from tests.support.builders import Machine, a30, mig, profile, whole

GPU, FIRST = "GPU-a", mig(0).uuid


def read(world: World, *slices: Slice, **fields: object) -> None:
    inventory = Inventory("580", (a30(),), slices)
    foreign = fields.pop("foreign", ())
    take_inventory(world, InventoryRead(replace(inventory, **fields), foreign))  # type: ignore[arg-type]


def with_job() -> World:
    """The world of a job on the first slice."""
    machine = Machine(slices=[mig(0), mig(1)])
    (job,) = machine.submit(profile())
    machine.run(job)
    assert job.slices == (FIRST,)
    return machine.world


def test_slices_come_and_go_as_nvml_reports_them() -> None:
    world = World("feed")
    read(world, mig(0), mig(1))
    assert set(world.slices) == {FIRST, mig(1).uuid}
    read(world, mig(1), mig(2))
    assert set(world.slices) == {mig(1).uuid, mig(2).uuid}


def test_a_leased_slice_that_is_gone_is_lost_and_found_again() -> None:
    world = with_job()
    read(world, mig(1))
    assert world.slices[FIRST].lost
    assert world.slices[FIRST].lease is not None
    read(world, mig(0), mig(1))
    assert not world.slices[FIRST].lost


def test_a_leased_slice_whose_uuid_names_another_now_is_lost_and_that_one_remembered() -> None:
    world = with_job()
    other = replace(mig(0, "2g.12gb"), uuid=FIRST)
    read(world, other, mig(1))
    state = world.slices[FIRST]
    assert (state.lost, state.instead, state.slice) == (True, other, mig(0))


def test_a_free_slice_whose_uuid_names_another_now_is_that_one() -> None:
    world = World("feed")
    read(world, mig(0))
    other = replace(mig(0, "2g.12gb"), uuid=FIRST)
    read(world, other)
    assert (world.slices[FIRST].slice, world.slices[FIRST].lost) == (other, False)


def test_a_quarantine_outlives_the_absence_of_its_slice() -> None:
    world = World("feed")
    read(world, mig(0))
    world.quarantine(FIRST, Quarantine("it is stuck", since=1.0))
    read(world)
    assert (world.slices[FIRST].lost, world.slices[FIRST].quarantine) == (True, "it is stuck")


def test_of_a_gpu_that_does_not_answer_everything_stays_as_it_was() -> None:
    world = with_job()
    read(world, silent=((GPU, "it does not answer"),))
    assert set(world.slices) == {FIRST, mig(1).uuid}
    states = world.slices.values()
    assert [(s.lost, s.silent) for s in states] == [(False, "it does not answer")] * 2
    read(world, mig(0), mig(1))
    assert [s.silent for s in world.slices.values()] == [None, None]


def test_foreign_use_is_recorded_of_slices_without_a_lease() -> None:
    world = with_job()
    seen = tuple((uuid, "is used by process 7") for uuid in world.slices)
    read(world, mig(0), mig(1), foreign=seen)
    assert [s.foreign for s in world.slices.values()] == [None, "is used by process 7"]
    read(world, mig(0), mig(1))
    assert world.slices[mig(1).uuid].foreign is None


def test_an_instance_of_ours_that_is_gone_is_ours_no_more_unless_that_is_unknown() -> None:
    world = World("feed")
    instance = Instance(GPU, 3, "1g.6gb", 14, Placement(0, 1))
    read(world, mig(3), instances=(instance,))
    world.set_made(GPU, 3, Place(14, 0))
    read(world, hidden=(GPU,))
    read(world, silent=((GPU, "it does not answer"),))
    assert (GPU, 3) in world.made
    read(world)
    assert world.made == {}
    assert world.take_changes().made[GPU, 3] is None


def test_a_whole_gpu_and_its_parts_are_not_used_at_once() -> None:
    """MIG mode was switched while a job held a part."""
    world = with_job()
    read(world, whole(GPU))
    assert FIRST in (world.slices[GPU].beside or "")
    assert not world.slices[GPU].usable
