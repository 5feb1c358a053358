"""The likely starts of the first waiting jobs, estimated once for all callers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from launcher import wire
from launcher.errors import LauncherError

EVERY_SECONDS = 30.0
"""An estimate serves all callers for this time."""
PAUSE_FACTOR = 10.0
"""Or for this many times as long as it took, so that replays take at most a tenth of a core."""


@dataclass(slots=True)
class SharedEstimate:
    """The last estimate. A request gets it while it is fresh, else the next one."""

    _known: wire.QueueStarts | None = None
    _until: float = float("-inf")
    """When it is old, of the monotonic clock."""
    _making: asyncio.Task[None] | None = field(default=None, repr=False)

    async def read(self, estimate: Callable[[], Awaitable[wire.QueueStarts]]) -> wire.QueueStarts:
        """Return the estimate; callers at the same time share one that is under way.

        If a further one fails, the last one is returned. Raises as ``estimate`` does before.
        """
        if self._making is not None or time.monotonic() >= self._until:
            if self._making is None:
                self._making = asyncio.create_task(self._make(estimate))
                self._making.add_done_callback(_retrieve)
            await asyncio.shield(self._making)  # a client that leaves ends it for nobody else
        if self._known is None:
            raise LauncherError(
                "there is no estimate: the last replay of the queue failed",
                fix="Try again in a minute; the daemon's log says why.",
            )
        return self._known

    async def _make(self, estimate: Callable[[], Awaitable[wire.QueueStarts]]) -> None:
        began = time.monotonic()
        try:
            self._known = await estimate()
        except LauncherError:
            if self._known is None:
                raise
        finally:
            now = time.monotonic()
            self._until = now + max(EVERY_SECONDS, PAUSE_FACTOR * (now - began))
            self._making = None


def _retrieve(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # all who waited may have left
