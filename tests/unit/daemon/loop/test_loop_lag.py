"""The longest turn of the event loop is measured, whatever runs in it, and forgotten in time."""

from __future__ import annotations

import asyncio
import time

import pytest

from launcher.daemon.loop import loop_lag
from launcher.daemon.loop.loop_lag import KEPT_SECONDS, Lag, MeasuredLoop


def compute(seconds: float) -> None:
    """Take so much processor time in one step."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_a_step_that_computes_is_seen_by_who_asks_next() -> None:
    async def play() -> tuple[float, float]:
        await asyncio.sleep(0)
        loop_lag.present().forget()
        asyncio.get_running_loop().call_soon(compute, 0.05)
        await asyncio.sleep(0.01)
        return loop_lag.present().largest()

    with asyncio.Runner(loop_factory=MeasuredLoop) as runner:
        before = time.thread_time()
        lasted, computed = runner.run(play())
        whole = time.thread_time() - before
    assert 0.05 <= computed <= whole
    assert lasted >= computed - 0.001


def test_waiting_is_no_lag() -> None:
    async def play() -> tuple[float, float]:
        loop_lag.present().forget()
        await asyncio.sleep(0.2)
        return loop_lag.present().largest()

    with asyncio.Runner(loop_factory=MeasuredLoop) as runner:
        before = time.thread_time()
        assert runner.run(play())[1] <= time.thread_time() - before


def test_what_is_older_than_a_minute_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(loop_lag.time, "monotonic", lambda: now)
    kept = Lag()
    for at, lasted in ((1000.0, 5.0), (1001.0, 0.1), (1001.5, 0.3), (1001.9, 0.2)):
        kept.note(at, lasted, lasted / 2)
    assert kept.largest() == (5.0, 2.5)
    now += KEPT_SECONDS + 1
    assert kept.largest() == (0.3, 0.15)
    kept.forget()
    assert kept.largest() == (0.0, 0.0)
