"""Deletes the directories of ended jobs in the background, and measures those of running ones.

Where a user leaves millions of files, only this thread and the helper's processes are busy with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping

from launcher.core.jobs.disk_use import judge
from launcher.core.model.ids import container_prefix, is_host
from launcher.core.model.job import State
from launcher.daemon.loop.event_loop import EventLoop
from launcher.daemon.loop.logging_setup import about_container
from launcher.daemon.loop.threads import in_thread
from launcher.daemon.mounts.homes import Homes
from launcher.engine.containers import Containers
from launcher.errors import EngineError, EngineUnavailable, LauncherError
from launcher.homes import HomeUse

log = logging.getLogger(__name__)

REST = 50.0
"""After a measurement nothing is measured for this multiple of the time it took."""
LAYER_SECONDS = 60.0
"""Docker walks through a writable layer to measure it."""
AGAIN_SECONDS = 60.0
"""After a failed deletion, and before a look for what is left."""
MOST_CACHES = 100
"""Measured at once; the next ones follow."""


class HomeKeeper:
    """The directories of one daemon's jobs, measured every ``seconds``.

    ``event_loop`` returns the loop once it exists.
    """

    def __init__(
        self,
        homes: Homes,
        containers: Containers,
        store: str,
        event_loop: Callable[[], EventLoop],
        seconds: float,
    ) -> None:
        self.homes, self._containers = homes, containers
        self._store, self._event_loop, self._seconds = store, event_loop, seconds
        self._retired = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._layers: dict[int, tuple[int, float]] = {}
        """Job id -> bytes of its writable layer, and the monotonic time of its next measurement."""
        self._uids: list[int] = []
        self._caches: dict[int, int] = {}
        """uid -> bytes of the cache, as last measured."""
        self.jobs: dict[int, int] = {}
        """Job id -> bytes, as last measured."""

    def retire(self, container: str) -> None:
        """Take a container's directories out of use; they are deleted later. Blocks.

        Raises ``LauncherError``.
        """
        self.homes.retire([container])
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._retired.set)

    async def clear_cache(self, uid: int) -> int:
        """Empty a user's cache and return the bytes that it had; raises ``LauncherError``.

        Running jobs keep the old one until they end; it is deleted meanwhile.
        """
        use = await in_thread("homes", lambda: self.homes.measure([], [uid]))
        await in_thread("homes", lambda: self.homes.retire(uids=[uid]))
        self._retired.set()
        self._judge({uid: 0}, use.size)
        return use.caches[uid].bytes

    def sweep(self, live: Iterable[str]) -> None:
        """Take the directories of containers that are gone out of use. Blocks."""
        prefix = container_prefix(self._store)
        try:
            there = self.homes.of_containers(prefix)
            gone = set(there) - set(live)
            if gone:
                gone -= {
                    name.lstrip("/")
                    for container in self._containers.ours(self._store)
                    for name in container["Names"]
                }
                self.homes.retire(sorted(gone))
        except LauncherError as error:
            log.warning("could not remove the directories of ended jobs: %s", error.message)

    async def run(self) -> None:
        """Delete and measure until cancelled."""
        self._loop = asyncio.get_running_loop()
        await asyncio.gather(self._delete(), self._watch())

    async def _delete(self) -> None:
        self._retired.set()  # an earlier daemon may have left some
        while True:
            await self._retired.wait()
            self._retired.clear()
            try:
                while await in_thread("homes", self.homes.empty):
                    pass
            except LauncherError as error:
                log.warning("could not delete the directories of ended jobs: %s", error.message)
                await asyncio.sleep(AGAIN_SECONDS)
                self._retired.set()

    async def _watch(self) -> None:
        while True:
            started = time.monotonic()
            try:
                await self._look()
            except LauncherError as error:
                log.warning("could not measure the directories of jobs: %s", error.message)
            spent = time.monotonic() - started
            await asyncio.sleep(max(self._seconds, REST * spent))

    async def _look(self) -> None:
        world = self._event_loop().world
        running = {
            attempt.container_name: job_id
            for job_id, attempt in world.attempts.items()
            if world.jobs[job_id].state is State.RUNNING and not is_host(attempt.container_name)
        }
        uids = self._next_uids(set(world.live))
        if not running and not uids:
            self.jobs.clear()
            return
        use = await in_thread("homes", lambda: self.homes.measure(list(running), uids))
        layers = await in_thread("layers", lambda: self._measured_layers(running))
        self.jobs = {
            job_id: use.jobs[name].bytes + layers.get(job_id, 0) for name, job_id in running.items()
        }
        self._report_unmeasured(use)
        self._judge({uid: result.bytes for uid, result in use.caches.items()}, use.size)

    def _next_uids(self, live: set[int]) -> list[int]:
        """Return the users whose caches are measured now; all get their turn."""
        self._uids = [uid for uid in self._uids if uid in live]
        self._uids += sorted(live - set(self._uids) - {0})
        now, self._uids = self._uids[:MOST_CACHES], self._uids[MOST_CACHES:]
        self._uids += now
        return now

    def _judge(self, caches: Mapping[int, int], size: int) -> None:
        self._caches |= caches
        loop = self._event_loop()
        event = judge(loop.world, self.jobs, self._caches, size)
        if event.ends or event.waits != loop.world.disk_full_for:
            loop.post(event)

    def _report_unmeasured(self, use: HomeUse) -> None:
        for name, result in use.jobs.items():
            if not result.whole:
                about_container(log, name).warning(
                    "its directories have more than %d bytes in %d files",
                    result.bytes,
                    result.files,
                )

    def _measured_layers(self, running: Mapping[str, int]) -> dict[int, int]:
        """Return the bytes of the containers' writable layers; each is measured now and then."""
        self._layers = {j: at for j, at in self._layers.items() if j in set(running.values())}
        for name, job_id in running.items():
            started = time.monotonic()
            size, due = self._layers.get(job_id, (0, started))
            if due > started:
                continue
            with contextlib.suppress(EngineUnavailable, EngineError):  # the earlier size counts
                size = self._containers.layer_size(name)
            spent = time.monotonic() - started
            self._layers[job_id] = size, started + max(LAYER_SECONDS, REST * spent)
        return {job_id: size for job_id, (size, _) in self._layers.items()}
