"""Watchers of jobs: wakes the streams when a job changes or its log grows."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from launcher.core.messages.changes import Changes
from launcher.core.model.job import ImageKey, Job, State
from launcher.daemon.loop.change_counter import ChangeCounter

REMEMBERED = 2000
PROGRESS_SECONDS = 0.2


class Subscriptions:
    """Events by job, recently ended jobs, and the progress of pulls.

    For the loop's thread, except ``touch``, ``watched``, ``pulling`` and the reports on logs.
    """

    def __init__(self, unstored: Callable[[], object] = lambda: None) -> None:
        """``unstored`` as for ``ChangeCounter``."""
        self.counter = ChangeCounter(unstored)
        self._watchers: dict[int, set[asyncio.Event]] = {}
        self._pull_watchers: dict[ImageKey, set[asyncio.Event]] = {}
        self._loop = asyncio.get_running_loop()
        self._ended: OrderedDict[int, Job] = OrderedDict()
        self.progress: dict[ImageKey, list[dict[str, Any]]] = {}
        self._telling: set[ImageKey] = set()
        self._touched: set[int] = set()
        self.layout_changed = asyncio.Event()
        self._lost_logs: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._owed_logs: set[tuple[int, int]] = set()

    @contextlib.contextmanager
    def watch(self, job_id: int, image: ImageKey | None = None) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever the job changed or its log grew.

        With an ``image``, also whenever the pull that serves it made progress.
        """
        woken = asyncio.Event()
        _add(self._watchers, job_id, woken)
        if image is not None:
            _add(self._pull_watchers, image, woken)
        try:
            yield woken
        finally:
            _discard(self._watchers, job_id, woken)
            if image is not None:
                _discard(self._pull_watchers, image, woken)

    def watched(self, job_id: int) -> bool:
        """Whether a job is watched. Thread-safe."""
        return job_id in self._watchers

    def changed(self, changes: Changes) -> None:
        """Wake the watchers of the jobs in this decision, and those of all changes."""
        self.counter.changed(changes)
        for job_id in self._ended.keys() & changes.jobs.keys():  # jobs that run again are not ended
            del self._ended[job_id]
        ended = [job for job in changes.jobs.values() if job.state is State.DONE]
        self._ended.update((job.id, job) for job in ended[-REMEMBERED:])
        while len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)
        for job_id in self._watchers.keys() & changes.jobs.keys():
            self.wake(job_id)
        for job_id in changes.pruned:
            self._ended.pop(job_id, None)
        if changes.layouts:
            self.layout_changed.set()
            self.layout_changed = asyncio.Event()

    def ended(self, job_id: int) -> Job | None:
        """Return a job that ended recently; others are in the store."""
        return self._ended.get(job_id)

    def wake(self, job_id: int) -> None:
        """Wake a job's watchers."""
        for woken in self._watchers.get(job_id, ()):
            woken.set()

    def touch(self, job_id: int) -> None:
        """Wake a job's watchers, from any thread; nearly free if there are none.

        A log may grow faster than the loop can wake: at most one call is under way.
        """
        if job_id in self._watchers and job_id not in self._touched:
            self._touched.add(job_id)
            self._loop.call_soon_threadsafe(self._wake_touched, job_id)

    def _wake_touched(self, job_id: int) -> None:
        self._touched.discard(job_id)
        self.wake(job_id)

    def lose_log(self, job_id: int, attempt: int) -> None:
        """Record that the rest of an attempt's log is lost, so that its readers do not wait."""
        self._lost_logs[job_id, attempt] = None
        if len(self._lost_logs) > REMEMBERED:
            self._lost_logs.popitem(last=False)
        self.touch(job_id)

    def owe_log(self, job_id: int, attempt: int) -> None:
        """Record that an attempt's log is being written, or will be: its readers wait for that."""
        self._owed_logs.add((job_id, attempt))

    def log_written(self, job_id: int, attempt: int) -> None:
        """Record that an attempt's log is finished, from any thread."""
        self._owed_logs.discard((job_id, attempt))
        self.touch(job_id)

    def log_owed(self, job_id: int, attempt: int) -> bool:
        """Whether more of an attempt's log is still to be written."""
        return (job_id, attempt) in self._owed_logs

    def log_lost(self, job_id: int, attempt: int) -> bool:
        """Whether the end of an attempt's log is lost."""
        return (job_id, attempt) in self._lost_logs

    def pulling(self, image: ImageKey, layers: list[dict[str, Any]]) -> None:
        """Record the progress of a pull, from its thread; its watchers are woken at intervals.

        A pull with credentials is private: the same image pulled by others has another key.
        """
        self.progress[image] = layers
        if image not in self._telling:
            self._telling.add(image)
            notify = functools.partial(self._notify, image)
            self._loop.call_soon_threadsafe(self._loop.call_later, PROGRESS_SECONDS, notify)

    def _notify(self, image: ImageKey) -> None:
        self._telling.discard(image)
        for woken in self._pull_watchers.get(image, ()):
            woken.set()


K = TypeVar("K")


def _add(watchers: dict[K, set[asyncio.Event]], key: K, woken: asyncio.Event) -> None:
    watchers.setdefault(key, set()).add(woken)


def _discard(watchers: dict[K, set[asyncio.Event]], key: K, woken: asyncio.Event) -> None:
    watchers[key].discard(woken)
    if not watchers[key]:
        del watchers[key]
