"""How many jobs there are by their word: counted at intervals, whoever asks and how often."""

from __future__ import annotations

import asyncio

from launcher.daemon.committer import Committer
from launcher.store import Reader

SHARE = 0.05
"""The part of the time that counting may take: it reads every job there ever was."""


class Counts:
    """The counts of ``status``. They are at most 20 times as old as they took to make."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._counted: dict[str, int] = {}
        self._good_until = float("-inf")
        self._one = asyncio.Lock()

    async def now(self) -> dict[str, int]:
        """Return the number of jobs by outcome or state."""
        loop = asyncio.get_running_loop()
        async with self._one:
            began = loop.time()
            if began >= self._good_until:
                self._counted = await self._committer.read(Reader.counts)
                took = loop.time() - began
                self._good_until = loop.time() + took * (1 / SHARE - 1)
        return self._counted
