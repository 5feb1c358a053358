"""Arrays: one id for many jobs, so many at once at most, and an end of their own."""

from __future__ import annotations

import pytest

from launcher.core.dispatch import handle
from launcher.core.jobs.submit import submit
from launcher.core.messages import events as ev
from launcher.core.model.arrays import Array
from launcher.core.model.job import After, Dependency, Job, Outcome, Reason, State
from launcher.errors import StaleRequest
from launcher.spec.job_spec import JobSpec
from tests.support.builders import ALICE, CPU, IMAGE, TEMPLATE, Machine, profile


def finish(machine: Machine, job: Job, code: int = 0) -> None:
    machine.run(job)
    machine.end(job, code)


def states(jobs: list[Job]) -> str:
    return "".join(job.state.value[0] for job in jobs)


def test_an_array_has_an_id_of_its_own_and_its_elements_come_behind_it() -> None:
    machine = Machine()
    jobs = machine.submit_array(3)
    assert [j.id for j in jobs] == [2, 3, 4]
    assert [(j.element.array, j.element.index) for j in jobs if j.element] == [
        (1, 0), (1, 1), (1, 2),
    ]  # fmt: skip
    assert machine.world.next_id == 5


def test_no_more_than_max_parallel_are_started_and_the_next_follows_an_end() -> None:
    machine = Machine(cpu_slots=9)
    jobs = machine.submit_array(5, most=2)
    assert states(jobs) == "SSPPP"
    assert machine.reasons(jobs[2]) == [Reason.ARRAY_LIMIT]
    finish(machine, jobs[1])
    assert states(jobs) == "SDSPP"
    finish(machine, jobs[0], 1)
    finish(machine, jobs[2])
    assert states(jobs) == "DDDSS"


def test_a_held_element_gives_its_turn_to_the_next_and_takes_one_when_it_is_released() -> None:
    machine = Machine(slices=[], cpu_slots=9)
    jobs = machine.submit_array(3, profile(), most=1)
    assert machine.reasons(jobs[0]) == [Reason.NO_SUCH_PROFILE]
    machine.tell(ev.HoldAsked(jobs[0].id, 1000))
    assert machine.reasons(jobs[1]) == [Reason.NO_SUCH_PROFILE]
    machine.tell(ev.ReleaseAsked(jobs[0].id, 1000))
    assert machine.reasons(jobs[0]) == [Reason.ARRAY_LIMIT]
    machine.tell(ev.CancelAsked(jobs[1].id, 1000))
    assert machine.reasons(jobs[0]) == [Reason.NO_SUCH_PROFILE]


def test_an_array_ends_when_all_its_elements_have_and_completes_only_if_all_did() -> None:
    for codes, outcome in (((0, 0), Outcome.COMPLETED), ((0, 1), Outcome.FAILED)):
        machine = Machine(cpu_slots=9)
        jobs = machine.submit_array(2)
        array = machine.world.arrays[1]
        for job, code in zip(jobs, codes, strict=True):
            finish(machine, job, code)
        assert array.outcome is outcome
        assert machine.world.arrays == {}


def test_who_depends_on_an_array_waits_for_all_of_it() -> None:
    machine = Machine(cpu_slots=9)
    made = JobSpec("a", IMAGE.reference, CPU)
    new = (
        *(ev.NewJob(made, "{}", IMAGE, element=ev.NewElement(0, i)) for i in range(2)),
        ev.NewJob(JobSpec("after", IMAGE.reference, CPU), "{}", IMAGE, (Dependency(1, After.OK),)),
    )
    asked = ev.Submitted(ALICE, new, arrays=(ev.NewArray("a", TEMPLATE),))
    (first, second, after), actions = submit(machine.world, asked, machine.time)
    machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
    assert list(after.waits_for) == [Dependency(1, After.OK)]
    finish(machine, first)
    assert machine.reasons(after) == [Reason.DEPENDENCY]
    finish(machine, second)
    machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
    assert after.state is State.STARTING
    assert actions


def test_who_depends_on_an_array_that_failed_never_starts() -> None:
    machine = Machine(cpu_slots=9)
    jobs = machine.submit_array(2)
    on_array = ((Dependency(1, After.OK), None),)
    new = (ev.NewJob(JobSpec("b", IMAGE.reference, CPU), "{}", IMAGE, after=on_array),)
    (after,), _ = submit(machine.world, ev.Submitted(ALICE, new), machine.time)
    finish(machine, jobs[0], 1)
    assert after.state is State.PENDING
    finish(machine, jobs[1])
    assert (after.outcome, after.reason) == (Outcome.CANCELLED, Reason.DEPENDENCY_NEVER_SATISFIED)


def test_ten_thousand_elements_cost_one_image_lookup() -> None:
    machine = Machine(slices=[], cpu_slots=9)
    made = JobSpec("a", IMAGE.reference, profile())
    new = tuple(
        ev.NewJob(made, "{}", IMAGE, element=ev.NewElement(0, index)) for index in range(10_000)
    )
    asked = ev.Submitted(ALICE, new, arrays=(ev.NewArray("a", TEMPLATE),))
    assert len(handle(machine.world, asked, machine.time)) == 1


def test_a_submit_that_depends_on_what_ended_just_now_is_refused_whole() -> None:
    machine = Machine(slices=[])
    gone = ((Dependency(99, After.OK), None),)
    spec = JobSpec("a", IMAGE.reference, CPU)
    new = (
        ev.NewJob(spec, "{}", IMAGE, element=ev.NewElement(0, 0)),
        ev.NewJob(spec, "{}", IMAGE, after=gone),
    )
    with pytest.raises(StaleRequest):
        submit(
            machine.world,
            ev.Submitted(ALICE, new, arrays=(ev.NewArray("a", TEMPLATE),)),
            machine.time,
        )
    world = machine.world
    assert (world.jobs, world.arrays, world.next_id, world.changes.new_jobs) == ({}, {}, 1, [])


def test_the_first_element_that_holds_nothing_is_known_without_looking_at_all() -> None:
    array = Array(1, ALICE, "a", 4)
    for job_id in (3, 2, 4, 5):
        array.add(job_id)
    assert array.first_idle() == 2
    array.active |= {2, 3}
    assert array.first_idle() == 4
    array.rest(3)
    assert array.first_idle() == 3
    array.end(3, Outcome.FAILED)
    assert array.first_idle() == 4
    array.reopen(3, Outcome.FAILED)
    assert array.first_idle() == 3
    array.active |= {3, 4, 5}
    assert array.first_idle() is None


def test_an_element_that_is_tried_again_and_again_leaves_nothing_behind() -> None:
    array = Array(1, ALICE, "a", 1)
    array.add(2)
    for _ in range(1000):
        array.active.add(2)
        array.rest(2)
    assert len(array._idle) < 100
    assert array.first_idle() == 2
