"""Counts the changes that users can see, and wakes the clients that wait for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from launcher.core.messages.changes import Changes
from launcher.core.world.world import World
from launcher.daemon.loop import clock

INTERVAL_SECONDS = 0.25
"""Changes within this time count as one, so that a busy queue wakes no client more often."""
UNSEEN = frozenset({"audit", "clock", "clock_step", "history", "pulls", "uses"})
"""Fields of ``Changes`` that no list of jobs, slices or GPUs shows."""
_SEEN = tuple(name for name in Changes.__slots__ if name not in UNSEEN)


class ChangeCounter:
    """A number that grows when the jobs, slices or GPUs that users see may have changed.

    It starts at the time in milliseconds, so that the numbers of an earlier daemon are smaller.
    For the loop's thread only.
    """

    def __init__(self, unstored: Callable[[], object] = lambda: None) -> None:
        """``unstored`` returns the visible state that no change of the store records."""
        self.count = int(clock.now().wall * 1000)
        self._unstored = unstored
        self._seen: object = None
        self._loop = asyncio.get_running_loop()
        self._next = asyncio.Event()
        self._waiting = 0
        self._counted_at = 0.0
        self._due = False

    def changed(self, changes: Changes) -> None:
        """Count a decision if it changed anything that users see."""
        if any(getattr(changes, name) for name in _SEEN):
            self.add()
        elif self._waiting:
            self._look()

    def add(self) -> None:
        """Count a change: now, or together with others when the interval is over."""
        if self._due:
            return
        left = self._counted_at + INTERVAL_SECONDS - self._loop.time()
        if left > 0:
            self._due = True
            self._loop.call_later(left, self._count)
        else:
            self._count()

    async def after(self, count: int | None, seconds: float) -> int:
        """Return the number once it differs from ``count``, or after ``seconds``."""
        self._look()
        if count != self.count:
            return self.count
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await self._next.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1
        return self.count

    def _look(self) -> None:
        """Count a change of the state that is not stored."""
        seen = self._unstored()
        if seen != self._seen:
            self._seen = seen
            self.add()

    def _count(self) -> None:
        self._due = False
        self._counted_at = self._loop.time()
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()


def unstored_state(world: World) -> object:
    """Return the visible state of a world that its store does not have."""
    slices = tuple(
        (uuid, s.lost, s.foreign, s.silent, s.beside, s.changing)
        for uuid, s in world.slices.items()
    )
    gates = (world.engine_down, world.gpu_down, world.reconciling, world.draining)
    gpus = tuple((uuid, gpu.mig_current, gpu.mig_pending) for uuid, gpu in world.gpus.items())
    return slices, gates, gpus
