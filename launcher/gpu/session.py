"""NVML opened once and kept open: for reads, for changes that need it closed, and for events."""

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
"""The lane of calls without a GPU: opening NVML, its version, the number of GPUs."""


class Session:
    """One process's NVML. Reads go through the guard's lanes, so that a hanging read is detected.

    The lock guards opening and closing only; it is not held during a read.
    """

    def __init__(self, forget: Callable[[], None], seconds: float = DEADLINE_SECONDS) -> None:
        self.guard = Guard(seconds)
        self.number = 0
        """Counts the openings: handles and event sets of an earlier one are invalid."""
        self._forget = forget
        self._lock = threading.Lock()
        self._open = False
        self._events = threading.Lock()
        self._may_watch = threading.Event()
        self._may_watch.set()

    def read(self, lane: str, call: Callable[[], T], patience: float | None = None) -> T:
        """Run ``call`` with NVML open, in a lane; GpuSilent if it hangs."""
        return self.retried(lambda: self.guard.run(lane, call, patience))

    def submit(self, lane: str, call: Callable[[], T]) -> Pending[T]:
        """Submit a read while NVML is open; for several reads at once, within ``retried``."""
        return self.guard.submit(lane, call)

    def retried(self, read: Callable[[], T]) -> T:
        """Run ``read`` with NVML open; once more if it was closed meanwhile (driver reloaded)."""
        self._ensure_open()
        with suppress(asking.NvmlClosed):
            return read()
        self.reopen()
        try:
            return read()
        except asking.NvmlClosed:
            raise GpuUnavailable("NVML does not stay open", fix="Run launch doctor.") from None

    def reopen(self) -> None:
        """Open NVML again after it was closed meanwhile."""
        self._open = False
        self._ensure_open()

    def changing(self, lane: str, change: Callable[[], T]) -> T:
        """Run a change of instances with NVML open; it is never retried.

        GpuSilent, with nothing changed, while a call for that GPU hangs.
        """
        self.read(lane, lambda: None)
        try:
            return change()
        except asking.NvmlClosed:
            raise GpuUnavailable("NVML was closed in the middle of a change") from None

    def alone(self, change: Callable[[], T]) -> T:
        """Run a change of MIG mode with NVML closed before and after it, because an open client
        can prevent it. Other callers wait a moment, then get the error that NVML is busy."""
        with self._locked():
            self.guard.check()  # a hanging call keeps NVML open
            self._close()
            _init()
            try:
                return change()
            except asking.NvmlClosed:
                raise GpuUnavailable("NVML was closed in the middle of a change") from None
            finally:
                nvml.shutdown()

    def close(self) -> None:
        """Close NVML and drop everything read; the next call opens it again."""
        with self._locked():
            self._close()
        self.guard.close()

    @contextmanager
    def watching(self, seconds: float) -> Iterator[int | None]:
        """Keep NVML open while the caller waits for events; yields the number of this opening.

        Yields None if NVML is about to be closed: then the caller must not wait.
        """
        if not self._may_watch.wait(seconds):
            yield None
            return
        with self._events:
            self._ensure_open()
            yield self.number

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock while no thread waits for events."""
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
        raise GpuUnavailable(
            f"NVML cannot be opened: {closed} reports that it is not initialised"
        ) from None
