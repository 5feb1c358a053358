"""The numbers of jobs by outcome or state: live jobs from memory, ended ones from the store."""

from __future__ import annotations

import asyncio
from collections import Counter

from launcher.core.model.job import State
from launcher.core.world.world import World
from launcher.daemon.loop.committer import Committer
from launcher.store import Reader

PATIENCE_SECONDS = 0.05
"""A caller waits this long for the disk if there is an older count."""


class Counts:
    """The counts of ``status``; those of ended jobs are the last known while the disk hangs."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._ended: dict[str, int] | None = None
        self._reading: asyncio.Task[dict[str, int]] | None = None

    async def now(self, world: World) -> dict[str, int]:
        """Return the number of jobs by outcome or state."""
        result = Counter(await self._of_ended())
        result.update(live(world))
        return {word: number for word, number in result.items() if number}

    async def _of_ended(self) -> dict[str, int]:
        reading = self._reading
        if reading is None or reading.done():
            reading = self._reading = asyncio.create_task(self._committer.read(Reader.ended))
        patience = None if self._ended is None else PATIENCE_SECONDS
        done, _ = await asyncio.wait((reading,), timeout=patience)
        if done or self._ended is None:  # another caller may have started the next read by now
            self._ended = reading.result()
        return self._ended


def live(world: World) -> Counter[str]:
    """Return the number of live jobs by state, without reading those that wait."""
    active = [world.jobs[i] for i in world.attempts]  # all other jobs are pending
    result = Counter(job.outcome.value if job.outcome else job.state.value for job in active)
    result[State.PENDING.value] += len(world.jobs) - len(active)
    return result
