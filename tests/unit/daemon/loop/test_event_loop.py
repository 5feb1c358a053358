"""The one loop that decides: one commit for many, nothing done before it, a disk that fills.

A real store on a real small disk; nobody starts containers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from launcher.core.messages import events as ev
from launcher.core.messages.actions import (
    Action,
    FindImage,
    FollowAttempt,
    ProveIdle,
    StartAttempt,
    StopAttempt,
)
from launcher.core.messages.changes import Changes
from launcher.core.model.gpu import Inventory
from launcher.core.model.job import Job, Outcome, State
from launcher.daemon.loop import event_loop as brains
from launcher.daemon.loop.committer import Committer
from launcher.daemon.loop.event_loop import EventLoop
from launcher.errors import InvalidTransition, NoSuchJob, ReadOnlyState
from launcher.spec.job_spec import JobSpec
from launcher.store import Reader, Store
from tests.support.builders import ALICE, IMAGE, a30, mig, profile
from tests.support.small_disk import SmallDisk
from tests.support.wait import wait_until

AT = "2026-01-01T00:00:00.000000Z"


@dataclass
class Daemon:
    """A brain with its store, and what it did."""

    event_loop: EventLoop
    committer: Committer
    actions: list[Action] = field(default_factory=list)
    commits: list[Changes] = field(default_factory=list)

    def new(self, count: int = 1, **spec: Any) -> ev.Submitted:
        made = ev.NewJob(JobSpec("job", IMAGE.reference, profile(), **spec), "{}", IMAGE)
        return ev.Submitted(ALICE, (made,) * count)

    async def submit(self, count: int = 1, **spec: Any) -> list[Job]:
        return await self.event_loop.request(self.new(count, **spec))

    async def running(self, **spec: Any) -> Job:
        """Bring one job to RUNNING."""
        (job,) = await self.submit(**spec)
        self.event_loop.post(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
        await until(lambda: any(isinstance(a, StartAttempt) for a in self.actions))
        self.event_loop.post(ev.AttemptStarted(job.id, 1, "c1", AT))
        await until(lambda: any(isinstance(a, FollowAttempt) for a in self.actions))
        return job

    async def stored(self, number: int) -> Job | None:
        return await self.committer.read(Reader.job, number)


async def until(predicate: Callable[[], Any]) -> None:
    await asyncio.to_thread(wait_until, predicate)


@asynccontextmanager
async def daemon(place: Path, *, run: bool = True) -> AsyncIterator[Daemon]:
    committer = Committer(Store.open(place))
    world = await committer.load(2)
    actions: list[Action] = []
    commits: list[Changes] = []
    event_loop = EventLoop(world, committer, actions.append, commits.append)
    task = asyncio.create_task(event_loop.run()) if run else None
    inventory = Inventory("580", (a30(),), (mig(0), mig(1)))
    event_loop.post(ev.InventoryRead(inventory), ev.Reconciled())
    if task is not None:
        await asyncio.sleep(0)
        await event_loop.request(ev.Tick())  # the capacity is recorded before a disk is filled
    try:
        yield Daemon(event_loop, committer, actions, commits)
        assert task is None or not task.done(), "the loop never ends"
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        committer.close()


def play(test: Callable[[Daemon], Coroutine[Any, Any, None]], place: Path, **how: Any) -> None:
    async def body() -> None:
        async with asyncio.timeout(30), daemon(place, **how) as made:
            await test(made)

    asyncio.run(body())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brains, "RETRY_SECONDS", 0.02)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with SmallDisk(tmp_path / "disk") as mounted:
        yield mounted


def test_many_who_ask_at_once_are_answered_by_one_commit(tmp_path: Path) -> None:
    async def body(made: Daemon) -> None:
        asking = [asyncio.create_task(made.submit()) for _ in range(100)]
        await asyncio.sleep(0)
        task = asyncio.create_task(made.event_loop.run())
        ids = [job.id for (job,) in await asyncio.gather(*asking)]
        task.cancel()
        assert ids == list(range(1, 101))
        assert [len(c.new_jobs) for c in made.commits if c.new_jobs] == [100]

    play(body, tmp_path, run=False)


def test_what_was_decided_and_how_long_its_commit_took_is_told_once(tmp_path: Path) -> None:
    decided: list[ev.Event] = []
    took: list[tuple[float, bool]] = []

    def told(_: Changes, events: Sequence[ev.Event]) -> Iterator[None]:
        decided.extend(events)
        yield

    async def body() -> None:
        committer = Committer(Store.open(tmp_path), lambda *commit: took.append(commit))
        world = await committer.load(2)
        loop = EventLoop(world, committer, lambda _: None, lambda _: None, decided=told)
        task = asyncio.create_task(loop.run())
        loop.post(ev.InventoryFailed("NVML does not answer"), ev.EngineDown("it is away"))
        await until(lambda: len(decided) == 2)
        assert loop.waiting == 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        committer.close()

    asyncio.run(body())
    assert [type(event) for event in decided] == [ev.InventoryFailed, ev.EngineDown]
    assert all(seconds >= 0 and not failed for seconds, failed in took)


def test_an_answer_comes_only_when_the_job_is_durable(tmp_path: Path) -> None:
    async def body(made: Daemon) -> None:
        (job,) = await made.submit()
        assert await made.stored(job.id) == job

    play(body, tmp_path)


def test_a_job_that_ended_is_seen_so_also_while_its_end_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(made: Daemon) -> None:
        (job,) = await made.submit(hold=True)
        commit, go, seen = made.committer.commit, asyncio.Event(), asyncio.Event()

        async def slow(changes: Changes) -> None:
            seen.set()
            await go.wait()
            await commit(changes)

        monkeypatch.setattr(made.committer, "commit", slow)
        made.event_loop.post(ev.CancelAsked(job.id, ALICE.uid))
        await seen.wait()
        assert job.id not in made.event_loop.world.jobs
        known, stored = made.event_loop.changed(job.id), await made.stored(job.id)
        assert known is not None
        assert stored is not None
        assert (known.state, stored.state) == (State.DONE, State.PENDING)
        go.set()
        await until(lambda: made.event_loop.changed(job.id) is None)
        assert await made.stored(job.id) == known

    play(body, tmp_path)


def test_nothing_is_done_outside_before_its_commit(tmp_path: Path) -> None:
    async def body(made: Daemon) -> None:
        job = await made.running()
        (start,) = [a for a in made.actions if isinstance(a, StartAttempt)]
        seen: list[tuple[State, int]] = []

        def dispatch(action: Action) -> None:
            reader = Reader(tmp_path)
            found = reader.job(job.id)
            assert found is not None
            seen.append((found.state, len(found.slices)))
            reader.close()

        made.event_loop._dispatch = dispatch
        made.event_loop.post(ev.AttemptEnded(job.id, 1, 0, False, AT, AT))
        await until(lambda: len(seen) >= 2)
        assert set(seen) == {(State.COMPLETING, 1)}
        assert start.slices[0].uuid in made.event_loop.world.slices

    play(body, tmp_path)


def test_one_who_is_refused_does_not_spoil_it_for_the_others(tmp_path: Path) -> None:
    async def body(made: Daemon) -> None:
        results = await asyncio.gather(
            made.submit(),
            made.event_loop.request(ev.CancelAsked(99, 0)),
            made.submit(),
            return_exceptions=True,
        )
        assert [type(r) for r in results] == [list, NoSuchJob, list]

    play(body, tmp_path)


def test_an_event_that_fits_no_state_changes_nothing_and_the_loop_goes_on(tmp_path: Path) -> None:
    async def body(made: Daemon) -> None:
        job = await made.running()
        with pytest.raises(InvalidTransition, match="StartFailed"):
            await made.event_loop.request(ev.StartFailed(job.id, 1, ev.StartFailure.INFRA, "late"))
        assert made.event_loop.world.jobs[job.id].state is State.RUNNING
        assert len(await made.submit()) == 1

    play(body, tmp_path)


def test_one_who_went_away_is_not_missed(tmp_path: Path) -> None:
    async def body(made: Daemon) -> None:
        asking = asyncio.create_task(made.submit())
        await asyncio.sleep(0)
        asking.cancel()
        (job,) = await made.submit()
        assert job.id == 2, "the first was queued all the same"

    play(body, tmp_path)


def test_a_commit_that_fails_answers_nobody_with_success_and_does_nothing(
    disk: SmallDisk,
) -> None:
    async def body(made: Daemon) -> None:
        await made.submit()
        before = list(made.actions)
        disk.fill()
        results = await asyncio.gather(
            *(made.submit(500) for _ in range(5)), return_exceptions=True
        )
        assert [type(r) for r in results] == [ReadOnlyState] * 5
        assert "full" in str(results[0])
        assert "Free some space" in str(results[0])
        assert made.actions == before
        assert made.event_loop.read_only
        await until(lambda: set(made.event_loop.world.jobs) == {1})
        with pytest.raises(ReadOnlyState):
            await made.submit()
        assert await made.stored(2) is None

    play(body, disk.path)


def test_it_takes_up_work_again_by_itself_when_there_is_space(disk: SmallDisk) -> None:
    async def body(made: Daemon) -> None:
        disk.fill()
        with pytest.raises(ReadOnlyState):
            await made.submit(2000)
        disk.free()
        await until(lambda: made.event_loop.read_only is None)
        (job,) = await made.submit()
        assert job.id == 1, "the ids of what never was are not used up"
        assert await made.stored(1) == job

    play(body, disk.path)


def test_what_was_observed_while_commits_failed_is_not_lost(disk: SmallDisk) -> None:
    async def body(made: Daemon) -> None:
        job = await made.running()
        disk.fill()
        with pytest.raises(ReadOnlyState):
            await made.submit(2000)
        ended = ev.AttemptEnded(job.id, 1, 7, False, AT, AT)
        made.event_loop.post(ended, ev.SlicesIdle(job.id, 1, job.slices))
        for _ in range(20):
            await asyncio.sleep(0)
        found = await made.stored(job.id)
        assert found is not None
        assert found.state is State.RUNNING
        disk.free()
        await until(lambda: made.event_loop.read_only is None and not made.event_loop.world.jobs)
        after = await made.stored(job.id)
        assert after is not None
        assert (after.state, after.outcome, after.exit_code) == (State.DONE, Outcome.FAILED, 7)
        assert sum(isinstance(a, ProveIdle) for a in made.actions) == 1

    play(body, disk.path)


def test_the_world_after_a_failure_is_the_one_on_disk_and_still_knows_the_machine(
    disk: SmallDisk,
) -> None:
    async def body(made: Daemon) -> None:
        job = await made.running()
        disk.fill()
        with pytest.raises(ReadOnlyState):
            await made.submit(2000)
        disk.free()
        await until(lambda: made.event_loop.read_only is None)
        world = made.event_loop.world
        assert world.jobs[job.id].state is State.RUNNING
        assert [lease.slice for lease in world.leases[job.id]] == [mig(0)]
        states = {u: (s.lost, s.lease is not None) for u, s in world.slices.items()}
        assert states == {mig(0).uuid: (False, True), mig(1).uuid: (False, False)}
        assert world.reconciling is None
        (second,) = await made.submit()
        made.event_loop.post(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
        await until(lambda: world.jobs[second.id].state is State.STARTING)
        assert world.jobs[second.id].slices == (mig(1).uuid,)

    play(body, disk.path)


def test_a_job_that_waited_for_its_image_waits_for_it_again(disk: SmallDisk) -> None:
    async def body(made: Daemon) -> None:
        await made.submit()
        disk.fill()
        with pytest.raises(ReadOnlyState):
            await made.submit(2000)
        disk.free()
        await until(lambda: made.event_loop.read_only is None)
        assert [a for a in made.actions if isinstance(a, FindImage)] == [FindImage(IMAGE)] * 2
        made.event_loop.post(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
        await until(lambda: made.event_loop.world.jobs[1].state is State.STARTING)

    play(body, disk.path)


def test_a_time_limit_still_counts_after_a_commit_that_failed(disk: SmallDisk) -> None:
    async def body(made: Daemon) -> None:
        job = await made.running(time_limit=0.05)
        disk.fill()
        with pytest.raises(ReadOnlyState):
            await made.submit(2000)
        disk.free()
        await until(lambda: made.event_loop.read_only is None)
        await until(lambda: made.event_loop.post(ev.Tick()) or _stops(made.actions))
        assert _stops(made.actions) == [StopAttempt(job.id, 1, _name(made, job), "c1")]

    play(body, disk.path)


def _stops(actions: list[Action]) -> list[StopAttempt]:
    return [a for a in actions if isinstance(a, StopAttempt)]


def _name(made: Daemon, job: Job) -> str:
    return made.event_loop.world.attempts[job.id].container_name
