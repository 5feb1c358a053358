"""Which ended jobs may be deleted, and what is remembered of them while requests are under way."""

from __future__ import annotations

import copy

import pytest

from launcher.core.dispatch import decide
from launcher.core.jobs.pruning import by_day
from launcher.core.jobs.submit import submit
from launcher.core.messages import events as ev
from launcher.core.model.job import Dependency, Job, Outcome
from launcher.core.world.recent import MOST, RecentEnds
from launcher.errors import StaleRequest
from launcher.spec.job_spec import JobSpec
from tests.support.builders import ALICE, CPU, IMAGE, Machine, profile


def prune(machine: Machine, *jobs: ev.Prunable) -> list[int]:
    found: list[int] = decide(machine.world, ev.PruneAsked(jobs), machine.time)[0]
    return found


def ended(machine: Machine) -> Job:
    (job,) = machine.submit(profile())
    machine.run(job)
    machine.end(job, 0)
    return job


def waiting_for(machine: Machine, ref: int, how: Outcome | None = Outcome.COMPLETED) -> Job:
    """Queue a held job that names another one, or an array."""
    spec = JobSpec("job", IMAGE.reference, profile(), hold=True)
    new = ev.NewJob(spec, "{}", IMAGE, after=((Dependency(ref), how),))
    (job,), _ = submit(machine.world, ev.Submitted(ALICE, (new,)), machine.time)
    return job


def retried(job: Job, read_at: int = 0) -> ev.RetryAsked:
    return ev.RetryAsked((ev.Retried(copy.copy(job)),), 1000, read_at=read_at)


def test_an_ended_job_is_deleted_and_a_live_one_is_not() -> None:
    machine = Machine()
    over = ended(machine)
    (waits,) = machine.submit(profile())
    assert prune(machine, ev.Prunable(over.id), ev.Prunable(waits.id)) == [over.id]
    assert machine.world.changes.pruned == {over.id: machine.time.wall}
    assert prune(machine, ev.Prunable(over.id)) == [], "another one was as fast"


def test_a_job_stays_while_one_that_has_not_ended_names_it() -> None:
    machine = Machine()
    over = ended(machine)
    waits = waiting_for(machine, over.id)
    assert prune(machine, ev.Prunable(over.id)) == []
    machine.tell(ev.CancelAsked(waits.id, 1000))
    assert prune(machine, ev.Prunable(over.id)) == [over.id]


def test_an_element_stays_while_its_array_has_not_ended_or_is_named() -> None:
    machine = Machine()
    first, second = machine.submit_array(2, CPU)
    machine.run(first)
    machine.end(first, 0)
    assert first.element is not None
    element = ev.Prunable(first.id, first.element.array)
    assert prune(machine, element) == []
    waits = waiting_for(machine, first.element.array, None)
    machine.run(second)
    machine.end(second, 0)
    assert prune(machine, element) == [], "the array is named"
    machine.tell(ev.CancelAsked(waits.id, 1000))
    assert prune(machine, element) == [first.id]


def test_a_retry_that_was_read_before_the_job_was_deleted_is_refused() -> None:
    machine = Machine()
    over = ended(machine)
    read_at = machine.world.recent.count
    prune(machine, ev.Prunable(over.id))
    with pytest.raises(StaleRequest, match="just changed or deleted"):
        decide(machine.world, retried(over, read_at), machine.time)
    assert machine.world.jobs == {}


def test_a_retry_whose_reading_is_older_than_what_is_remembered_is_refused() -> None:
    recent = RecentEnds()
    for job_id in range(MOST + 1):
        recent.pruned(job_id)
    assert len(recent._last) == MOST
    assert recent.is_stale(MOST + 5, 1, read_at=0)
    assert not recent.is_stale(MOST + 5, 1, read_at=1)
    assert recent.is_stale(MOST + 5, 1, read_at=MOST + 2), "of a world before this one"


def test_seconds_are_told_by_day() -> None:
    days = dict(by_day(86400.0 * 10 + 80000, 86400.0 * 13 + 5))
    assert days == {
        "1970-01-11": 6400.0,
        "1970-01-12": 86400.0,
        "1970-01-13": 86400.0,
        "1970-01-14": 5.0,
    }
    assert list(by_day(5.0, 5.0)) == list(by_day(5.0, 1.0)) == []


def test_the_boot_of_an_attempt_is_forgotten_once_its_job_is_over() -> None:
    machine = Machine()
    machine.world.boot = "b00t"
    (job,) = machine.submit(profile())
    machine.run(job)
    attempt = machine.world.attempts[job.id]
    assert attempt.boot == "b00t"
    machine.end(job, 0)
    assert attempt.boot is None
    assert machine.world.changes.attempts[job.id, 1] is attempt
