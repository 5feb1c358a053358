"""How many jobs there are by their word: the live ones are in memory, those that ended are counted
at intervals, whoever asks and how often.
"""

from __future__ import annotations

import asyncio

from launcher.core.job import State
from launcher.core.world import World
from launcher.daemon.committer import Committer
from launcher.store import Reader

SHARE = 0.05
"""The part of the time that counting may take."""
PATIENCE_SECONDS = 0.05
"""For at most this time a caller waits for a new count, if there is an older one."""


class Counts:
    """The counts of ``status``.

    Those of ended jobs are at most 20 times as old as they took to make, unless the store is busy.
    """

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._ended: dict[str, int] | None = None
        self._good_until = float("-inf")
        self._counting: asyncio.Task[dict[str, int]] | None = None

    async def now(self, world: World) -> dict[str, int]:
        """Return the number of jobs by outcome or state."""
        ended = await self._of_ended()
        return {word: n for word, n in _sum(ended, live(world)).items() if n}

    async def _of_ended(self) -> dict[str, int]:
        if self._ended is not None and asyncio.get_running_loop().time() < self._good_until:
            return self._ended
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._count())
        patience = None if self._ended is None else PATIENCE_SECONDS
        done, _ = await asyncio.wait((self._counting,), timeout=patience)
        if done or self._ended is None:
            return self._counting.result()
        return self._ended

    async def _count(self) -> dict[str, int]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._ended = found = await self._committer.read(Reader.ended)
        self._good_until = loop.time() + (loop.time() - began) * (1 / SHARE - 1)
        return found


def live(world: World) -> dict[str, int]:
    """Return the number of live jobs by word, without looking at those that wait."""
    active = [world.jobs[i] for i in world.attempts]  # every other job is pending
    found: dict[str, int] = {}
    for job in active:
        word = job.outcome.value if job.outcome else job.state.value
        found[word] = found.get(word, 0) + 1
    return _sum(found, {State.PENDING.value: len(world.jobs) - len(active)})


def _sum(some: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return {word: some.get(word, 0) + more.get(word, 0) for word in (*some, *more)}
