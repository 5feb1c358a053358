"""When waiting jobs are likely to start: asked for in the background, and kept."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from launcher.client.aio.client import AsyncClient
from launcher.errors import LauncherError
from launcher.web.bounds import MOST_ESTIMATES, MOST_ESTIMATES_DUE, WHY_SECONDS
from launcher.wire import QueueHead


class Estimates:
    """Likely starts by job id, as RFC 3339 text. The daemon replays the queue for them.

    Those of the first waiting jobs come together; one that is further behind has a request of its
    own. One request is made at a time, whoever looks; a page shows its reply with the next update.
    """

    def __init__(self, client: AsyncClient, changed: Callable[[], None]) -> None:
        """``changed`` is called when there is a new estimate."""
        self._client, self._changed = client, changed
        self._first: Mapping[str, str] = {}
        self._first_at = float("-inf")
        self._first_due = False
        self._known: OrderedDict[int, tuple[float, str | None]] = OrderedDict()
        self._due: OrderedDict[int, None] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def starts(self, head: QueueHead) -> dict[int, str]:
        """Return the known starts of the waiting jobs, and have them estimated again if old."""
        waiting = [job.id for job in head.jobs if job.state == "PENDING"]
        if waiting and _is_old(self._first_at):
            self._first_due = True
            self._go_on()
        return {i: self._first[str(i)] for i in waiting if str(i) in self._first}

    def start(self, job_id: int) -> str | None:
        """Return the known start of a waiting job, and have it estimated again if it is old."""
        if str(job_id) in self._first and not _is_old(self._first_at):
            return self._first[str(job_id)]
        at, start = self._known.get(job_id, (float("-inf"), self._first.get(str(job_id))))
        if _is_old(at) and len(self._due) < MOST_ESTIMATES_DUE:
            self._due[job_id] = None
            self._first_due = self._first_due or _is_old(self._first_at)
            self._go_on()
        return start

    def _go_on(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._estimate())

    async def _estimate(self) -> None:
        while self._first_due or self._due:
            if self._first_due:
                await self._read_first()
            else:
                await self._read_one(next(iter(self._due)))
            self._changed()

    async def _read_first(self) -> None:
        try:
            self._first = (await self._client.queue.starts()).starts
        except LauncherError:  # the daemon is away, or could not tell
            self._first = {}
        finally:
            self._first_at, self._first_due = time.monotonic(), False

    async def _read_one(self, job_id: int) -> None:
        start = self._first.get(str(job_id))
        try:
            if start is None:
                start = (await self._client.queue.why(job_id)).estimated_start
        except LauncherError:  # it started, or the daemon is away
            pass
        finally:
            self._due.pop(job_id, None)
        self._known[job_id] = time.monotonic(), start
        self._known.move_to_end(job_id)
        while len(self._known) > MOST_ESTIMATES:
            self._known.popitem(last=False)

    def close(self) -> None:
        """End the request that is under way."""
        if self._task is not None:
            self._task.cancel()


def _is_old(at: float) -> bool:
    return time.monotonic() - at >= WHY_SECONDS
