"""Long work on the event loop, in short steps."""

from __future__ import annotations

import asyncio

from launcher.daemon.loop import clock

STEP_SECONDS = 0.002


class Pauses:
    """Yields to other work whenever a step has taken ``STEP_SECONDS`` of processor time."""

    def __init__(self) -> None:
        self._since = clock.computed()

    @property
    def due(self) -> bool:
        """Whether it is time for a pause."""
        return clock.computed() - self._since >= STEP_SECONDS

    async def rest(self) -> None:
        """Yield to other work, if it is time."""
        if self.due:
            await asyncio.sleep(0)
            self._since = clock.computed()
