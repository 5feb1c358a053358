"""Threads for users' blocking calls: each user has a share, and waits for no other."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

STUCK_SECONDS = 10.0
P = ParamSpec("P")
T = TypeVar("T")


class FairPool:
    """A thread pool in which each user has at most ``share`` calls, running or queued.

    A user's further calls wait for that user's earlier ones. Users are served in turn, because
    none has more than its share in the queue.
    """

    def __init__(self, name: str, *, threads: int, share: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self.name, self._threads, self._share = name, threads, share
        self._shares: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()
        self._busy = 0
        self._full_since: float | None = None

    @property
    def stuck(self) -> bool:
        """Whether no thread has been free for another call for ``STUCK_SECONDS``."""
        since = self._full_since
        return since is not None and time.monotonic() - since >= STUCK_SECONDS

    async def run(self, uid: int, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``call`` in a thread, which is charged to the user until the call returns.

        This holds even if the caller stops waiting: a thread cannot be interrupted.
        """
        share = self._shares.get(uid)
        if share is None:
            self._shares[uid] = share = asyncio.Semaphore(self._share)
        await share.acquire()
        self._count(1)
        work = functools.partial(call, *args, **kwargs)
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(functools.partial(self._returned, share))
        return await asyncio.shield(future)

    def _returned(self, share: asyncio.Semaphore, future: asyncio.Future[object]) -> None:
        if not future.cancelled():
            future.exception()  # retrieved, because the caller may have stopped waiting
        self._count(-1)
        share.release()

    def _count(self, more: int) -> None:
        self._busy += more
        if self._busy < self._threads:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = time.monotonic()

    def close(self) -> None:
        """Start no more calls; running calls end on their own."""
        self._pool.shutdown(wait=False, cancel_futures=True)
