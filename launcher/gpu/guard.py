"""Isolates NVML calls that hang: one worker thread for each GPU, and one for the rest.

A call into a broken driver may never return, and its thread cannot be stopped. Every read therefore
runs in the worker of its GPU, and the caller waits for it only while calls return. At most one
thread for each GPU hangs, and meanwhile every caller for that GPU gets an error at once.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from launcher.errors import GpuSilent
from launcher.gpu.calls import asking

T = TypeVar("T")

DEADLINE_SECONDS = 5.0
"""The longest time for one call of NVML. A whole read may take longer if its calls return."""


class Ticket(Generic[T]):
    """A read that was handed to a worker."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.call = call
        self.over = threading.Event()
        self.given_up = False
        self.value: T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Make the calls, and store the result."""
        try:
            self.value = self.call()
        except BaseException as error:
            self.error = error
        self.over.set()


class GpuWorker:
    """One worker: reads of one GPU, one after the other. ``name`` is for messages: GPU 0."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name, self._seconds = name, seconds
        self._lock = threading.Lock()
        self._closed = False
        self._tickets: queue.SimpleQueue[Ticket[Any] | None] = queue.SimpleQueue()
        self._now: tuple[Ticket[Any], float] | None = None
        self._thread = threading.Thread(target=self._work, name=f"nvml {name}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (ticket := self._tickets.get()) is not None:
            if not ticket.given_up:
                asking.forget_call()
                self._now = (ticket, time.monotonic())
                ticket.run()
                self._now = None
        asking.forget_call()

    def close(self) -> None:
        """Let the worker end once its queue is empty."""
        with self._lock:
            self._closed = True
            self._tickets.put(None)

    def submit(self, call: Callable[[], T]) -> Ticket[T] | None:
        """Submit a read; None if the worker is closed; GpuSilent at once while one hangs."""
        self.check()
        ticket = Ticket(call)
        with self._lock:
            if self._closed:
                return None
            self._tickets.put(ticket)
        return ticket

    def check(self) -> None:
        """Raise GpuSilent while a call hangs."""
        if self._quiet() >= self._seconds:
            raise self._silent()

    def end(self, ticket: Ticket[T], patience: float | None = None) -> T:
        """Wait for a read; GpuSilent once a call hangs, or after this many seconds of patience."""
        until = math.inf if patience is None else time.monotonic() + patience
        while not ticket.over.wait(self._wait(until)):
            quiet = self._quiet() >= self._seconds
            if quiet or time.monotonic() >= until:
                ticket.given_up = True
                raise self._silent() if quiet else GpuSilent(f"NVML is busy{self._subject()}")
        if ticket.error is not None:
            raise ticket.error
        return ticket.value  # type: ignore[return-value]

    def _wait(self, until: float) -> float:
        return max(0.001, min(self._seconds - self._quiet(), until - time.monotonic()))

    def _quiet(self) -> float:
        """Return how long the present call has been running, 0 if there is none."""
        now, call = self._now, asking.under_way(self._thread.ident)
        if now is None:
            return 0.0
        return time.monotonic() - max(now[1], call[1] if call else 0.0)

    def _subject(self) -> str:
        return f" for {self.name}" if self.name else ""

    def _silent(self) -> GpuSilent:
        call = asking.under_way(self._thread.ident)
        since = datetime.fromtimestamp(time.time() - self._quiet(), UTC)
        return GpuSilent(
            f"NVML does not answer{self._subject()} since {since:%Y-%m-%dT%H:%M:%SZ}: "
            f"{call[0] if call else 'a call'} has not returned",
            fix="Look for NVRM Xid lines in dmesg; if the GPU stays silent, reboot.",
        )


class Pending(Generic[T]):
    """A read that was started, or could not be."""

    def __init__(
        self, lane: GpuWorker, ticket: Ticket[T] | None, refused: GpuSilent | None
    ) -> None:
        self._lane, self._ticket, self._refused = lane, ticket, refused

    def end(self, patience: float | None = None) -> T:
        """Return what the read returns; raises what it raises, or GpuSilent."""
        if self._ticket is None:
            raise self._refused or GpuSilent("NVML was closed")
        return self._lane.end(self._ticket, patience)


class Guard:
    """The workers of one reader, one per lane; ``seconds`` limits one call."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._lanes: dict[str, GpuWorker] = {}

    def submit(self, name: str, call: Callable[[], T]) -> Pending[T]:
        """Submit a read to the lane of that name; a failure to start it is raised by ``end``."""
        while True:
            with self._lock:
                lane = self._lanes.get(name)
                if lane is None:
                    lane = self._lanes[name] = GpuWorker(name, self.seconds)
            try:
                ticket = lane.submit(call)
            except GpuSilent as silent:
                return Pending(lane, None, silent)
            if ticket is not None:
                return Pending(lane, ticket, None)

    def run(self, name: str, call: Callable[[], T], patience: float | None = None) -> T:
        """Run a read in a lane and return its result; raises what it raises, or GpuSilent."""
        return self.submit(name, call).end(patience)

    def check(self) -> None:
        """Raise GpuSilent while any call hangs."""
        with self._lock:
            lanes = list(self._lanes.values())
        for lane in lanes:
            lane.check()

    def close(self) -> None:
        """Let the workers end; one that hangs ends when its call returns."""
        with self._lock:
            lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            lane.close()
