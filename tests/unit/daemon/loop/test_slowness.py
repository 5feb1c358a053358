"""A daemon that does not keep up says so in ``status``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from launcher.core.messages.actions import Action, KillAttempt, PullImage
from launcher.core.model.job import ImageKey
from launcher.daemon.loop import slowness
from launcher.daemon.loop.health import Health


class Work:
    """Actions that were decided on so many seconds ago, and pools that are stuck."""

    def __init__(self, *ago: tuple[Action, float], stuck: tuple[str, ...] = ()) -> None:
        self._ago, self._stuck = ago, stuck

    def under_way(self) -> Iterator[tuple[Action, float]]:
        now = time.monotonic()
        yield from ((action, now - seconds) for action, seconds in self._ago)

    def stuck_pools(self) -> Iterator[str]:
        yield from self._stuck


def _overdue(work: Work, now: float) -> str | None:
    return slowness.described(slowness.overdue(work, now))


def test_actions_that_take_too_long_are_named_and_a_slow_pull_is_none() -> None:
    kill = KillAttempt(7, 1, "launch-x-7-1")
    pull = PullImage(ImageKey("a", "missing"))
    now = time.monotonic()
    assert _overdue(Work((kill, 10.0), (pull, 9999.0)), now) is None
    told = _overdue(Work((kill, 40.0), (pull, 9999.0)), now)
    assert told == "overdue: KillAttempt of job 7 for 40 s"
    many = [(KillAttempt(n, 1, "x"), 40.0) for n in range(10)]
    assert (_overdue(Work(*many), now) or "").endswith("and 7 more")


def test_a_loop_that_was_held_up_and_a_pool_without_threads_are_problems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slowness, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(slowness, "LAG_SECONDS", 0.05)

    async def body() -> list[str]:
        health = Health()
        task = asyncio.create_task(slowness.watch(health, Work(stuck=("signal",))))
        await asyncio.sleep(0)
        until = time.monotonic() + 0.2
        while time.monotonic() < until:  # holds the loop up
            pass
        for _ in range(1000):
            if len(health.problems()) == 2:
                break
            await asyncio.sleep(0.01)
        task.cancel()
        return health.problems()

    lag, threads = sorted(asyncio.run(asyncio.wait_for(body(), 20)))[::-1]
    assert lag.startswith("the daemon was held up for 0.")
    assert threads == "every thread is busy: signal"
