"""Devices that share the memory of their GPU instance: who gets one, and what others are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher.core.messages.actions import StartAttempt
from launcher.core.model.gpu import Placement, Slice
from launcher.core.model.job import Reason, State
from launcher.core.recovery.reconcile import resume
from launcher.core.scheduling.explain import blockers
from launcher.errors import ImpossibleRequest
from launcher.spec.gpus import GpuRequest
from tests.support.builders import Machine, a30, memory, mig, profile, whole

SPLIT = "1c.2g.12gb"


def split(ci: int, gi: int = 1, compute: int = 1) -> Slice:
    """One of the compute instances of a 2g.12gb."""
    return Slice(
        f"MIG-a-{gi}{ci}", "GPU-a", 0, f"{compute}c.2g.12gb", 5, 11968, gi, ci, Placement(0, 2)
    )


def splits(count: int = 2) -> list[Slice]:
    return [split(ci) for ci in range(count)]


def test_i15_a_request_for_memory_never_gets_shared_memory() -> None:
    machine = Machine(splits())
    for need in (memory(12), memory(6), GpuRequest("memory", memory_mib=1024)):
        (job,) = machine.submit(need)
        assert job.state is State.PENDING
        (blocker,) = blockers(machine.world, job, machine.time)
        assert blocker.reason is Reason.NO_SUCH_PROFILE
        assert blocker.have == (
            "0 exist now; 2 x 1c.2g.12gb share the memory of their GPU instance with others: "
            "only a request for exactly that profile gets one (`--profile 1c.2g.12gb`)"
        )


def test_i15_a_lone_compute_instance_in_a_larger_gpu_instance_shares_it_with_the_next() -> None:
    machine = Machine(splits(1))
    (job,) = machine.submit(memory(12))
    assert job.state is State.PENDING
    machine.see(splits(2))
    assert job.state is State.PENDING


def test_i15_a_request_for_the_whole_profile_never_gets_a_part_of_it() -> None:
    machine = Machine(splits())
    (job,) = machine.submit(profile("2g.12gb"))
    (blocker,) = blockers(machine.world, job, machine.time)
    assert blocker.reason is Reason.NO_SUCH_PROFILE
    assert "2 x 1c.2g.12gb share the memory" in blocker.have


def test_a_device_with_shared_memory_goes_to_its_own_profile_and_to_its_uuid() -> None:
    machine = Machine(splits())
    (first,) = machine.submit(profile(SPLIT))
    (second,) = machine.submit(GpuRequest("uuid", uuids=(splits()[1].uuid,)))
    assert (first.state, second.state) == (State.STARTING, State.STARTING)
    assert {*first.slices, *second.slices} == {s.uuid for s in splits()}


def test_beside_shared_memory_a_request_for_memory_gets_its_own() -> None:
    machine = Machine([*splits(), mig(2, "2g.12gb")])
    first, second = machine.submit(memory(6), memory(6))
    assert first.slices == (mig(2, "2g.12gb").uuid,)
    assert second.state is State.PENDING
    assert machine.reasons(second) == [Reason.RESOURCES]


def test_a_profile_that_gpu_instances_could_be_divided_into_waits() -> None:
    machine = Machine([mig(0)])
    (job,) = machine.submit(profile(SPLIT, 4))
    assert machine.reasons(job) == [Reason.NO_SUCH_PROFILE]


@pytest.mark.parametrize("need", [profile(SPLIT, 5), profile("2c.2g.12gb"), profile("3c.2g.12gb")])
def test_what_no_gpu_instance_could_be_divided_into_is_refused(need: GpuRequest) -> None:
    machine = Machine(splits())
    with pytest.raises(ImpossibleRequest) as caught:
        machine.submit(need)
    assert "1c.2g.12gb (shares its memory)" in (caught.value.fix or "")


def test_i15_a_job_that_runs_on_shared_memory_since_an_older_state_stays_as_it_is() -> None:
    machine = Machine(splits())
    (old,) = machine.submit(profile(SPLIT))
    machine.run(old)
    old.need = memory(12)  # as granted before devices with shared memory were told apart
    waiting, exact = machine.submit(memory(12), profile(SPLIT))
    assert old.state is State.RUNNING
    assert waiting.state is State.PENDING
    assert exact.state is State.STARTING


def test_i12_a_device_that_came_back_as_a_part_of_its_gpu_instance_is_not_the_leased_one() -> None:
    whole = replace(split(0), profile="2g.12gb")
    machine = Machine([whole])
    (job,) = machine.submit(memory(12))
    machine.run(job)
    machine.see(splits())
    assert machine.world.slices[whole.uuid].lost


def test_jobs_on_shared_memory_are_charged_for_their_part_of_it() -> None:
    assert sum(s.share_mib for s in splits()) == splits()[0].memory_mib
    assert replace(split(0), profile="2g.12gb").share_mib == 11968


def test_i15_a_gpu_is_not_leased_whole_while_a_job_still_has_a_part_of_it() -> None:
    machine = Machine([mig(0)])
    (old,) = machine.submit(profile("1g.6gb"))
    machine.run(old)
    machine.gpus = [a30(mig_mode=False)]
    machine.see([whole("GPU-a")])
    (job,) = machine.submit(GpuRequest("full"))
    assert job.state is State.PENDING
    (blocker,) = blockers(machine.world, job, machine.time)
    assert blocker.reason is Reason.RESOURCES
    assert f"cannot be used while job {old.id} has {mig(0).uuid} (1g.6gb)" in blocker.have
    machine.end(old)
    assert job.state is State.STARTING


def test_i15_no_part_of_a_gpu_is_leased_while_a_job_still_has_all_of_it() -> None:
    machine = Machine([whole("GPU-a")], gpus=[a30(mig_mode=False)])
    (old,) = machine.submit(GpuRequest("full"))
    machine.run(old)
    machine.gpus = [a30()]
    machine.see([mig(0), mig(1)])
    (job,) = machine.submit(profile("1g.6gb"))
    assert job.state is State.PENDING
    assert f"job {old.id} has GPU-a (full)" in blockers(machine.world, job, machine.time)[0].have
    machine.end(old)
    assert job.state is State.STARTING


def test_a_uuid_that_came_back_as_something_else_is_told_as_what_it_is_now() -> None:
    machine = Machine([mig(0, "2g.12gb")])
    (job,) = machine.submit(profile("2g.12gb"))
    machine.run(job)
    now = replace(mig(0, "1g.6gb", start=3), uuid=job.slices[0])
    machine.see([now])
    state = machine.world.slices[job.slices[0]]
    assert state.unusable == "was a 2g.12gb at 0, and NVML reports it as a 1g.6gb at 3 now"
    machine.see([])
    assert state.unusable == "is not reported by NVML"
    machine.end(job)
    machine.see([now])
    assert machine.world.slices[now.uuid].free


def test_i15_a_lease_of_shared_memory_for_a_request_of_memory_is_not_begun_after_a_restart() -> (
    None
):
    machine = Machine(splits())
    exact, old = machine.submit(profile(SPLIT), profile(SPLIT))
    old.need = memory(12)
    told = {
        a.job: a.unfit for a in resume(machine.world, machine.time) if isinstance(a, StartAttempt)
    }
    assert told == {
        exact.id: None,
        old.id: f"{old.slices[0]} (1c.2g.12gb) shares its memory; {old.need} was requested",
    }
