"""A pool in which no user's calls wait for another's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from launcher.daemon.users import fair_pool
from launcher.daemon.users.fair_pool import FairPool

ALICE, BOB = 1000, 1001


def play(body: Callable[[FairPool, threading.Event], Awaitable[None]]) -> None:
    """Run a body with a pool of four threads, of which a user may have two."""

    async def run() -> None:
        pool, gate = FairPool("test", threads=4, share=2), threading.Event()
        try:
            await asyncio.wait_for(body(pool, gate), 20)
        finally:
            gate.set()
            pool.close()

    asyncio.run(run())


def test_a_hundred_calls_of_one_user_that_hang_leave_room_for_anothers() -> None:
    async def body(pool: FairPool, gate: threading.Event) -> None:
        hung = [asyncio.create_task(pool.run(ALICE, gate.wait)) for _ in range(100)]
        await asyncio.sleep(0)
        assert await pool.run(BOB, lambda: 7) == 7
        assert not pool.stuck
        gate.set()
        assert all(await asyncio.gather(*hung))

    play(body)


def test_a_call_that_nobody_waits_for_any_more_is_charged_until_it_returns() -> None:
    async def body(pool: FairPool, gate: threading.Event) -> None:
        hung = [asyncio.create_task(pool.run(ALICE, gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        for task in hung:
            task.cancel()
        third = asyncio.create_task(pool.run(ALICE, lambda: 7))
        await pool.run(BOB, lambda: None)
        assert not third.done()
        gate.set()
        assert await third == 7

    play(body)


def test_an_error_is_the_callers_and_gives_the_share_back() -> None:
    async def body(pool: FairPool, gate: threading.Event) -> None:
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                await pool.run(ALICE, lambda: 1 / 0)
        assert await pool.run(ALICE, lambda: 7) == 7

    play(body)


def test_a_pool_whose_threads_all_hang_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_pool, "STUCK_SECONDS", 0.0)

    async def body(pool: FairPool, gate: threading.Event) -> None:
        hung = [asyncio.create_task(pool.run(uid, gate.wait)) for uid in (1, 2) for _ in range(2)]
        await asyncio.sleep(0)
        assert pool.stuck
        gate.set()
        await asyncio.gather(*hung)
        await asyncio.sleep(0)
        assert not pool.stuck

    play(body)
