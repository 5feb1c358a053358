"""Who gets what: each case reads as a picture of a small machine."""

from __future__ import annotations

import pytest

from launcher.core.messages import events as ev
from launcher.core.model.gpu import Gpu, Slice
from launcher.core.model.job import Job, Reason, State
from launcher.core.model.slice_state import SliceState
from launcher.core.policy.settings import Quota, Settings
from launcher.core.scheduling.explain import Explainer, blockers
from launcher.core.scheduling.feasibility import check_possible
from launcher.core.scheduling.matching import fits, wanted
from launcher.core.scheduling.scheduler import QueueWalk
from launcher.core.world.world import World
from launcher.errors import ImpossibleRequest, NotAllowed, UserError
from launcher.spec.gpus import GpuRequest
from tests.support.builders import ALICE, CPU, ROOT, Machine, a30, memory, mig, profile, whole

MIXED = [mig(0), mig(1), mig(2, "2g.12gb", start=2)]


def started(*jobs: Job) -> list[bool]:
    return [job.state is State.STARTING for job in jobs]


def reasons(machine: Machine, job: Job) -> list[Reason]:
    return [b.reason for b in blockers(machine.world, job, machine.time)]


def test_first_come_first_served_among_equals() -> None:
    machine = Machine(slices=[mig(0), mig(1)])
    assert started(*machine.submit(profile(), profile(), profile())) == [True, True, False]


def test_priority_goes_first() -> None:
    machine = Machine(slices=[mig(0)])
    (running,) = machine.submit(profile())
    (low,) = machine.submit(profile(), priority=10)
    (high,) = machine.submit(profile(), priority=40)
    machine.run(running)
    machine.end(running)
    assert started(low, high) == [False, True]


def test_profiles_do_not_wait_for_each_other() -> None:
    machine = Machine(slices=MIXED)
    jobs = machine.submit(profile("2g.12gb"), profile("2g.12gb"), profile())
    assert started(*jobs) == [True, False, True]


def test_requests_by_memory_look_at_each_other_once_however_many_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where each looked at all others a user's hundred kinds cost ten thousand looks a decision."""
    machine = Machine(slices=MIXED, rules=Settings(user_quota=Quota(running_slices=1)))
    (running,) = machine.submit(profile())
    looks: list[GpuRequest] = []

    def counted(need: GpuRequest, what: Slice) -> bool:
        looks.append(need)
        return fits(need, what)

    needs = [GpuRequest("memory", memory_mib=1 + n) for n in range(99)]
    waiting = machine.submit(*needs, *needs)
    monkeypatch.setattr("launcher.core.scheduling.matching.fits", counted)
    machine.tick(1.0)
    assert started(running, *waiting) == [True] + [False] * 198
    assert len(looks) < 10 * len(needs)


