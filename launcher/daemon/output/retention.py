"""Retention: deletes old jobs and logs, and checks the database's file."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from launcher.config.history import History
from launcher.core.jobs.pruning import deletable
from launcher.core.messages import events as ev
from launcher.daemon.loop import clock
from launcher.daemon.loop.committer import Committer
from launcher.daemon.loop.event_loop import EventLoop
from launcher.daemon.output.old_logs import Deleted, OldLogs
from launcher.errors import DatabaseDamaged, LauncherError
from launcher.store import Reader
from launcher.store.old import OldJobs

log = logging.getLogger(__name__)

FIRST_SECONDS = 60.0
"""The first deletion waits for the start to finish."""
CHECKS_APART_SECONDS = 86400.0
BATCH = 100
"""One commit deletes this many jobs; other commits wait for it."""
LOOKED_AT = 2000
REST = 1.0
"""After a commit the store is left to others for this multiple of the time it took."""
MOST_SECONDS = 5.0
"""A request deletes for at most this time; its client then repeats it."""


@dataclass(slots=True)
class Pruned:
    """What was deleted, or would be; ``more``: the time was too short for all of it."""

    jobs: int = 0
    more: bool = False


class Retention:
    """Deletes old ended jobs and logs, at intervals and on request."""

    def __init__(
        self,
        history: History,
        event_loop: Callable[[], EventLoop],
        committer: Committer,
        logs: OldLogs,
    ) -> None:
        self._history, self._event_loop, self._committer, self._logs = (
            history,
            event_loop,
            committer,
            logs,
        )

    async def run(self) -> None:
        """Delete what is too old at intervals, and check the database every day.

        Raises ``DatabaseDamaged`` if it is damaged: the next start then checks all of it.
        """
        checked = float("-inf")
        await asyncio.sleep(min(FIRST_SECONDS, self._history.every))
        while True:
            try:
                await self._delete_old()
                if time.monotonic() - checked >= CHECKS_APART_SECONDS:
                    await self.check()
                    checked = time.monotonic()
            except DatabaseDamaged as damaged:
                log.critical("%s: the next start checks all of it", damaged.message)
                self._committer.mark_suspect(damaged.message)
                raise
            except (LauncherError, OSError) as error:
                log.warning("cannot delete old jobs and logs: %s", error)
            await asyncio.sleep(self._history.every)

    async def _delete_old(self) -> None:
        now, history = clock.now().wall, self._history
        if history.keep is not None:
            pruned = await self.prune(now - history.keep)
            if pruned.jobs:
                log.info("deleted %d jobs that ended long ago ([history] keep)", pruned.jobs)
        cutoff = 0.0 if history.keep_logs is None else now - history.keep_logs
        if history.max_logs is not None:
            cutoff = max(cutoff, await self._logs.cutoff(history.max_logs))
        deleted = await self._logs.delete(cutoff, now)
        if deleted.files:
            log.info("deleted %d old logs of %d MiB", deleted.files, deleted.bytes >> 20)

    async def prune(
        self,
        before: float,
        uid: int | None = None,
        *,
        dry_run: bool = False,
        seconds: float | None = None,
    ) -> Pruned:
        """Delete the jobs that ended before a time, of one user or of all, with their logs.

        A job stays while an unfinished job depends on it; an array is deleted as a whole.
        """
        old, pruned, started = OldJobs(before, uid), Pruned(), time.monotonic()
        while True:
            batch = await self._committer.read_slowly(old.next, LOOKED_AT if dry_run else BATCH)
            if not batch:
                return pruned
            if dry_run:
                pruned.jobs += len(deletable(self._event_loop().world, batch))
                continue
            before_commit = time.monotonic()
            gone: list[int] = await self._event_loop().request(ev.PruneAsked(tuple(batch)))
            took = time.monotonic() - before_commit
            await self._logs.delete_of(gone)
            pruned.jobs += len(gone)
            if seconds is not None and time.monotonic() - started > seconds:
                pruned.more = True
                return pruned
            await asyncio.sleep(took * REST)

    async def delete_logs(
        self, before: float, uid: int | None = None, *, dry_run: bool = False
    ) -> Deleted:
        """Delete the logs that were last written before a time, of one user or of all."""
        return await self._logs.delete(before, clock.now().wall, uid, dry_run=dry_run)

    async def check(self) -> None:
        """Read the whole database; raises ``DatabaseDamaged`` if it is inconsistent."""
        for table in await self._committer.read_slowly(Reader.tables):
            await self._committer.read_slowly(Reader.check, table)
