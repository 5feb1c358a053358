"""Slurm's other dependencies: after a start, element by element, one of several, alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.core.jobs.submit import submit
from launcher.core.messages import events as ev
from launcher.core.model.job import ALONE, After, Dependency, Job, Outcome, Owner, Reason, State
from launcher.core.recovery.reconcile import resume
from launcher.core.scheduling.explain import blockers
from launcher.spec.job_spec import JobSpec
from launcher.store import Store
from tests.support.builders import ALICE, BOB, CPU, IMAGE, TEMPLATE, Machine


def after(job: Job, how: After = After.START, **fields: object) -> tuple[Dependency, None]:
    return Dependency(job.id, how, **fields), None  # type: ignore[arg-type]


def new(*others: tuple[Dependency, Outcome | None], name: str = "job", **spec: object) -> ev.NewJob:
    return ev.NewJob(JobSpec(name, IMAGE.reference, CPU, **spec), "{}", IMAGE, after=others)  # type: ignore[arg-type]


def queue(machine: Machine, *jobs: ev.NewJob, owner: Owner = ALICE) -> list[Job]:
    made, actions = submit(machine.world, ev.Submitted(owner, jobs), machine.time)
    machine.actions += actions
    machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
    return made


def look(machine: Machine) -> None:
    machine.tell(ev.Tick(), ev.ImageResolved(IMAGE, "sha256:1", pulled=True))


def told(machine: Machine, job: Job) -> list[tuple[str, str]]:
    return [(b.need, b.have) for b in blockers(machine.world, job, machine.time)]


def restarted(machine: Machine, path: Path) -> None:
    """Read the world back from a database, as a restart does."""
    store = Store.open(path)
    store.commit(machine.world.take_changes())
    world = store.load(machine.world.cpu_slots, machine.world.rules)
    store.close()
    machine.world = world
    machine.see(machine.slices)
    resume(world, machine.time)
    machine.tell(ev.Reconciled())
    look(machine)


def test_a_job_starts_when_another_has_started() -> None:
    machine = Machine()
    (first,) = queue(machine, new(hold=True))
    (job,) = queue(machine, new(after(first)))
    assert told(machine, job) == [(f"after, the start of job {first.id}", "PENDING")]
    machine.tell(ev.ReleaseAsked(first.id, 1000))
    look(machine)
    assert (first.state, job.state) == (State.STARTING, State.PENDING)
    machine.run(first)
    look(machine)
    assert job.state is State.STARTING
    assert not machine.world.started


def test_a_job_starts_so_many_minutes_after_another_has_started(tmp_path: Path) -> None:
    machine = Machine()
    (first,) = queue(machine, new())
    (job,) = queue(machine, new(after(first, delay=120.0)))
    assert told(machine, job) == [
        (f"after, 2 minutes since the start of job {first.id}", "STARTING")
    ]
    machine.run(first)
    assert [b.reason for b in blockers(machine.world, job, machine.time)] == [Reason.BEGIN_TIME]
    machine.wait(119)
    restarted(machine, tmp_path)
    job = machine.world.jobs[job.id]
    assert job.state is State.PENDING
    machine.wait(2)
    look(machine)
    assert job.state is State.STARTING


@pytest.mark.parametrize("passed", [0.0, 60.0, 130.0])
def test_of_a_job_that_has_started_the_minutes_count_from_its_start(passed: float) -> None:
    machine = Machine()
    (first,) = queue(machine, new())
    machine.run(first)
    machine.wait(passed)
    (job,) = queue(machine, new(after(first, delay=120.0)))
    assert (job.state is State.STARTING) is (passed > 120)
    machine.wait(121 - passed)
    look(machine)
    assert job.state is State.STARTING


def test_of_a_job_that_had_ended_the_minutes_count_from_its_start_too() -> None:
    machine = Machine()
    ended = Dependency(77, After.START, delay=120.0, since=machine.time.wall - 60)
    (job,) = queue(machine, new((ended, Outcome.FAILED)))
    assert job.begin == machine.time.wall + 60


def test_a_job_that_is_cancelled_before_its_start_lets_who_comes_after_it_start() -> None:
    machine = Machine()
    (first,) = queue(machine, new(hold=True))
    at_once, later = queue(machine, new(after(first)), new(after(first, delay=60.0)))
    machine.tell(ev.CancelAsked(first.id, 1000))
    look(machine)
    assert at_once.state is State.STARTING
    assert later.begin == machine.time.wall + 60


def test_each_element_waits_for_the_one_of_its_index() -> None:
    machine = Machine(cpu_slots=4)
    spec = JobSpec("a", IMAGE.reference, CPU)
    elements = [ev.NewJob(spec, "", IMAGE, element=ev.NewElement(0, i)) for i in range(2)]
    others = [
        ev.NewJob(spec, "", IMAGE, (Dependency(i, After.CORR),), element=ev.NewElement(1, i))
        for i in range(2)
    ]
    arrays = (ev.NewArray("a", TEMPLATE), ev.NewArray("b", TEMPLATE))
    event = ev.Submitted(ALICE, (*elements, *others), arrays=arrays)
    jobs, _ = submit(machine.world, event, machine.time)
    look(machine)
    first, second, after_first, after_second = jobs
    assert told(machine, after_second) == [(f"aftercorr of job {second.ref}", "STARTING")]
    machine.run(second)
    machine.end(second)
    look(machine)
    assert (after_first.state, after_second.state) == (State.PENDING, State.STARTING)
    machine.run(first)
    machine.end(first, 3)
    assert (after_first.outcome, after_first.message) == (
        Outcome.CANCELLED,
        f"job {first.ref} is FAILED, aftercorr was required",
    )


def test_one_of_several_suffices() -> None:
    machine = Machine(cpu_slots=4)
    first, second = queue(machine, new(), new())
    (job,) = queue(
        machine, new(after(first, After.OK, either=True), after(second, After.OK, either=True))
    )
    assert told(machine, job)[0][0] == f"afterok of job {first.id} (one of several suffices)"
    machine.run(first)
    machine.end(first, 1)
    assert job.state is State.PENDING
    machine.run(second)
    machine.end(second)
    look(machine)
    assert job.state is State.STARTING


def test_if_none_of_several_can_suffice_the_job_is_cancelled() -> None:
    machine = Machine(cpu_slots=4)
    first, second = queue(machine, new(), new())
    both = (after(first, After.OK, either=True), after(second, After.OK, either=True))
    (job,) = queue(machine, new(*both))
    for other in (first, second):
        machine.run(other)
        machine.end(other, 1)
    assert (job.outcome, job.reason) == (Outcome.CANCELLED, Reason.DEPENDENCY_NEVER_SATISFIED)
    ended = [(Dependency(i, After.OK, either=True), Outcome.FAILED) for i in (first.id, second.id)]
    (late,) = queue(machine, new(*ended))
    assert late.outcome is Outcome.CANCELLED
    one = (ended[0], (Dependency(second.id, After.OK, either=True), Outcome.COMPLETED))
    (other,) = queue(machine, new(*one))
    assert other.state is State.STARTING


def test_of_hundreds_one_suffices_too() -> None:
    machine = Machine(cpu_slots=400)
    others = queue(machine, *[new()] * 300)
    (job,) = queue(machine, new(*(after(other, After.OK, either=True) for other in others)))
    for other in others[:299]:
        machine.run(other)
        machine.end(other, 1)
    assert job.state is State.PENDING
    machine.run(others[299])
    machine.end(others[299])
    look(machine)
    assert job.state is State.STARTING


def test_one_job_of_a_name_and_user_runs_at_a_time(tmp_path: Path) -> None:
    machine = Machine(cpu_slots=8)
    (plain,) = queue(machine, new(name="train"))
    first, second = queue(machine, *[new(name="train", singleton=True)] * 2)
    (other,) = queue(machine, new(name="other", singleton=True))
    (bobs,) = queue(machine, new(name="train", singleton=True), owner=BOB)
    assert (other.state, bobs.state) == (State.STARTING, State.STARTING)
    need = "singleton: the end of earlier jobs train of alice"
    assert told(machine, first) == [(need, f"job {plain.id}: STARTING")]
    assert told(machine, second) == [(need, f"job {first.id}: PENDING")]
    restarted(machine, tmp_path)
    plain, first, second = (machine.world.jobs[job.id] for job in (plain, first, second))
    machine.run(plain)
    machine.end(plain, 1)
    look(machine)
    assert (first.state, second.state) == (State.STARTING, State.PENDING)
    machine.tell(ev.CancelAsked(first.id, 1000, kill=True))
    machine.run(first)
    machine.end(first)
    look(machine)
    assert second.state is State.STARTING


def test_who_waits_to_run_alone_is_not_let_go_by_the_end_of_one_that_waits_too() -> None:
    machine = Machine(cpu_slots=8)
    first, second, third = queue(machine, *[new(name="train", singleton=True)] * 3)
    machine.tell(ev.CancelAsked(second.id, 1000))
    look(machine)
    assert (first.state, third.state) == (State.STARTING, State.PENDING)
    machine.run(first)
    machine.end(first)
    look(machine)
    assert third.state is State.STARTING


def test_one_that_is_retried_does_not_run_beside_a_later_one() -> None:
    machine = Machine(cpu_slots=8)
    first, second = queue(machine, *[new(name="train", singleton=True)] * 2)
    machine.run(first)
    machine.end(first)
    look(machine)
    assert second.state is State.STARTING
    machine.tell(ev.RetryAsked((ev.Retried(first),), 1000))
    look(machine)
    assert machine.world.jobs[first.id].state is State.PENDING
    machine.run(second)
    machine.end(second)
    look(machine)
    assert machine.world.jobs[first.id].state is State.STARTING


def test_many_that_wait_to_run_alone_are_looked_at_one_by_one() -> None:
    machine = Machine(cpu_slots=8)
    jobs = queue(machine, *[new(name="train", singleton=True)] * 300)
    assert [len(ids) for ids in machine.world.dependents.values()] == [1] * 299
    for job in jobs:
        look(machine)
        assert machine.world.attempts.keys() == {job.id}
        machine.run(job)
        machine.end(job)
    assert not machine.world.dependents


def test_what_a_job_waits_for_is_the_same_after_a_restart(tmp_path: Path) -> None:
    machine = Machine()
    (first,) = queue(machine, new(hold=True))
    one = Dependency(first.id, After.START, either=True, delay=60.0, ref="9[1]")
    (job,) = queue(machine, new((one, None), name="x", singleton=True))
    was = [_all(d) for d in job.depends_on]
    restarted(machine, tmp_path)
    assert [_all(d) for d in machine.world.jobs[job.id].depends_on] == was
    assert ALONE not in machine.world.jobs[job.id].waits_for


def _all(d: Dependency) -> tuple[object, ...]:
    return (d.job, d.after, d.either, d.delay, d.ref)
