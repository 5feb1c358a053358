"""What a waiting job is told of itself: its hold, its time, its dependencies, turn and image."""

from __future__ import annotations

import pytest

from launcher.core.messages import events as ev
from launcher.core.model.job import MOST_TOLD, After, Dependency, Job, Reason
from launcher.core.model.slice_state import Having, ImageState
from launcher.core.scheduling.blockers import (
    Blocker,
    behind,
    gate_reason,
    image_blocker,
    need_with_limit,
    own_blockers,
    turn_blocker,
    utc_text,
)
from launcher.core.world.world import World
from tests.support.builders import CPU, Machine, profile


def waiting(**fields: object) -> tuple[Machine, Job]:
    machine = Machine(ready=False)
    (job,) = machine.submit(CPU)
    for name, value in fields.items():
        setattr(job, name, value)
    return machine, job


def told(machine: Machine, job: Job) -> list[Blocker]:
    return list(own_blockers(machine.world, job, machine.time))


def test_a_job_that_nothing_of_its_own_keeps_has_no_blocker() -> None:
    assert told(*waiting()) == []


@pytest.mark.parametrize(
    ("held", "need", "have"),
    [
        (Reason.NEVER_STARTED, "a start that works, and", "3 starts failed before the container"),
        (Reason.IMAGE_PULL_FAILED, "a registry that answers, and", "2 pulls failed: because"),
        (Reason.JOB_HELD_USER, "`launch release", "because"),
    ],
)
def test_a_held_job_is_told_why_and_how_to_release_it(held: Reason, need: str, have: str) -> None:
    machine, job = waiting(held=held, message="because", never_started=3, pulls_failed=2)
    (blocker,) = told(machine, job)
    assert blocker.reason is held
    assert blocker.need.startswith(need)
    assert f"launch release {job.id}" in blocker.need
    assert blocker.have.startswith(have)


def test_a_job_waits_for_its_time_until_that_has_come() -> None:
    machine, job = waiting()
    job.begin = machine.time.wall + 60
    (blocker,) = told(machine, job)
    assert (blocker.reason, blocker.need) == (Reason.BEGIN_TIME, f"the time {utc_text(job.begin)}")
    machine.wait(60)
    assert told(machine, job) == []


def test_dependencies_are_told_with_how_far_they_are() -> None:
    machine, other = waiting()
    (element, *_) = machine.submit_array(3)
    array = element.element.array if element.element else 0
    (job,) = machine.submit(CPU)
    job.waits_for = dict.fromkeys(Dependency(n, After.OK) for n in (other.id, array, 99))
    blockers = told(machine, job)
    assert [b.have for b in blockers] == ["PENDING", "3 of 3 have not ended", "over"]
    assert [b.jobs for b in blockers] == [(other.id,), (array,), (99,)]


def test_of_very_many_dependencies_some_are_told_and_the_rest_counted() -> None:
    many = (Dependency(n, After.ANY) for n in range(1000, 1003 + MOST_TOLD))
    machine, job = waiting(waits_for=dict.fromkeys(many))
    *named, rest = told(machine, job)
    assert (len(named), rest.need) == (MOST_TOLD, "3 other jobs")


def test_an_element_waits_for_its_turn_only_while_it_has_none() -> None:
    machine = Machine(cpu_slots=8)
    jobs = machine.submit_array(3, most=2)
    blockers = [turn_blocker(machine.world, job) for job in jobs]
    assert blockers[:2] == [None, None]
    assert blockers[2] is not None
    assert blockers[2].reason is Reason.ARRAY_LIMIT
    assert "2 of it run at once" in blockers[2].need


def test_a_job_outside_an_array_or_of_one_without_a_limit_needs_no_turn() -> None:
    machine, job = waiting()
    assert turn_blocker(machine.world, job) is None
    assert turn_blocker(machine.world, machine.submit_array(2)[0]) is None


@pytest.mark.parametrize(
    ("having", "have"),
    [
        (None, "not looked for yet"),
        (Having.FINDING, "being looked for"),
        (Having.WANTED, "waits for other pulls"),
        (Having.PULLING, "being pulled"),
        (Having.LOGIN, "`launch login"),
    ],
)
def test_a_job_is_told_where_its_image_is(having: Having | None, have: str) -> None:
    machine, job = waiting()
    machine.world.images.clear()
    if having is not None:
        machine.world.images[job.image] = ImageState(having, job.owner.uid)
    assert have in image_blocker(machine.world, job).have


def test_of_the_jobs_in_front_three_are_named() -> None:
    assert behind(World("x"), profile(), (1, 2, 3)).have == "in front: job 1, 2, 3"
    assert behind(World("x"), profile(), (1, 2, 3, 4)).have == "in front: job 1, 2, 3 and more"


def test_a_need_is_told_with_its_limit() -> None:
    _, job = waiting()
    assert need_with_limit(job).endswith("(with no time limit)")
    job.time_limit = 90.0
    assert need_with_limit(job).endswith("(with a time limit of 90 s)")


def test_of_several_closed_gates_the_first_to_open_is_the_reason() -> None:
    machine = Machine(ready=False)
    world = machine.world
    world.gpu_down, world.draining = "NVML is away", "it drains"
    assert gate_reason(world) is Reason.RECONCILING
    machine.tell(ev.Reconciled())
    assert gate_reason(world) is Reason.DRAINING
    world.draining = None
    assert gate_reason(world) is Reason.GPU_UNAVAILABLE
    world.engine_down = "Docker is away"
    assert gate_reason(world) is Reason.ENGINE_UNAVAILABLE
