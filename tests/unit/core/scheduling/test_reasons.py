"""Every reason that there is can be the reason of a job: one scenario each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from launcher.core.jobs.submit import submit
from launcher.core.messages import events as ev
from launcher.core.model.job import After, Dependency, Job, Outcome, Reason
from launcher.core.model.reservation import Reservation
from launcher.core.policy.settings import HOUR, Quota, Settings
from launcher.core.recovery.restore import restore
from launcher.core.scheduling.explain import Explainer, gates
from launcher.spec.job_spec import JobSpec
from tests.support.builders import ALICE, BOB, CPU, IMAGE, ROOT, Machine, mig, moment_text, profile

Scenario = tuple[Machine, Job]


def one_slice(**rules: object) -> Machine:
    return Machine(slices=[mig(0)], rules=Settings(**rules))  # type: ignore[arg-type]


def waits(machine: Machine, **spec: object) -> Scenario:
    return machine, machine.submit(profile(), **spec)[0]  # type: ignore[arg-type]


def resources() -> Scenario:
    machine = one_slice()
    machine.submit(profile())
    return waits(machine)


def priority() -> Scenario:
    machine, _ = resources()
    return waits(machine, priority=1)


def dependency() -> Scenario:
    machine = one_slice()
    (first,) = machine.submit(CPU)
    after = ((Dependency(first.id, After.OK), None),)
    new = (ev.NewJob(JobSpec("b", IMAGE.reference, CPU), "{}", IMAGE, after=after),)
    (job,), _ = submit(machine.world, ev.Submitted(ALICE, new), machine.time)
    return machine, job


def never_satisfied() -> Scenario:
    machine, job = dependency()
    first = machine.world.jobs[next(iter(job.waits_for)).job]
    machine.run(first)
    machine.end(first, 1)
    return machine, job


def draining() -> Scenario:
    machine = Machine()
    machine.tell(ev.DaemonDrained())
    return waits(machine)


def held_by_an_admin() -> Scenario:
    machine, job = resources()
    machine.tell(ev.HoldAsked(job.id, 0, admin=True))
    return machine, job


def quota() -> Scenario:
    machine = Machine(rules=Settings(user_quota=Quota(running_slices=1)))
    machine.submit(profile())
    return waits(machine)


def reservation() -> Scenario:
    machine = one_slice()
    wall = machine.time.wall
    machine.world.reservations["r"] = Reservation(
        "r", ("MIG-a-0",), "bob", None, wall, wall + HOUR, ROOT
    )
    return waits(machine)


def image_pull() -> Scenario:
    return waits(one_slice(), pinned=False)


def image_pull_failed() -> Scenario:
    machine, job = image_pull()
    machine.tell(ev.ImageFailed(IMAGE, "manifest unknown"))
    return machine, job


def no_such_profile() -> Scenario:
    return waits(Machine(slices=[]))


def slice_drained() -> Scenario:
    machine = one_slice()
    machine.tell(ev.DrainAsked(ROOT, "MIG-a-0", "maintenance"))
    return waits(machine)


def foreign_use() -> Scenario:
    machine = one_slice()
    machine.see([mig(0)], {"MIG-a-0": "is used by process 7"})
    return waits(machine)


def engine_unavailable() -> Scenario:
    machine = one_slice()
    machine.tell(ev.EngineDown("away"))
    return waits(machine)


def gpu_unavailable() -> Scenario:
    machine = one_slice()
    machine.tell(ev.InventoryFailed("NVML does not answer"))
    return waits(machine)


def image_gone() -> Scenario:
    machine, job = waits(one_slice())
    machine.fail_start(job, ev.StartFailure.IMAGE_GONE)
    machine.tell(ev.ImageResolved(IMAGE, "sha256:2", pulled=True))
    return machine, job


def never_started() -> Scenario:
    machine, job = waits(one_slice())
    for _ in range(3):
        machine.fail_start(job, ev.StartFailure.INFRA)
    return machine, job


def restored() -> Scenario:
    machine, job = waits(one_slice())
    restore(machine.world, machine.time, "2026-11-28T00:00:00.000000Z", {})
    machine.world.queue.discard(job.id)
    return machine, job


def array_limit() -> Scenario:
    machine = one_slice()
    return machine, machine.submit_array(2, profile(), 1)[1]


SCENARIOS: dict[Reason, Callable[[], Scenario]] = {
    Reason.RESOURCES: resources,
    Reason.PRIORITY: priority,
    Reason.DEPENDENCY: dependency,
    Reason.DEPENDENCY_NEVER_SATISFIED: never_satisfied,
    Reason.BEGIN_TIME: lambda: waits(one_slice(), begin=moment_text(2e9)),
    Reason.JOB_HELD_USER: lambda: waits(one_slice(), hold=True),
    Reason.JOB_HELD_ADMIN: held_by_an_admin,
    Reason.QUOTA: quota,
    Reason.RESERVATION: reservation,
    Reason.IMAGE_PULL: image_pull,
    Reason.IMAGE_PULL_FAILED: image_pull_failed,
    Reason.NO_SUCH_PROFILE: no_such_profile,
    Reason.SLICE_DRAINED: slice_drained,
    Reason.FOREIGN_USE: foreign_use,
    Reason.ENGINE_UNAVAILABLE: engine_unavailable,
    Reason.GPU_UNAVAILABLE: gpu_unavailable,
    Reason.DRAINING: draining,
    Reason.RECONCILING: lambda: waits(Machine(ready=False)),
    Reason.IMAGE_GONE: image_gone,
    Reason.NEVER_STARTED: never_started,
    Reason.ARRAY_LIMIT: array_limit,
    Reason.RESTORED: restored,
}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_can_be_had_and_is_told_with_what_is_missing(reason: Reason) -> None:
    machine, job = SCENARIOS[reason]()
    if job.outcome is not None:
        assert job.reason is reason
        assert job.outcome in (Outcome.CANCELLED, Outcome.FAILED)
        assert job.message
        return
    first = Explainer(machine.world, machine.time).blockers(job)[0]
    assert (first.reason, Explainer(machine.world, machine.time).reason(job)) == (reason, reason)
    assert first.need
    assert first.have


@pytest.mark.parametrize("reason", Reason)
def test_the_gates_stop_at_the_one_that_is_shut(reason: Reason) -> None:
    machine, job = SCENARIOS[reason]()
    if job.outcome is None:
        shown = gates(Explainer(machine.world, machine.time).blockers(job))
        assert [blocked for _, blocked in shown[:-1] if blocked] == [] or len(shown) > 1
        assert shown[-1][1] is not None


def test_jobs_of_another_need_that_want_the_same_slices_are_in_front_too() -> None:
    machine = Machine(slices=[mig(0), mig(1)])
    machine.submit(profile(), profile(), time_limit=100.0)
    small = machine.submit(*[profile()] * 3)
    (gang,) = machine.submit(profile(count=2), priority=1)
    explainer = Explainer(machine.world, machine.time)
    (blocker,) = explainer.blockers(gang)
    assert (blocker.reason, blocker.jobs) == (Reason.PRIORITY, (small[0].id,))
    assert [job.id for job in explainer.in_front(gang, 20)] == [job.id for job in small]


def test_the_earliest_start_knows_limits_begin_times_and_who_gives_way() -> None:
    machine = one_slice()
    (running,) = machine.submit(profile(), time_limit=1000.0, preemptible=True, priority=1)
    machine.run(running)
    machine.wait(100)
    (same,) = machine.submit(profile(), priority=1)
    (higher,) = machine.submit(profile(), priority=50)
    (later,) = machine.submit(profile(), priority=1, begin=moment_text(machine.time.wall + 5000))
    explainer = Explainer(machine.world, machine.time)
    assert [round(explainer.earliest(j) or 0) for j in (same, higher, later)] == [900, 500, 5000]
    (blocker,) = explainer.blockers(higher)
    assert "1 of these jobs can be preempted once they have run for 600 s" in blocker.have


def test_who_is_in_front_is_named() -> None:
    machine, first = resources()
    (second,) = machine.submit(profile(), owner=BOB, priority=1)
    (blocker,) = Explainer(machine.world, machine.time).blockers(second)
    assert blocker.jobs == (first.id,)
    assert str(first.id) in blocker.have
