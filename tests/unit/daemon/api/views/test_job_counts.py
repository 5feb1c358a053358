"""Status counts are shared between callers, and no caller waits for a busy store."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from launcher.core.model.job import State
from launcher.daemon.api.views.job_counts import Counts, live
from tests.support.builders import CPU, Machine, profile


class Slow:
    """A store in which counting takes a while."""

    def __init__(self, seconds: float = 0.05) -> None:
        self.times, self.seconds = 0, seconds

    async def read(self, _: Any) -> dict[str, int]:
        self.times += 1
        await asyncio.sleep(self.seconds)
        return {"FAILED": self.times}


def test_a_hundred_who_ask_at_once_make_it_count_once() -> None:
    async def body() -> None:
        store, world = Slow(), Machine().world
        counts = Counts(cast(Any, store))
        found = await asyncio.gather(*(counts.now(world) for _ in range(100)))
        assert (store.times, found) == (1, [{"FAILED": 1}] * 100)

    asyncio.run(body())


def test_a_caller_gets_its_count_though_the_next_one_has_begun() -> None:
    async def body() -> None:
        store, world = Slow(), Machine().world
        counts = Counts(cast(Any, store))

        async def twice() -> None:
            assert await counts.now(world) == {"FAILED": 1}
            assert await counts.now(world) == {"FAILED": 1}, "the last known"

        await asyncio.gather(twice(), twice())

    asyncio.run(body())


def test_what_takes_no_time_is_counted_for_everyone() -> None:
    async def body() -> None:
        store, world = Slow(0.0), Machine().world
        counts = Counts(cast(Any, store))
        first = await counts.now(world)
        await asyncio.sleep(0.05)
        assert (first, await counts.now(world)) == ({"FAILED": 1}, {"FAILED": 2})

    asyncio.run(body())


def test_who_asks_while_the_store_is_busy_is_told_the_last_count() -> None:
    async def body() -> None:
        store, world = Slow(0.0), Machine().world
        counts = Counts(cast(Any, store))
        await counts.now(world)
        await asyncio.sleep(0.02)
        store.seconds = 30.0
        async with asyncio.timeout(5):
            assert await counts.now(world) == {"FAILED": 1}
            assert await counts.now(world) == {"FAILED": 1}
        assert store.times == 2, "one count is under way"

    asyncio.run(body())


def test_live_jobs_are_counted_in_memory() -> None:
    machine = Machine()
    first, *_ = machine.submit(*[profile()] * 6, CPU)
    machine.run(first)
    words = [j.outcome or j.state for j in machine.world.jobs.values()]
    assert live(machine.world) == {w.value: words.count(w) for w in dict.fromkeys(words)}
    assert first.state is State.RUNNING
