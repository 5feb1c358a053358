"""Jobs without a GPU take as many CPU slots as cores, and share memory by them."""

from __future__ import annotations

import pytest

from launcher.core.messages import events as ev
from launcher.core.model.job import Reason, State
from launcher.core.model.need import needed, slots_for
from launcher.core.policy.settings import Policy, Quota, Settings
from launcher.core.scheduling.memory_share import memory_with
from launcher.errors import ImpossibleRequest, NotAllowed
from launcher.spec.gpus import GpuRequest
from tests.support.builders import BOB, CPU, Machine, profile


def cores(count: int) -> GpuRequest:
    return GpuRequest("none", count=count)


@pytest.mark.parametrize(("cpus", "slots"), [(None, 1), (0.1, 1), (1.0, 1), (1.5, 2), (4.0, 4)])
def test_a_job_takes_its_cores_rounded_up_and_one_without_any(
    cpus: float | None, slots: int
) -> None:
    assert slots_for(cpus) == slots
    assert needed(CPU, cpus) == cores(slots)
    assert needed(profile(), cpus) == profile()


def test_two_jobs_of_two_cores_do_not_run_on_two_slots_at_once() -> None:
    machine = Machine(slices=[], cpu_slots=2)
    first, second = machine.submit(cores(2), cores(2))
    assert (first.state, second.state) == (State.STARTING, State.PENDING)
    machine.run(first)
    machine.end(first)
    assert second.state is State.STARTING


def test_the_memory_of_the_jobs_that_run_at_once_is_no_more_than_the_hosts() -> None:
    machine = Machine(slices=[], cpu_slots=3, rules=Settings(policy=Policy(host_memory=900)))
    assert [memory_with(machine.world, (), cpus) for cpus in (None, 0.5, 1.5, 3.0)] == [
        300, 300, 600, 900,
    ]  # fmt: skip


def test_more_cores_than_there_are_slots_are_refused_at_submit() -> None:
    machine = Machine(slices=[], cpu_slots=2)
    with pytest.raises(ImpossibleRequest, match="3 CPU slots are needed, this machine has 2"):
        machine.submit(cores(3))


def test_small_jobs_do_not_starve_one_of_several_slots() -> None:
    machine = Machine(slices=[], cpu_slots=2)
    (running,) = machine.submit(cores(1))
    machine.run(running)
    (large,) = machine.submit(cores(2))
    (small,) = machine.submit(cores(1))
    assert (large.state, small.state) == (State.PENDING, State.PENDING)
    assert machine.reasons(large) == [Reason.RESOURCES]
    assert machine.reasons(small) == [Reason.PRIORITY]
    machine.end(running)
    assert (large.state, small.state) == (State.STARTING, State.PENDING)


def test_a_short_job_runs_in_front_of_one_of_several_slots_if_it_ends_in_time() -> None:
    machine = Machine(slices=[], cpu_slots=2)
    (running,) = machine.submit(cores(1), time_limit=3600.0)
    machine.run(running)
    (large,) = machine.submit(cores(2))
    short, long = machine.submit(cores(1), cores(1), time_limit=60.0)
    assert (large.state, short.state) == (State.PENDING, State.STARTING)
    assert long.state is State.PENDING


def test_a_quota_of_cpu_slots_makes_jobs_wait_and_refuses_what_can_never_run() -> None:
    machine = Machine(slices=[], cpu_slots=4, rules=Settings(user_quota=Quota(running_cpu_slots=2)))
    first, second = machine.submit(cores(2), cores(1))
    (other,) = machine.submit(cores(2), owner=BOB)
    assert (first.state, second.state, other.state) == (
        State.STARTING, State.PENDING, State.STARTING,
    )  # fmt: skip
    assert machine.reasons(second) == [Reason.QUOTA]
    with pytest.raises(NotAllowed, match="3 CPU slots at once exceed the limit of 2"):
        machine.submit(cores(3))


def test_a_job_counts_for_fair_share_by_its_slots() -> None:
    machine = Machine(slices=[], cpu_slots=4)
    (large,) = machine.submit(cores(3))
    (small,) = machine.submit(cores(1), owner=BOB)
    for job in (large, small):
        machine.run(job)
    machine.wait(1000.0)
    machine.tell(ev.Tick())
    for job in (large, small):
        machine.end(job)
    uses = machine.world.uses
    assert uses[large.owner.uid].amount == pytest.approx(3 * uses[BOB.uid].amount, rel=0.01)
