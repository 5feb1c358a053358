"""NVML opened once and kept open: who reads, who must have it closed, and who waits for events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from launcher.errors import GpuUnavailable
from launcher.gpu.calls import asking, nvml
from launcher.gpu.guard import DEADLINE_SECONDS, Guard, Pending

T = TypeVar("T")

BUSY_SECONDS = 5.0

MACHINE = ""
"""The lane of what belongs to no GPU: opening NVML, its version, how many GPUs there are."""


class Session:
    """One process's NVML. Reads go through the guard's lanes, so that one that hangs is found out.

    The lock guards opening and closing only; nobody holds it while a read is under way.
    """

    def __init__(self, forget: Callable[[], None], seconds: float = DEADLINE_SECONDS) -> None:
        self.guard = Guard(seconds)
        self.number = 0
        """Counts the openings: handles and event sets of an earlier one are dead."""
        self._forget = forget
        self._lock = threading.Lock()
        self._open = False
        self._events = threading.Lock()
        self._may_watch = threading.Event()
        self._may_watch.set()

    def read(self, lane: str, call: Callable[[], T], patience: float | None = None) -> T:
        """Run ``call`` with NVML open, in a lane; GpuSilent where it hangs."""
        return self.retried(lambda: self.guard.run(lane, call, patience))

    def begin(self, lane: str, call: Callable[[], T]) -> Pending[T]:
        """Begin a read of an open NVML; for several at once, within ``retried``."""
        return self.guard.begin(lane, call)

    def retried(self, read: Callable[[], T]) -> T:
        """Run ``read`` with NVML open; once more if it was closed under us (driver reloaded)."""
        self._ensure_open()
        with suppress(asking.NvmlClosed):
            return read()
        self.reopen()
        try:
            return read()
        except asking.NvmlClosed:
            raise GpuUnavailable("NVML does not stay open", fix="Run launch doctor.") from None

    def reopen(self) -> None:
        """Open NVML again after it was closed under us."""
        self._open = False
        self._ensure_open()

    def changing(self, lane: str, change: Callable[[], T]) -> T:
        """Run a change of instances with NVML open; it is never made twice.

        GpuSilent, with nothing changed, while a call for that GPU hangs.
        """
        self.read(lane, lambda: None)
        try:
            return change()
        except asking.NvmlClosed:
            raise GpuUnavailable("NVML was closed in the middle of a change") from None

    def alone(self, change: Callable[[], T]) -> T:
        """Run a change of MIG mode with NVML closed before and after it: an open client can stand
        in its way. Other callers wait a moment, then are told that NVML is busy."""
        with self._locked():
            self.guard.check()  # a call that hangs keeps it open
            self._close()
            _init()
            try:
                return change()
            except asking.NvmlClosed:
                raise GpuUnavailable("NVML was closed in the middle of a change") from None
            finally:
                nvml.shutdown()

    def close(self) -> None:
        """Close NVML and forget everything read; the next call opens it again."""
        with self._locked():
            self._close()
        self.guard.close()

    @contextmanager
    def watching(self, seconds: float) -> Iterator[int | None]:
        """Keep NVML open while events are waited for; gives the number of this opening.

        None where it must be closed just now: nobody may wait then.
        """
        if not self._may_watch.wait(seconds):
            yield None
            return
        with self._events:
            self._ensure_open()
            yield self.number

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock with nobody waiting for events."""
        self._may_watch.clear()
        try:
            if not self._events.acquire(timeout=BUSY_SECONDS):
                raise GpuUnavailable("NVML cannot be closed: a wait for events does not return")
            try:
                with self._lock:
                    yield
            finally:
                self._events.release()
        finally:
            self._may_watch.set()

    def _close(self) -> None:
        self._forget()
        if self._open:
            self._open = False
            nvml.shutdown()

    def _ensure_open(self) -> None:
        if self._open:
            return
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise GpuUnavailable("NVML is busy with a change of MIG mode", fix="Wait for its end.")
        try:
            self.guard.run(MACHINE, self._open_now)
        finally:
            self._lock.release()

    def _open_now(self) -> None:
        if not self._open:
            _init()
            self.number += 1
            self._open = True


def _init() -> None:
    try:
        nvml.init()
    except asking.NvmlClosed as closed:
        raise GpuUnavailable(f"NVML cannot be opened: {closed} says that it is not") from None
