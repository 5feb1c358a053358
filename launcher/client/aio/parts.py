"""The parts of the asyncio client: ``AsyncClient().queue``, ``.image`` and ``.layout``."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from launcher import wire
from launcher.client.aio.awaited import ReplayedTransport, awaited
from launcher.client.decode import decode
from launcher.client.image import Image
from launcher.client.layout import POLL_SECONDS, Layout, is_over, wait_path
from launcher.client.queue import Queue

if TYPE_CHECKING:
    from launcher.client.aio.client import AsyncClient


class AsyncPart:
    """A part of a client."""

    def __init__(self, client: AsyncClient) -> None:
        self.client, self._transport = client, client._transport


class AsyncQueue(AsyncPart):
    """The waiting jobs, their order and reasons."""

    def _over(self, replies: ReplayedTransport) -> Queue:
        """Return the synchronous twin, with these replies as its transport."""
        return self.client._over(replies).queue

    order = awaited(Queue.order)
    why = awaited(Queue.why)
    starts = awaited(Queue.starts)
    advice = awaited(Queue.advice)
    whatif = awaited(Queue.whatif)
    reservations = awaited(Queue.reservations)
    reserve = awaited(Queue.reserve)
    unreserve = awaited(Queue.unreserve)


class AsyncImage(AsyncPart):
    """A user's own images."""

    def _over(self, replies: ReplayedTransport) -> Image:
        """Return the synchronous twin, with these replies as its transport."""
        return self.client._over(replies).image

    load = awaited(Image.load)
    all = awaited(Image.all)
    local = awaited(Image.local)
    remove = awaited(Image.remove)


class AsyncLayout(AsyncPart):
    """The layout of the GPUs; changes need an admin."""

    def _over(self, replies: ReplayedTransport) -> Layout:
        """Return the synchronous twin, with these replies as its transport."""
        return self.client._over(replies).layout

    show = awaited(Layout.show)
    profiles = awaited(Layout.profiles)
    plan = awaited(Layout.plan)
    change = awaited(Layout.change)
    cancel = awaited(Layout.cancel)
    changes = awaited(Layout.changes)
    current = awaited(Layout.current)
    save = awaited(Layout.save)
    saved = awaited(Layout.saved)
    restore = awaited(Layout.restore)
    drain = awaited(Layout.drain)

    async def wait(self, change: int, timeout: float | None = None) -> wire.LayoutChange:
        """Return a change that has ended or is pending, or as it is after ``timeout`` seconds."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            poll = max(0.0, min(POLL_SECONDS, end - time.monotonic()))
            reply = await self._transport.unlimited(
                "GET", wait_path(change, poll), timeout=poll + self.client._plain.timeout
            )
            layout_change = decode(wire.LayoutChange, reply)
            if is_over(layout_change) or time.monotonic() >= end:
                return layout_change
