"""An image that Docker has is recorded, whatever its user does."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from launcher.core.messages import events as ev
from launcher.core.policy.settings import Quota
from launcher.core.world.world import World
from launcher.daemon.api import image_routes
from launcher.errors import NotAllowed
from tests.support.builders import ALICE

LOADED = '{"image_id": "sha256:1", "bytes": 5}'
PRINTS = f"import sys; sys.stdin.read(); print('{LOADED}')"


class Loop:
    """An event loop that takes requests."""

    def __init__(self) -> None:
        self.events: list[ev.Event] = []

    async def request(self, event: ev.Event) -> None:
        self.events.append(event)


class Users:
    async def run(self, uid: int, call: Any, *args: Any) -> Any:
        return call(*args)


async def process(*_: object) -> asyncio.subprocess.Process:
    """A process that reports an image once it has read everything."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PRINTS, stdin=pipe, stdout=pipe
    )


def parts() -> tuple[Any, Any, Any]:
    world = World("feed")
    world.rules = SimpleNamespace(quota_of=lambda name: Quota())  # type: ignore[assignment]
    context = SimpleNamespace(
        world=world, event_loop=Loop(), users=Users(), loads={},
        images=SimpleNamespace(kept=list),
        limiter=SimpleNamespace(limits=SimpleNamespace(body_time=5.0)),
    )  # fmt: skip
    caller = SimpleNamespace(owner=ALICE, uid=ALICE.uid, admin=False)
    return context, caller, SimpleNamespace(query={"name": "app"}, content=asyncio.StreamReader())


def test_an_image_whose_user_leaves_after_its_last_byte_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(image_routes, "_loader", process)
    monkeypatch.setattr(image_routes, "_piece", lambda *_: asyncio.sleep(0, b""))

    async def leaves() -> None:
        context, caller, request = parts()
        request_task = asyncio.create_task(image_routes.load(context, caller, request))
        while not context.loads and not request_task.done():  # noqa: ASYNC110
            await asyncio.sleep(0)
        request_task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request_task
        with pytest.raises(NotAllowed, match="still being unpacked"):
            await image_routes.load(context, caller, request)
        await context.loads[ALICE.uid]
        (event,) = context.event_loop.events
        assert event.image.image_id == "sha256:1"
        assert not context.loads

    asyncio.run(leaves())


def test_a_client_that_is_gone_is_not_the_end_of_its_archive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def gone(*_: object) -> bytes:
        raise ConnectionResetError("Connection lost")

    monkeypatch.setattr(image_routes, "_loader", process)
    monkeypatch.setattr(image_routes, "_piece", gone)

    async def leaves() -> None:
        context, caller, request = parts()
        with pytest.raises(ConnectionResetError):
            await image_routes.load(context, caller, request)
        assert not context.event_loop.events

    asyncio.run(leaves())


def test_an_upload_that_breaks_off_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[asyncio.subprocess.Process] = []

    async def remembered(*_: object) -> asyncio.subprocess.Process:
        started.append(await process())
        return started[0]

    async def never(*_: object) -> bytes:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("it never comes")

    monkeypatch.setattr(image_routes, "_loader", remembered)
    monkeypatch.setattr(image_routes, "_piece", never)

    async def leaves() -> None:
        context, caller, request = parts()
        request_task = asyncio.create_task(image_routes.load(context, caller, request))
        while not started:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        request_task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request_task
        assert started[0].returncode is not None
        assert not context.loads
        assert not context.event_loop.events

    asyncio.run(leaves())
