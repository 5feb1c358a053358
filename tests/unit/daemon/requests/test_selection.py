"""Which jobs the filters of ``ps`` and ``cancel`` mean."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from pathlib import Path

import pytest

from launcher.core.messages import events as ev
from launcher.core.model.job import Job, Outcome, Owner, State
from launcher.daemon.api.handlers.jobs import list_jobs
from launcher.daemon.requests.selection import selection
from launcher.daemon.users.identity import Caller
from launcher.errors import UserError
from launcher.spec.job_spec import JobSpec
from launcher.wire.states import OUTCOMES, STATES, parse_live_states, parse_states
from tests.support.builders import ALICE, CPU, IMAGE
from tests.support.plain_work import plain_work
from tests.unit.daemon.api.handlers.test_committed_reads import context_of
from tests.unit.daemon.loop.test_event_loop import Daemon, play

BOB = Owner(1002, 1002, "bob")
AS_ALICE, AS_ROOT = Caller(ALICE, admin=False), Caller(Owner(0, 0, "root"), admin=True)


def job(number: int, name: str = "train", owner: Owner = ALICE, **changes: object) -> Job:
    made = Job(number, owner, name, CPU, IMAGE, 50, 0.0)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


JOBS = [
    job(1),
    job(2, state=State.RUNNING),
    job(3, "prepare"),
    job(4, owner=BOB),
    job(5, state=State.DONE, outcome=Outcome.FAILED),
    job(6, state=State.COMPLETING, outcome=Outcome.COMPLETED),
]


@pytest.mark.parametrize(
    ("filters", "meant"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"user": "me"}, [1, 2, 3, 5, 6]),
        ({"user": "bob"}, [4]),
        ({"user": "1002"}, [4]),
        ({"state": "pending"}, [1, 3, 4]),
        ({"state": "R,failed"}, [2, 5]),
        ({"state": "completing"}, [6]),
        ({"state": "completed"}, [6]),
        ({"name": "tr*"}, [1, 2, 5, 6]),
        ({"name": "tr*", "state": "PD", "user": "me"}, [1]),
        ({"user": "nobody"}, []),
    ],
)
def test_every_filter_must_pass(filters: dict[str, str], meant: list[int]) -> None:
    found = asyncio.run(selection(AS_ALICE, **filters).of(JOBS))
    assert [job.id for job in found] == meant


def test_a_pattern_does_not_find_out_the_names_of_others_jobs() -> None:
    assert not asyncio.run(selection(AS_ALICE, user="bob", name="train").of(JOBS))
    assert len(asyncio.run(selection(AS_ROOT, user="bob", name="train").of(JOBS))) == 1


@pytest.mark.parametrize("text", ["done", "", "pending,", "runing"])
def test_a_word_that_is_no_state_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(UserError, match="is not a state of a job: write pending, starting"):
        selection(AS_ALICE, state=text)


def test_the_words_are_the_states_and_outcomes_of_jobs() -> None:
    assert set(STATES) == {state.value for state in State} - {"DONE"}
    assert set(OUTCOMES) == {outcome.value for outcome in Outcome}
    assert parse_states("out-of-memory, LOST") == {"OUT_OF_MEMORY", "LOST"}
    with pytest.raises(ValueError, match="jobs that are FAILED have ended: write pending"):
        parse_live_states("pending,failed")


async def _listed(made: Daemon, **filters: str) -> list[int]:
    context = context_of(made)
    pages = await list_jobs(
        context, AS_ALICE, with_ended=False, refs=[], after=None, most=None, **filters
    )
    return [view.id async for page in pages for view in page]


async def _longest_step(made: Daemon) -> float:
    """Return the most processor time that a turn of the loop took, in seconds, during two lists."""
    longest, over = 0.0, asyncio.Event()

    async def others() -> None:
        nonlocal longest
        while not over.is_set():
            before = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)

    task = asyncio.create_task(others())
    assert await _listed(made, state="running") == []
    assert await _listed(made, name="x*") == []
    over.set()
    await task
    return longest


def test_an_outcome_includes_jobs_that_have_ended(tmp_path: Path) -> None:
    async def body(made: Daemon) -> None:
        (first,) = await made.submit(hold=True)
        (second,) = await made.submit(hold=True)
        await made.event_loop.request(ev.CancelAsked(first.id, ALICE.uid))
        assert await _listed(made) == [second.id]
        assert await _listed(made, state="cancelled") == [first.id]
        assert await _listed(made, state="cancelled,pending") == [first.id, second.id]
        assert await _listed(made, state="running") == []

    play(body, tmp_path)


def test_a_filter_over_many_waiting_jobs_stops_others_for_a_few_milliseconds(
    tmp_path: Path,
) -> None:
    async def body(made: Daemon) -> None:
        spec = JobSpec("job", IMAGE.reference, CPU, hold=True)
        new = tuple(ev.NewJob(spec, "{}", IMAGE) for _ in range(20_000))
        await made.event_loop.request(ev.Submitted(ALICE, new, admin=True))
        rounds = [await _longest_step(made) for _ in range(5)]
        assert min(rounds) < 4 * plain_work(), "processor time of one step"

    play(body, tmp_path)
