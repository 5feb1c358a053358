"""Likely starts: many callers cost one replay, and a replay that takes long comes less often."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from launcher import wire
from launcher.daemon.api.handlers.forecasts import shared_estimate
from launcher.daemon.api.handlers.forecasts.shared_estimate import SharedEstimate
from launcher.errors import LauncherError


class Replays:
    """Counts replays; ``error`` is raised by the next ones."""

    def __init__(self) -> None:
        self.count, self.seconds = 0, 0.0
        self.error: LauncherError | None = None

    async def __call__(self) -> wire.QueueStarts:
        self.count += 1
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return wire.QueueStarts(at=str(self.count), starts={"1": "x"})


def test_callers_share_one_replay_and_later_ones_its_result() -> None:
    async def body() -> None:
        shared, replays = SharedEstimate(), Replays()
        found = await asyncio.gather(*(shared.read(replays) for _ in range(20)))
        assert {each.at for each in found} == {"1"}
        assert (await shared.read(replays)).at == "1"
        assert replays.count == 1

    asyncio.run(body())


def test_a_caller_that_leaves_ends_the_replay_for_nobody_else() -> None:
    async def body() -> None:
        shared, replays = SharedEstimate(), Replays()
        first, second = (asyncio.create_task(shared.read(replays)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).at == "1"
        assert replays.count == 1

    asyncio.run(body())


def test_an_old_estimate_is_made_again_and_kept_if_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_estimate, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(shared_estimate, "PAUSE_FACTOR", 0.0)

    async def body() -> None:
        shared, replays = SharedEstimate(), Replays()
        assert [(await shared.read(replays)).at for _ in range(3)] == ["1", "2", "3"]
        replays.error = LauncherError("the replay took more than 20 s and was stopped")
        assert (await shared.read(replays)).at == "3"
        replays.error = None
        assert (await shared.read(replays)).at == "5"

    asyncio.run(body())


def test_a_first_replay_that_fails_is_told_and_not_tried_at_each_request() -> None:
    async def body() -> None:
        shared, replays = SharedEstimate(), Replays()
        replays.error = LauncherError("the replay took more than 20 s and was stopped")
        await refused(shared.read(replays), "took more than 20 s")
        await refused(shared.read(replays), "there is no estimate")
        assert replays.count == 1

    asyncio.run(body())


def test_a_replay_pauses_for_a_multiple_of_the_time_that_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_estimate, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(shared_estimate, "PAUSE_FACTOR", 10_000.0)

    async def body() -> None:
        shared, replays = SharedEstimate(), Replays()
        replays.seconds = 0.05
        for _ in range(3):
            await shared.read(replays)
        assert replays.count == 1

    asyncio.run(body())


async def refused(reading: Coroutine[Any, Any, object], text: str) -> None:
    with pytest.raises(LauncherError, match=text):
        await reading
