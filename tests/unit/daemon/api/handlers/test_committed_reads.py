"""What was answered once is never taken back: reads of the store beside a commit under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from launcher.core.messages import events as ev
from launcher.core.messages.changes import Changes
from launcher.core.model.arrays import ArrayTemplate
from launcher.core.model.job import Job, State
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.handlers.jobs import _pages
from launcher.daemon.api.handlers.streams import wait_for_outcome
from launcher.daemon.loop.subscriptions import Subscriptions
from launcher.daemon.requests.selection import selection
from launcher.daemon.users.identity import Caller
from launcher.spec.job_spec import JobSpec
from tests.support.builders import ALICE, IMAGE, profile
from tests.unit.daemon.loop.test_event_loop import Daemon, play

CALLER = Caller(ALICE, admin=False)
Reading = Callable[[Context], Awaitable[list[Job]]]


async def _all(context: Context) -> list[Job]:
    pages = _pages(context, CALLER, [], True, 0, selection(CALLER))
    return [job async for page in pages for job in page]


READS: dict[str, Reading] = {
    "last": lambda context: context.resolve("last", CALLER),
    "its name": lambda context: context.resolve("job", CALLER),
    "a range": lambda context: context.resolve_all(["1-9"], CALLER),
    "an array": lambda context: context.resolve("1", CALLER),
    "an element": lambda context: context.resolve("1[0]", CALLER),
    "all": _all,
}


def context_of(made: Daemon) -> Context:
    """A context of a daemon whose hub hears of each commit."""
    context = object.__new__(Context)
    context.event_loop, context.committer, context.subscriptions = (
        made.event_loop,
        made.committer,
        Subscriptions(),
    )
    made.event_loop._changed = context.subscriptions.changed
    return context


def slow_commits(made: Daemon, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Commits that wait: ``seen`` is set when one has come, ``go`` lets it pass."""
    commit, gate = made.committer.commit, SimpleNamespace(go=asyncio.Event(), seen=asyncio.Event())

    async def slow(changes: Changes) -> None:
        gate.seen.set()
        await gate.go.wait()
        await commit(changes)

    monkeypatch.setattr(made.committer, "commit", slow)
    return gate


@pytest.mark.parametrize("how", READS)
def test_a_job_that_ends_while_the_store_is_read_is_not_shown_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async def body(made: Daemon) -> None:
        context = context_of(made)
        spec = JobSpec("job", IMAGE.reference, profile(), hold=True)
        new = ev.NewJob(spec, "", IMAGE, element=ev.NewElement(0, 0))
        array = ev.NewArray("job", ArrayTemplate("{}"))
        second = ev.NewJob(spec, "", IMAGE, element=ev.NewElement(0, 1))
        jobs = await made.event_loop.request(ev.Submitted(ALICE, (new, second), False, (array,)))
        gate = slow_commits(made, monkeypatch)
        made.event_loop.post(*(ev.CancelAsked(job.id, ALICE.uid) for job in jobs))
        await gate.seen.wait()
        found = await READS[how](context)
        assert found
        assert {job.state for job in found} == {State.DONE}
        gate.go.set()

    play(body, tmp_path)


def test_who_waits_for_a_job_is_answered_once_its_end_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(made: Daemon) -> None:
        context = context_of(made)
        (job,) = await made.submit(hold=True)
        gate = slow_commits(made, monkeypatch)
        made.event_loop.post(ev.CancelAsked(job.id, ALICE.uid))
        await gate.seen.wait()
        waiting = asyncio.create_task(wait_for_outcome(context, job, 20))
        assert not (await asyncio.wait({waiting}, timeout=0.1))[0]
        gate.go.set()
        ended = await waiting
        assert await made.stored(job.id) == ended

    play(body, tmp_path)
