"""The time of the event loop: charged to whoever takes it, in virtual time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from launcher.daemon.loop.loop_time import KEPT, MOST_OWED_SECONDS, TURN_SECONDS, LoopTime

HOG, LIGHT, OTHER = 20_001, 20_002, 20_003
SHARE = 0.1


class Clock(selectors.DefaultSelector):
    """Virtual time: where the loop would wait for a timer, the clock is put on instead."""

    now = 0.0
    since = 0.0
    longest = 0.0
    """The longest turn of the loop."""

    def __call__(self) -> float:
        return self.now

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "nothing more will ever happen"
        self.longest = max(self.longest, self.now - self.since)
        self.now = self.since = self.now + max(timeout, 0.0)
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """An event loop in virtual time."""

    def __init__(self, clock: Clock) -> None:
        self._virtual = clock
        super().__init__(clock)

    def time(self) -> float:
        return self._virtual()


class Stage:
    """A loop whose steps take as long as they say, and a record of them in their order."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.time = LoopTime(SHARE, self.clock)
        self.steps: list[int] = []

    async def work(self, uid: int, steps: int, seconds: float) -> None:
        """Take so many steps, each of so many seconds."""
        for _ in range(steps):
            self.clock.now += seconds
            self.steps.append(uid)
            await asyncio.sleep(0)

    def start(self, uid: int, steps: int, seconds: float) -> asyncio.Task[None]:
        return asyncio.create_task(self.time.run(uid, self.work, uid, steps, seconds))


