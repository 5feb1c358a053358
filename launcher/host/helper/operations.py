"""Runs operations that may wait for another program, such as systemd, beside the event loop.

Each operation belongs to a job. One runs at a time for a job, in the order of the requests. For
one user ``MOST_OF_USER`` run at a time, so that slow units do not delay other users' starts.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from launcher.host.helper.polling import Poll

T = TypeVar("T")

MOST = 8
MOST_OF_USER = 2
"""The most operations that run at a time, in all and per user."""


class Operations:
    """Runs operations in threads, or immediately. Use it only in the loop's thread."""

    def __init__(self, poll: Poll, *, threaded: bool) -> None:
        """If not ``threaded``, operations run immediately, in the loop's thread."""
        self._threaded = threaded
        self._waiting: dict[int, deque[Callable[[], None]]] = {}
        """Queued operations by user; the user whose turn is next comes first."""
        self._running: Counter[int] = Counter()
        self._busy: dict[str, deque[Callable[[], None]]] = {}
        """For each busy job, the calls to make when its operation ends."""
        self._done: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wakes = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        poll.add(self._wakes, self._finish)

    def __len__(self) -> int:
        return len(self._busy)

    def is_busy(self, name: str) -> bool:
        """Whether a job has an operation that has not ended."""
        return name in self._busy

    def after(self, name: str, call: Callable[[], None]) -> None:
        """Call ``call`` once a busy job's operation and all earlier calls have ended."""
        self._busy[name].append(call)

    def run(
        self, name: str, uid: int, work: Callable[[], T], then: Callable[[Future[T]], None]
    ) -> None:
        """Run an operation of a job that is not busy; ``then`` is called in the loop."""
        self._busy[name] = deque()
        future: Future[T] = Future()
        end = partial(self._end, name, uid, partial(then, future))
        if not self._threaded:
            _settle(future, work)
            end()
            return
        call = partial(self._in_thread, future, work, end)
        self._waiting.setdefault(uid, deque()).append(call)
        self._start()

    def _start(self) -> None:
        """Start queued operations up to the limits, users in turn."""
        for uid in list(self._waiting):
            while uid in self._waiting and self._running[uid] < MOST_OF_USER:
                if self._running.total() >= MOST:
                    return
                calls = self._waiting.pop(uid)
                call = calls.popleft()
                if calls:
                    self._waiting[uid] = calls  # behind the others
                self._running[uid] += 1
                threading.Thread(target=call, name=f"operation-{uid}", daemon=True).start()

    def _in_thread(
        self, future: Future[Any], work: Callable[[], Any], end: Callable[[], None]
    ) -> None:
        _settle(future, work)
        self._done.put(end)
        os.eventfd_write(self._wakes, 1)

    def _finish(self, _: int) -> None:
        """End the operations whose work is done."""
        for _ in range(os.eventfd_read(self._wakes)):
            self._done.get()()

    def _end(self, name: str, uid: int, then: Callable[[], None]) -> None:
        if self._threaded:
            self._running[uid] -= 1
            self._running += Counter()  # drops the users at zero
        try:
            then()
        finally:
            following = self._busy.pop(name)
            self._start()
        while following and name not in self._busy:
            following.popleft()()
        if following:
            self._busy[name].extend(following)


def _settle(future: Future[T], work: Callable[[], T]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
