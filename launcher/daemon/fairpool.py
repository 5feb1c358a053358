"""Threads for blocking calls that users cause: each user has a share, and waits for no other."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

P = ParamSpec("P")
T = TypeVar("T")


class FairPool:
    """A thread pool in which each user has at most ``share`` calls, running or queued.

    A user's further calls wait for the user's own. Calls of different users are served in turn,
    because none has more than its share in the queue.
    """

    def __init__(self, name: str, *, threads: int, share: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._threads, self._share = threads, share
        self._shares: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()
        self._busy = 0

    @property
    def exhausted(self) -> bool:
        """Whether no thread is left for another call."""
        return self._busy >= self._threads

    async def run(self, uid: int, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``call`` returns; its thread is charged to the user until it returns.

        That holds also where the caller stops waiting: a thread cannot be interrupted.
        """
        share = self._shares.get(uid)
        if share is None:
            self._shares[uid] = share = asyncio.Semaphore(self._share)
        await share.acquire()
        self._busy += 1
        work = functools.partial(call, *args, **kwargs)
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(lambda _: self._returned(share))
        return await asyncio.shield(future)

    def _returned(self, share: asyncio.Semaphore) -> None:
        self._busy -= 1
        share.release()

    def close(self) -> None:
        """Start nothing more; calls that run end on their own."""
        self._pool.shutdown(wait=False, cancel_futures=True)