def play(body: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    stage = Stage()
    with asyncio.Runner(loop_factory=lambda: Loop(stage.clock)) as runner:
        runner.run(body(stage))


def test_a_step_is_charged_and_waiting_is_not() -> None:
    async def body(stage: Stage) -> None:
        async def waits() -> int:
            stage.clock.now += 0.009
            gate = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(pass_time)
            asyncio.get_running_loop().call_soon(gate.set_result, 7)
            return int(await gate)

        def pass_time() -> None:
            stage.clock.now += 0.001

        assert await stage.time.run(HOG, waits) == 7
        assert not stage.time.is_above(HOG), "0.009 s of the 0.01 s that may be saved up"
        with stage.time.spent(HOG):
            stage.clock.now += 0.002
        assert stage.time.is_above(HOG)

    play(body)


def test_a_block_within_a_block_is_charged_to_its_own_user_alone() -> None:
    stage = Stage()
    with stage.time.spent(HOG):
        stage.clock.now += 0.009
        with stage.time.spent(LIGHT):
            stage.clock.now += 0.011
    assert (stage.time.is_above(HOG), stage.time.is_above(LIGHT)) == (False, True)


def test_one_user_alone_never_waits() -> None:
    async def body(stage: Stage) -> None:
        tasks = [stage.start(HOG, 20, 0.005) for _ in range(20)]
        await asyncio.gather(*tasks)
        assert stage.clock.now == pytest.approx(20 * 20 * 0.005), "no pause was waited for"

    play(body)


@pytest.mark.parametrize("users", [[0] * 50, range(HOG, HOG + 50)])
def test_what_many_want_at_once_is_spread_over_turns_of_the_loop(users: Sequence[int]) -> None:
    async def body(stage: Stage) -> None:
        await asyncio.gather(*[stage.start(uid, 3, 0.002) for uid in users])
        assert stage.clock.longest <= TURN_SECONDS + 0.002 + 1e-9
        assert stage.clock.now == pytest.approx(50 * 3 * 0.002), "no pause was waited for"
        assert sorted(stage.steps[:50]) == sorted(users), "in the order in which they came"

    play(body)


def test_a_burst_of_one_user_leaves_the_next_turn_to_another() -> None:
    async def body(stage: Stage) -> None:
        burst = [stage.start(HOG, 5, 0.005) for _ in range(100)]
        for _ in range(5):
            await asyncio.sleep(0)
        assert stage.time.is_above(HOG)
        before = len(stage.steps)
        await stage.start(LIGHT, 5, 0.001)
        assert stage.steps[before:].count(HOG) <= 7, "100 of them were ready before it"
        await asyncio.gather(*burst)

    play(body)


def test_while_a_user_within_the_share_wants_the_loop_those_above_it_have_a_third() -> None:
    async def body(stage: Stage) -> None:
        for uid in (HOG, OTHER):
            with stage.time.spent(uid):
                stage.clock.now += 0.05
        hogs = [stage.start(uid, 1000, 0.001) for uid in (HOG, OTHER)]
        while stage.clock.now < 1.0:
            await stage.start(LIGHT, 1, 0.0005)
            await asyncio.sleep(0.01)  # it waits for a commit
        taken = [stage.steps.count(uid) * 0.001 for uid in (HOG, OTHER)]
        assert 0.25 < sum(taken) < 0.45
        assert max(taken) < 1.2 * min(taken), "they take turns"
        for hog in hogs:
            hog.cancel()
        await asyncio.gather(*hogs, return_exceptions=True)

    play(body)


def test_root_is_charged_and_does_not_wait() -> None:
    async def body(stage: Stage) -> None:
        with stage.time.spent(0):
            stage.clock.now += 1.0
        assert stage.time.is_above(0)
        await stage.start(LIGHT, 1, 0.001)
        hogs = [stage.start(HOG, 50, 0.02) for _ in range(10)]
        await asyncio.sleep(0)
        before = len(stage.steps)
        await stage.start(0, 10, 0.001)
        assert stage.steps[before:].count(HOG) <= 12
        for hog in hogs:
            hog.cancel()
        await asyncio.gather(*hogs, return_exceptions=True)

    play(body)


def test_root_that_never_rests_does_not_starve_the_others() -> None:
    async def body(stage: Stage) -> None:
        with stage.time.spent(HOG):
            stage.clock.now += 0.1
        root = stage.start(0, 500, 0.001)
        await stage.start(HOG, 20, 0.001)
        assert not root.done()
        await root

    play(body)


def test_a_user_owes_no_more_than_a_moment_and_is_forgotten_once_that_is_paid() -> None:
    stage = Stage()
    with stage.time.spent(HOG):
        stage.clock.now += 3600.0
    stage.clock.now += MOST_OWED_SECONDS / SHARE + 0.001
    assert not stage.time.is_above(HOG)
    for uid in range(30_000, 40_000):
        with stage.time.spent(uid):
            stage.clock.now += 0.001
    assert len(stage.time) <= 2 * KEPT


def test_a_cancellation_reaches_the_work_also_while_its_step_waits() -> None:
    async def body(stage: Stage) -> None:
        told: list[str] = []

        async def work() -> None:
            try:
                while True:
                    stage.clock.now += 1.0
                    await asyncio.sleep(0)
            except asyncio.CancelledError:
                told.append("cancelled")
                await asyncio.sleep(0)
                told.append("cleaned up")
                raise

        task = asyncio.create_task(stage.time.run(HOG, work))
        await asyncio.sleep(0)
        await stage.start(LIGHT, 1, 0.001)
        since = stage.clock.now
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert told == ["cancelled", "cleaned up"]
        assert stage.clock.now < since + 0.5, "what it would have taken is a second a step"

    play(body)


def test_what_the_work_awaits_may_fail_and_a_timeout_is_its_own() -> None:
    async def body(stage: Stage) -> None:
        async def fails() -> str:
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.set_exception, ValueError("x"))
            with pytest.raises(ValueError, match="x"):
                await future
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await asyncio.Event().wait()
            return "both"

        async def raises() -> None:
            raise KeyError("of its own")

        assert await stage.time.run(HOG, fails) == "both"
        with pytest.raises(KeyError):
            await stage.time.run(HOG, raises)

    play(body)


def test_work_that_is_closed_is_cleaned_up() -> None:
    stage, told = Stage(), list[str]()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            told.append("closed")

    async def body() -> None:
        running = stage.time.run(HOG, work)
        running.send(None)
        running.close()

    asyncio.run(body())
    assert told == ["closed"]


def test_work_that_was_cancelled_before_its_first_step_never_starts() -> None:
    async def body(stage: Stage) -> None:
        task = stage.start(HOG, 1, 0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stage.steps == []

    play(body)
