"""When the first waiting jobs are likely to start: estimated in the background, and kept."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence

from launcher.client.aio.client import AsyncClient
from launcher.client.snapshot import MOST_ESTIMATED
from launcher.errors import LauncherError
from launcher.web.bounds import MOST_ESTIMATED_JOBS, MOST_ESTIMATES, WHY_SECONDS
from launcher.wire import QueueHead


class Estimates:
    """Likely starts by job id, as RFC 3339 text; the daemon replays the queue for each."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._known: OrderedDict[int, tuple[float, str | None]] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def starts(self, head: QueueHead) -> dict[int, str]:
        """Return the known starts, and estimate those of the first waiting jobs of a short queue.

        They are on the page with its next update.
        """
        waiting = [job.id for job in head.jobs if job.state == "PENDING"]
        first = waiting[:MOST_ESTIMATED_JOBS] if head.waiting <= MOST_ESTIMATED else []
        old = time.monotonic() - WHY_SECONDS
        due = [i for i in first if i not in self._known or self._known[i][0] < old]
        if due and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._estimate(due))
        return {i: at for i in first if i in self._known and (at := self._known[i][1]) is not None}

    async def _estimate(self, ids: Sequence[int]) -> None:
        for job_id in ids:
            try:
                start = (await self._client.queue.why(job_id)).estimated_start
            except LauncherError:  # it started, or the daemon is away
                start = None
            self._known[job_id] = time.monotonic(), start
            self._known.move_to_end(job_id)
        while len(self._known) > MOST_ESTIMATES:
            self._known.popitem(last=False)

    def close(self) -> None:
        """End the estimate that is under way."""
        if self._task is not None:
            self._task.cancel()
