"""What counts as a change that users see, and how often those who wait are woken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from launcher.core.messages.changes import Changes
from launcher.daemon.loop import change_counter
from launcher.daemon.loop.change_counter import ChangeCounter
from tests.unit.store.worlds import changes, job

LONG = 60.0


def on_a_loop(
    test: Callable[[ChangeCounter], Coroutine[Any, Any, None]], state: Callable[[], object] = str
) -> None:
    async def body() -> None:
        async with asyncio.timeout(10):
            await test(ChangeCounter(state))

    asyncio.run(body())


async def current(counter: ChangeCounter) -> int:
    """The number once nothing is left to count."""
    count = await counter.after(None, 0)
    while (later := await counter.after(count, 2 * change_counter.INTERVAL_SECONDS)) != count:
        count = later
    return count


def test_without_a_number_and_with_another_one_the_reply_comes_at_once() -> None:
    async def body(counter: ChangeCounter) -> None:
        count = await current(counter)
        assert await counter.after(None, LONG) == count
        assert await counter.after(count - 1, LONG) == count
        assert await counter.after(count + 1, LONG) == count, "of another daemon"

    on_a_loop(body)


def test_a_wait_without_a_change_ends_with_the_same_number() -> None:
    async def body(counter: ChangeCounter) -> None:
        count = await current(counter)
        assert await counter.after(count, 0.01) == count

    on_a_loop(body)


def test_a_change_of_a_job_wakes_all_that_wait() -> None:
    async def body(counter: ChangeCounter) -> None:
        count = await current(counter)
        waits = [asyncio.create_task(counter.after(count, LONG)) for _ in range(3)]
        await asyncio.sleep(0)
        counter.changed(changes(job(1)))
        assert await asyncio.gather(*waits) == [count + 1] * 3

    on_a_loop(body)


def test_what_no_list_shows_wakes_nothing() -> None:
    async def body(counter: ChangeCounter) -> None:
        count = await current(counter)
        counter.changed(Changes(clock=1.0))
        counter.changed(Changes())
        assert await counter.after(count, 0.01) == count

    on_a_loop(body)


def test_state_that_is_not_stored_is_compared_after_each_decision() -> None:
    foreign: list[str] = []

    async def body(counter: ChangeCounter) -> None:
        count = await current(counter)
        wait = asyncio.create_task(counter.after(count, LONG))
        await asyncio.sleep(0)
        foreign.append("is used by process 7")
        counter.changed(Changes())
        assert await wait == count + 1

    on_a_loop(body, lambda: tuple(foreign))


def test_a_change_while_nobody_waited_is_seen_by_the_next_wait() -> None:
    foreign: list[str] = []

    async def body(counter: ChangeCounter) -> None:
        count = await current(counter)
        foreign.append("is used by process 7")
        assert await counter.after(count, LONG) == count + 1

    on_a_loop(body, lambda: tuple(foreign))


def test_many_changes_in_a_row_count_as_one_for_a_while() -> None:
    async def body(counter: ChangeCounter) -> None:
        count = await current(counter)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(1000):
            counter.changed(changes(job(1)))
        assert await counter.after(count, LONG) == count + 1
        assert await counter.after(count + 1, LONG) == count + 2
        assert loop.time() - began >= 0.9 * change_counter.INTERVAL_SECONDS
        assert await counter.after(count + 2, 0.01) == count + 2

    on_a_loop(body)
