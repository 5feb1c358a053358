"""When waiting jobs are likely to start: estimated in the background, and kept."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from launcher.client.aio.client import AsyncClient
from launcher.client.snapshot import MOST_ESTIMATED
from launcher.errors import LauncherError
from launcher.web.bounds import (
    MOST_ESTIMATED_JOBS,
    MOST_ESTIMATES,
    MOST_ESTIMATES_DUE,
    WHY_SECONDS,
)
from launcher.wire import QueueHead


class Estimates:
    """Likely starts by job id, as RFC 3339 text. The daemon replays the queue for each.

    One is estimated at a time, whoever looks; a page shows it with its next update.
    """

    def __init__(self, client: AsyncClient, changed: Callable[[], None]) -> None:
        """``changed`` is called when there is a new estimate."""
        self._client, self._changed = client, changed
        self._known: OrderedDict[int, tuple[float, str | None]] = OrderedDict()
        self._due: OrderedDict[int, None] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def starts(self, head: QueueHead) -> dict[int, str]:
        """Return the known starts of the first waiting jobs, if the queue is short."""
        waiting = [job.id for job in head.jobs if job.state == "PENDING"]
        first = waiting[:MOST_ESTIMATED_JOBS] if head.waiting <= MOST_ESTIMATED else []
        return {i: at for i in first if (at := self.start(i)) is not None}

    def start(self, job_id: int) -> str | None:
        """Return the known start of a waiting job, and have it estimated again if it is old."""
        at, start = self._known.get(job_id, (float("-inf"), None))
        if time.monotonic() - at >= WHY_SECONDS and len(self._due) < MOST_ESTIMATES_DUE:
            self._due[job_id] = None
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._estimate())
        return start

    async def _estimate(self) -> None:
        while self._due:
            job_id = next(iter(self._due))
            try:
                start = (await self._client.queue.why(job_id)).estimated_start
            except LauncherError:  # it started, or the daemon is away
                start = None
            finally:
                self._due.pop(job_id, None)
            self._known[job_id] = time.monotonic(), start
            self._known.move_to_end(job_id)
            while len(self._known) > MOST_ESTIMATES:
                self._known.popitem(last=False)
            self._changed()

    def close(self) -> None:
        """End the estimate that is under way."""
        if self._task is not None:
            self._task.cancel()
