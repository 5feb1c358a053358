"""What keeps a job of its own out of the queue: holds, a time to begin, other jobs' ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from launcher.core.dispatch import handle
from launcher.core.jobs.submit import submit
from launcher.core.messages import events as ev
from launcher.core.messages.actions import FindImage
from launcher.core.model.job import MOST_TOLD, After, Dependency, Job, Outcome, Reason, State
from launcher.core.policy.settings import Quota, Settings
from launcher.core.scheduling.explain import blockers
from launcher.errors import StaleRequest, UserError
from launcher.spec.job_spec import JobSpec
from tests.support.builders import ALICE, CPU, IMAGE, ROOT, Machine, moment_text


def queue(machine: Machine, *new: ev.NewJob) -> list[Job]:
    """Queue jobs whose image is here."""
    jobs, actions = submit(machine.world, ev.Submitted(ALICE, new), machine.time)
    machine.actions += actions
    machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
    return jobs


def new(
    name: str = "job", *beside: tuple[int, After], after: object = (), **spec: object
) -> ev.NewJob:
    made = JobSpec(name, IMAGE.reference, CPU, **spec)  # type: ignore[arg-type]
    waits = tuple(Dependency(place, how) for place, how in beside)
    return ev.NewJob(made, "{}", IMAGE, waits, tuple(after))  # type: ignore[arg-type]


def reasons(machine: Machine, job: Job) -> list[Reason]:
    return [b.reason for b in blockers(machine.world, job, machine.time)]


def test_a_held_job_waits_for_its_release_and_asks_for_no_image() -> None:
    machine = Machine()
    (job,) = queue(machine, new(hold=True))
    assert reasons(machine, job) == [Reason.JOB_HELD_USER]
    assert not any(isinstance(a, FindImage) for a in machine.actions)
    machine.tell(ev.ReleaseAsked(job.id, 1000))
    machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
    assert job.state is State.STARTING


def test_a_queued_job_can_be_held_and_let_go() -> None:
    machine = Machine(cpu_slots=1)
    first, job = queue(machine, new(), new())
    machine.tell(ev.HoldAsked(job.id, 1000))
    machine.run(first)
    machine.end(first)
    assert reasons(machine, job) == [Reason.JOB_HELD_USER]
    machine.tell(ev.ReleaseAsked(job.id, 1000))
    assert job.state is State.STARTING


def test_a_job_that_runs_cannot_be_held() -> None:
    machine = Machine()
    (job,) = queue(machine, new())
    with pytest.raises(StaleRequest, match="only a pending job"):
        machine.tell(ev.HoldAsked(job.id, 1000))


def test_a_job_begins_when_its_time_has_come_and_not_before() -> None:
    machine = Machine()
    (job,) = queue(machine, new(begin=moment_text(machine.time.wall + 60)))
    machine.tell(ev.Tick())
    assert reasons(machine, job) == [Reason.BEGIN_TIME]
    machine.wait(61)
    machine.tell(ev.Tick())
    machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
    assert job.state is State.STARTING


ENDS = [(0, Outcome.COMPLETED), (3, Outcome.FAILED)]


@pytest.mark.parametrize("after", [After.OK, After.NOT_OK, After.ANY, After.START, After.CORR])
@pytest.mark.parametrize(("code", "outcome"), ENDS)
def test_a_dependency_is_told_the_end_it_waits_for(
    after: After, code: int, outcome: Outcome
) -> None:
    machine = Machine()
    first, job = queue(machine, new("a"), new("b", (0, after)))
    assert reasons(machine, job) == [Reason.DEPENDENCY]
    machine.run(first)
    if after is After.START:
        machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
        assert job.state is State.STARTING
        return
    machine.end(first, code)
    if after.holds(outcome):
        machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
        assert job.state is State.STARTING
    else:
        ended = (job.state, job.outcome, job.reason)
        assert ended == (State.DONE, Outcome.CANCELLED, Reason.DEPENDENCY_NEVER_SATISFIED)
        assert f"job {first.id} is {outcome.value}" in (job.message or "")


def test_a_chain_of_ten_thousand_ends_with_its_head() -> None:
    machine = Machine(rules=Settings(user_quota=Quota(queued_jobs=20_000)))
    head, *rest = queue(machine, new(hold=True), *(new("x", (i, After.OK)) for i in range(10_000)))
    machine.tell(ev.CancelAsked(head.id, 1000))
    assert {job.outcome for job in rest} == {Outcome.CANCELLED}
    assert not machine.world.jobs
    assert not machine.world.dependents


def test_a_cancelled_job_satisfies_afterany_and_afternotok() -> None:
    machine = Machine(cpu_slots=1)
    _, first, *jobs = queue(
        machine, new(), new("a", hold=True), new("b", (1, After.ANY)), new("c", (1, After.NOT_OK))
    )
    machine.tell(ev.CancelAsked(first.id, 1000))
    assert [j.waits_for for j in jobs] == [{}, {}]


def test_a_dependency_that_ended_before_is_known_at_once() -> None:
    machine = Machine()
    done = Dependency(77, After.OK)
    (good,) = queue(machine, new(after=[(done, Outcome.COMPLETED)]))
    assert good.state is State.STARTING
    (bad,) = queue(machine, new(after=[(done, Outcome.FAILED)]))
    assert (bad.outcome, bad.reason) == (Outcome.CANCELLED, Reason.DEPENDENCY_NEVER_SATISFIED)
    with pytest.raises(StaleRequest, match="job 77 has just ended"):
        queue(machine, new(after=[(done, None)]))


def test_a_dependency_that_can_never_hold_holds_the_job_where_that_is_configured() -> None:
    machine = Machine()
    machine.world.rules = Settings(unsatisfied_dependency="hold")
    first, job = queue(machine, new("a"), new("b", (0, After.OK)))
    machine.run(first)
    machine.end(first, 1)
    assert reasons(machine, job) == [Reason.DEPENDENCY_NEVER_SATISFIED]
    machine.tell(ev.ReleaseAsked(job.id, 1000))
    machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
    assert job.state is State.STARTING


def test_a_cycle_is_refused_with_its_names_and_queues_nothing() -> None:
    machine = Machine()
    with pytest.raises(UserError, match="depends_on: b -> c -> b is a cycle"):
        queue(machine, new("a"), new("b", (0, After.OK), (2, After.OK)), new("c", (1, After.OK)))
    with pytest.raises(UserError, match="a -> a is a cycle"):
        queue(machine, new("a", (0, After.OK)))
    assert not machine.world.jobs


def test_a_diamond_is_no_cycle() -> None:
    machine = Machine(cpu_slots=4)
    a, b, c, d = queue(
        machine,
        new("a"),
        new("b", (0, After.OK)),
        new("c", (0, After.OK)),
        new("d", (1, After.OK), (2, After.OK)),
    )
    for job in (a, b, c, d):
        machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
        assert job.state is State.STARTING
        machine.run(job)
        machine.end(job)
    assert d.outcome is Outcome.COMPLETED


def test_an_admins_hold_outlives_a_dependency_that_cannot_hold() -> None:
    machine = Machine(rules=Settings(unsatisfied_dependency="hold"))
    first, job = queue(machine, new("a"), new("b", (0, After.OK)))
    machine.tell(ev.HoldAsked(job.id, 0, admin=True))
    machine.run(first)
    machine.end(first, 1)
    assert job.held is Reason.JOB_HELD_ADMIN


def test_a_job_that_waits_for_thousands_is_told_of_each_end_in_no_time_and_no_line() -> None:
    """Forty jobs that each waited for 4000 kept the daemon for half a minute when those ended."""
    machine = Machine(slices=[], cpu_slots=1)
    others = machine.submit(*[CPU] * 1000, hold=True, owner=ROOT)
    looked: list[Dependency] = []

    class Watched(dict[Dependency, None]):
        def __iter__(self) -> Iterator[Dependency]:
            for each in super().__iter__():
                looked.append(each)
                yield each

    (job,) = machine.submit(CPU, owner=ROOT, hold=True)
    job.depends_on = tuple(Dependency(other.id, After.ANY) for other in others)
    job.waits_for = Watched.fromkeys(job.depends_on)
    machine.world.depend(job)
    told = [b for b in blockers(machine.world, job, machine.time) if b.jobs]
    assert len(told) == MOST_TOLD
    more = blockers(machine.world, job, machine.time)[-1]
    assert (more.need, more.have) == ("900 other jobs", "they have not ended")
    looked.clear()
    lines = len(machine.world.changes.history)
    for other in others[:-1]:
        handle(machine.world, ev.CancelAsked(other.id, 0), machine.time)
    assert looked == []
    assert list(dict.keys(job.waits_for)) == [Dependency(others[-1].id, After.ANY)]
    assert not [x for x in machine.world.changes.history[lines:] if x.job == job.id]
    handle(machine.world, ev.CancelAsked(others[-1].id, 0), machine.time)
    assert not job.waits_for
    assert [x.detail for x in machine.world.changes.history if x.job == job.id][-1] == (
        f"job {others[-1].id} is CANCELLED"
    )
