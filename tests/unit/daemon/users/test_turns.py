"""Whose replay comes next: one of each user, who used least first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from launcher.daemon.users.turns import ProcessorTurns, UsedTime

ALICE, BOB, CAROL = 1000, 1001, 1002


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Asking:
    """Users who ask for turns, and in which order they got them."""

    def __init__(self, at_once: int = 1) -> None:
        self.clock = Clock()
        self.used = UsedTime(self.clock)
        self.turns = ProcessorTurns(at_once, self.used)
        self.order: list[int] = []

    def ask(self, uid: int) -> tuple[asyncio.Task[None], asyncio.Event]:
        """Return a task that takes a turn, and what ends it."""
        over = asyncio.Event()

        async def work() -> None:
            async with self.turns.turn(uid, 60.0):
                self.order.append(uid)
                await over.wait()

        return asyncio.create_task(work()), over


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def played(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(10):
            await body()

    asyncio.run(within())


def test_who_used_least_goes_before_those_who_came_first() -> None:
    async def body() -> None:
        asking = Asking()
        first, over = asking.ask(ALICE)
        await settle()
        waiting = [asking.ask(uid) for uid in (ALICE, ALICE, BOB, CAROL)]
        await settle()
        asking.clock.now += 30.0
        over.set()
        await first
        for task, over in (waiting[2], waiting[3], waiting[0], waiting[1]):
            await settle()
            asking.clock.now += 1.0
            over.set()
            await task
        assert asking.order == [ALICE, BOB, CAROL, ALICE, ALICE]

    played(body)


def test_a_users_own_wait_for_each_other_and_leave_turns_for_others() -> None:
    async def body() -> None:
        asking = Asking(at_once=2)
        mine = [asking.ask(ALICE) for _ in range(5)]
        await settle()
        other = asking.ask(BOB)
        await settle()
        assert asking.order == [ALICE, BOB]
        for task, over in (other, *mine):
            over.set()
            await task
        assert asking.order == [ALICE, BOB, *[ALICE] * 4]

    played(body)


def test_who_leaves_gives_the_turn_back_whether_he_has_it_or_waits() -> None:
    async def body() -> None:
        asking = Asking()
        has, _ = asking.ask(ALICE)
        await settle()
        waits, _ = asking.ask(BOB)
        served, _ = asking.ask(CAROL)
        await settle()
        for task in (waits, has, served):
            task.cancel()  # the turn comes to the last one in the moment it leaves
            if task is has:
                continue
            with contextlib.suppress(asyncio.CancelledError):
                await task
        last, over = asking.ask(BOB)
        over.set()
        await last
        assert asking.order == [ALICE, BOB]

    played(body)


def test_a_turn_that_does_not_come_in_time_is_not_taken_later() -> None:
    async def body() -> None:
        asking = Asking()
        task, over = asking.ask(ALICE)
        await settle()
        with pytest.raises(TimeoutError):
            async with asking.turns.turn(BOB, 0.01):
                raise AssertionError
        over.set()
        await task
        async with asking.turns.turn(CAROL, 1.0):
            assert asking.order == [ALICE]

    played(body)


def test_what_was_used_is_forgotten_in_time_and_accounts_do_not_pile_up() -> None:
    clock = Clock()
    used = UsedTime(clock)
    for uid in range(1000):
        with used.charged(uid):
            clock.now += 1.0
    assert used.of(999) == pytest.approx(1.0)
    assert len(used._accounts) < 20
    clock.now += 100.0
    assert used.of(999) <= 0.0
