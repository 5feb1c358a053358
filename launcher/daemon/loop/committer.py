"""The thread that commits, and those that read: SQLite never runs on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from launcher.core.messages.changes import Changes
from launcher.core.policy.settings import DEFAULT_RULES, Settings
from launcher.core.world.world import World
from launcher.daemon.loop import clock
from launcher.errors import LauncherError
from launcher.store import Reader, Store, arrays
from launcher.store.directory import mark_suspect
from launcher.store.load import STOPPED

LONG = (
    Reader.jobs_after,
    Reader.jobs_between,
    Reader.jobs_named,
    Reader.elements,
    Reader.array,
    Reader.audit,
    arrays.elements_page,
    arrays.number_of_elements,
)
"""Queries that may read many jobs, separated so that short queries do not wait for them."""
P = ParamSpec("P")
T = TypeVar("T")


class Committer:
    """Asynchronous access to the store."""

    def __init__(
        self, store: Store, took: Callable[[float, bool], None] = lambda seconds, failed: None
    ) -> None:
        """``took`` is called with the seconds of each commit, and whether it failed."""
        self._store, self._took = store, took
        self._writes = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._short = _lane(store, "read")
        self._long = _lane(store, "long-read")
        self._slow = _lane(store, "slow-read")

    @property
    def store_id(self) -> str:
        """The id in the names and labels of this store's containers."""
        return self._store.id

    async def commit(self, changes: Changes) -> None:
        """Write the changes durably; raises ``StateDirError`` if that fails."""
        began, failed = time.perf_counter(), True
        try:
            await self._on(self._writes, self._store.commit, changes)
            failed = False
        finally:
            self._took(time.perf_counter() - began, failed)

    async def load(self, cpu_slots: int, rules: Settings = DEFAULT_RULES) -> World:
        """Read the world again."""
        return await self._on(self._writes, self._store.load, cpu_slots, rules)

    async def beat(self) -> None:
        """Return once the thread that commits has finished everything before this call."""
        await self._on(self._writes, lambda: None)

    async def remember(self, key: str, value: str) -> None:
        """Write a value, such as the kernel's boot id, unless it is present."""

        def put() -> None:
            if self._store.meta(key) != value:
                self._store.put_meta(key, value)

        await self._on(self._writes, put)

    async def revise(self, key: str, revised: Callable[[str | None], str]) -> None:
        """Replace a value by what ``revised`` makes of it; no other write comes between."""
        await self._on(
            self._writes, lambda: self._store.put_meta(key, revised(self._store.meta(key)))
        )

    async def read(
        self, query: Callable[Concatenate[Reader, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run one of ``Reader``'s queries, given as ``Reader.method``."""
        pool, reader = self._long if query in LONG else self._short
        return await self._on(pool, query, reader, *args, **kwargs)

    async def read_slowly(
        self, query: Callable[Concatenate[Reader, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a query that may read everything; only other queries of this kind wait for it."""
        pool, reader = self._slow
        return await self._on(pool, query, reader, *args, **kwargs)

    def mark_suspect(self, why: str) -> None:
        """Make the next start check the whole database before it uses it. Blocks on the disk."""
        mark_suspect(self._store.directory, why)

    @staticmethod
    async def _on(
        pool: ThreadPoolExecutor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool, lambda: call(*args, **kwargs))

    def close(self) -> None:
        """Record the time of the stop, end the threads, then close the database."""
        self._writes.submit(self._record_stop)
        self._writes.shutdown()
        for pool, reader in (self._short, self._long, self._slow):
            pool.shutdown(wait=False)
            reader.interrupt()
            pool.shutdown()
            reader.close()
        self._store.close()

    def _record_stop(self) -> None:
        with contextlib.suppress(LauncherError):  # a full disk does not keep the daemon from ending
            self._store.put_meta(STOPPED, repr(clock.now().wall))


def _lane(store: Store, name: str) -> tuple[ThreadPoolExecutor, Reader]:
    """Return one thread, and its reader."""
    return ThreadPoolExecutor(1, thread_name_prefix=name), Reader(store.directory)
