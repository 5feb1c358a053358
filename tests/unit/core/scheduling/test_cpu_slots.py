"""CPU slots that are withheld for a waiting job of several, and the jobs that may use them."""

from __future__ import annotations

import pytest

from launcher.core.model.job import Job, State
from launcher.core.scheduling.cpu_slots import KeptSlots, check_possible
from launcher.errors import ImpossibleRequest
from launcher.spec.gpus import GpuRequest
from tests.support.builders import CPU, Machine, profile


def slots(count: int) -> GpuRequest:
    return GpuRequest("none", count=count)


def waiting(machine: Machine, need: GpuRequest, **spec: object) -> Job:
    (job,) = machine.submit(need, **spec)  # type: ignore[arg-type]
    assert job.state is State.PENDING
    return job


def key(job: Job) -> tuple[int, float, int]:
    return (-job.priority, 0.0, job.id)


def busy(count: int, used: int, **spec: object) -> Machine:
    """A machine with so many slots, some of them used by one running job."""
    machine = Machine(slices=[], cpu_slots=count)
    (job,) = machine.submit(slots(used), **spec)  # type: ignore[arg-type]
    machine.run(job)
    return machine


@pytest.mark.parametrize("need", [slots(4), profile(count=9)])
def test_a_request_that_fits_or_needs_no_slot_is_possible(need: GpuRequest) -> None:
    check_possible(Machine(slices=[], cpu_slots=4).world, need)


def test_more_slots_than_there_are_is_refused_with_both_numbers() -> None:
    with pytest.raises(ImpossibleRequest, match="5 CPU slots are needed, this machine has 4"):
        check_possible(Machine(slices=[], cpu_slots=4).world, slots(5))


def test_a_blocked_job_withholds_what_is_free_from_the_jobs_behind_it() -> None:
    machine = busy(4, 2)
    large, small = waiting(machine, slots(3)), waiting(machine, CPU)
    withheld = KeptSlots(machine.world)
    withheld.withhold(large, key(large), machine.time)
    assert withheld.free_for(small, key(small)) == 0
    assert withheld.free_for(large, key(large)) == 2, "not from itself"
    ((holder, count),) = withheld.holders(small, key(small))
    assert (holder.job, count) == (large.id, 2)


def test_a_job_that_ends_before_the_blocked_one_could_start_uses_its_slots() -> None:
    machine = busy(4, 2, time_limit=600.0)
    large = waiting(machine, slots(4))
    withheld = KeptSlots(machine.world)
    withheld.withhold(large, key(large), machine.time)
    short, long = (machine.submit(CPU, time_limit=t)[0] for t in (60.0, 6000.0))
    assert withheld.holders(short, key(short)) == []
    assert withheld.free_for(short, key(short)) == machine.world.cpu_slots - machine.world.cpu_used
    assert withheld.holders(long, key(long)) != []


@pytest.mark.parametrize("need", [1, 9])
def test_a_job_of_one_slot_or_of_more_than_there_are_withholds_none(need: int) -> None:
    machine = busy(4, 2)
    (job,) = machine.submit(CPU)
    job.need = slots(need)
    withheld = KeptSlots(machine.world)
    withheld.withhold(job, key(job), machine.time)
    assert withheld.withheld == []


def test_a_job_withholds_only_while_it_is_its_turn() -> None:
    machine = busy(4, 2)
    large = waiting(machine, slots(3))
    machine.world.keeping[large.id] = machine.time.boot
    machine.wait(machine.world.rules.holdback_idle)
    withheld = KeptSlots(machine.world)
    withheld.withhold(large, key(large), machine.time)
    assert withheld.withheld == []