def test_a_list_looks_at_the_slices_of_each_kind_of_request_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where each job looked at all others, 50 jobs beside 500 kinds took a tenth of a second."""
    machine = Machine(slices=MIXED)
    machine.submit(profile())
    needs = [GpuRequest("memory", memory_mib=1 + n, count=3) for n in range(99)]
    jobs = machine.submit(*needs)
    looks: list[GpuRequest] = []

    def counted(world: World, need: GpuRequest) -> list[SliceState]:
        looks.append(need)
        return wanted(world, need)

    monkeypatch.setattr("launcher.core.scheduling.explain.wanted", counted)
    explainer = Explainer(machine.world, machine.time)
    assert {explainer.reason(job) for job in jobs} <= {Reason.RESOURCES, Reason.PRIORITY}
    assert len(looks) < 10 * len(needs)


def test_a_gang_takes_all_or_nothing_and_keeps_what_is_free_for_itself() -> None:
    machine = Machine(slices=[mig(0), mig(1)])
    (running,) = machine.submit(profile())
    gang, small = machine.submit(profile(count=2), profile())
    assert started(gang, small) == [False, False]
    assert reasons(machine, gang) == [Reason.RESOURCES]
    assert reasons(machine, small) == [Reason.PRIORITY]
    machine.run(running)
    machine.end(running)
    assert started(gang, small) == [True, False]
    assert gang.slices == ("MIG-a-0", "MIG-a-1")


def test_memory_takes_the_smallest_slice_that_fits_as_its_name_says() -> None:
    machine = Machine(slices=MIXED)
    (six,) = machine.submit(memory(6))
    (seven,) = machine.submit(memory(7))
    assert (six.slices, seven.slices) == (("MIG-a-0",), ("MIG-a-2",))


def test_mib_are_compared_with_what_nvml_says() -> None:
    machine = Machine(slices=MIXED)
    (job,) = machine.submit(GpuRequest("memory", memory_mib=6144))
    assert job.slices == ("MIG-a-2",)


def test_a_uuid_is_that_slice_and_no_other() -> None:
    machine = Machine()
    need = GpuRequest("uuid", uuids=("MIG-a-2",))
    first, second = machine.submit(need, need)
    assert first.slices == ("MIG-a-2",)
    assert reasons(machine, second) == [Reason.RESOURCES]


def test_whole_gpus_only_where_mig_is_off() -> None:
    gpus = [a30("GPU-a"), a30("GPU-b", mig_mode=False), a30("GPU-c", mig_mode=False)]
    machine = Machine(slices=[mig(0), whole("GPU-b", 1), whole("GPU-c", 2)], gpus=gpus)
    (one,) = machine.submit(GpuRequest("full"))
    (every,) = machine.submit(GpuRequest("all"))
    assert one.slices == ("GPU-b",)
    assert reasons(machine, every) == [Reason.RESOURCES]
    machine.run(one)
    machine.end(one)
    assert every.slices == ("GPU-b", "GPU-c")


def test_cpu_jobs_take_cpu_slots_and_no_slices() -> None:
    machine = Machine(cpu_slots=2)
    jobs = machine.submit(CPU, CPU, CPU, profile())
    assert started(*jobs) == [True, True, False, True]
    machine.run(jobs[0])
    machine.end(jobs[0])
    assert started(jobs[2]) == [True]


def test_a_profile_that_is_not_there_now_waits_and_starts_when_it_is() -> None:
    machine = Machine()
    (job,) = machine.submit(profile("2g.12gb"))
    assert reasons(machine, job) == [Reason.NO_SUCH_PROFILE]
    machine.see(MIXED)
    assert started(job) == [True]


@pytest.mark.parametrize(
    "need",
    [
        profile("3g.20gb"),
        profile("1g.6gb", count=5),
        memory(40),
        GpuRequest("memory", memory_mib=30_000),
        GpuRequest("uuid", uuids=("MIG-nowhere",)),
        GpuRequest("full", count=2),
    ],
)
def test_what_no_gpu_here_could_give_is_refused_at_once(need: GpuRequest) -> None:
    machine = Machine()
    with pytest.raises(ImpossibleRequest):
        machine.submit(need)
    assert machine.world.jobs == {}


def test_a_refusal_says_what_could_be_had() -> None:
    with pytest.raises(ImpossibleRequest) as refused:
        check_possible(Machine().world, profile("1g.5gb"))
    assert refused.value.fix == "Available profiles: 1g.6gb, 2g.12gb, 4g.24gb."


def test_a_gpu_whose_profiles_could_not_be_read_refuses_nothing() -> None:
    blind = Gpu("GPU-a", 0, "NVIDIA A30", 24576, False, False, (), profiles_known=False)
    machine = Machine(slices=[whole("GPU-a")], gpus=[blind])
    (job,) = machine.submit(profile("1g.6gb"))
    assert reasons(machine, job) == [Reason.NO_SUCH_PROFILE]


def test_a_foreign_slice_is_named_as_the_reason() -> None:
    machine = Machine(slices=[mig(0)])
    machine.see([mig(0)], {"MIG-a-0": "is used by process 77"})
    (job,) = machine.submit(profile())
    (blocker,) = blockers(machine.world, job, machine.time)
    assert blocker.reason is Reason.FOREIGN_USE
    assert "process 77" in blocker.have


def test_docker_without_gpu_support_stops_gpu_starts_until_it_is_tried_again() -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    machine.fail_start(job, ev.StartFailure.NO_GPU_SUPPORT)
    assert reasons(machine, job) == [Reason.ENGINE_UNAVAILABLE]
    for attempt, seconds in ((2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 300), (8, 300)):
        machine.tick(seconds - 1)
        assert job.state is State.PENDING
        machine.tick(1)
        assert (job.state, job.attempt) == (State.STARTING, attempt)
        machine.fail_start(job, ev.StartFailure.NO_GPU_SUPPORT)
    machine.tick(300)
    machine.run(job)
    machine.end(job)
    (other,) = machine.submit(profile())
    machine.fail_start(other, ev.StartFailure.NO_GPU_SUPPORT)
    machine.tick(10)
    assert other.state is State.STARTING, "after one that worked it is tried sooner again"


def test_a_slice_that_is_another_three_times_has_the_job_held() -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    for _ in range(3):
        machine.fail_start(job, ev.StartFailure.SLICE_CHANGED, slice=job.slices[0])
    assert reasons(machine, job) == [Reason.NEVER_STARTED]


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ({"priority": 51}, NotAllowed),
        ({"user": "0:0"}, NotAllowed),
        ({"environment": {"NVIDIA_VISIBLE_DEVICES": "all"}}, NotAllowed),
        ({"environment": {"LD_PRELOAD": "/x.so"}}, NotAllowed),
        ({"environment": {"A B": "c"}}, UserError),
        ({"time_limit": 0.0}, UserError),
        ({"mem_limit": 1024}, UserError),
        ({"command": ("a\0b",)}, UserError),
        ({"stop_grace_period": -1.0}, UserError),
    ],
)
def test_what_an_ordinary_user_may_not_ask_is_refused_and_nothing_is_queued(
    spec: dict[str, object], error: type[Exception]
) -> None:
    machine = Machine()
    with pytest.raises(error):
        machine.submit(profile(), owner=ALICE, **spec)
    assert machine.world.jobs == {}


def test_root_may_ask_for_more_priority() -> None:
    (job,) = Machine().submit(profile(), owner=ROOT, priority=500)
    assert job.priority == 500


def test_one_bad_job_among_three_queues_none() -> None:
    machine = Machine()
    with pytest.raises(ImpossibleRequest):
        machine.submit(profile(), profile("9g.99gb"), profile())
    assert machine.world.jobs == {}
    assert machine.world.next_id == 1


def test_the_head_of_a_queue_is_its_first_jobs_in_order_whatever_they_need() -> None:
    machine = Machine(slices=[])
    jobs = [
        machine.submit(need, priority=priority)[0]
        for priority, need in ((40, profile()), (10, CPU), (50, profile("2g.12gb")), (40, CPU))
    ]
    machine.tell(ev.EngineDown("away"))
    waiting = [j.id for j in sorted(jobs, key=lambda j: j.order) if j.id in machine.world.queue]
    walk = QueueWalk(machine.world, machine.time)
    assert [j.id for j in walk.first(2)] == waiting[:2]
    assert [j.id for j in walk.first(99)] == waiting
