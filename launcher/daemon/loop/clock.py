"""The time for the core, blocking and starting of threads, and the machine's boot id.

The only clock of the daemon, and the only place that creates its threads. A whole daemon can
therefore be run in virtual time, one thread after another.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from launcher.core.messages.events import Now

MOST_SPARE_THREADS = 16
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
BOOT_ID_VARIABLE = "LAUNCHER_BOOT_ID_FILE"
"""Names another file, for simulating a reboot."""


class Flag(Protocol):
    """The interface of ``threading.Event``."""

    def is_set(self) -> bool:
        """Whether it is set."""
        ...

    def set(self) -> None:
        """Set it; it is never cleared."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it is set, for at most ``timeout`` seconds; return whether it is set."""
        ...


class Timekeeper(Protocol):
    """Time, and threads that wait for it."""

    def now(self) -> Now:
        """Return wall clock and CLOCK_BOOTTIME, in seconds."""
        ...

    def boot_id(self) -> str:
        """Return the kernel's boot id."""
        ...

    def booted_at(self) -> float:
        """Return when the machine booted, in seconds since 1970."""
        ...

    def computed(self) -> float:
        """Return how many seconds of processor time this thread has used."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block this thread."""
        ...

    def spawn(self, name: str, call: Callable[[], None]) -> None:
        """Run ``call`` in a thread of its own that does not keep the process alive."""
        ...

    def flag(self) -> Flag:
        """Return a flag that is not set."""
        ...


class System:
    """The machine's own time and threads."""

    def __init__(self) -> None:
        self._spares = SpareThreads()

    def now(self) -> Now:
        """Return wall clock and CLOCK_BOOTTIME (which counts suspend), in seconds."""
        return Now(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))

    def boot_id(self) -> str:
        """Return the kernel's boot id."""
        return _boot_id_file().read_text("ascii").strip()

    def booted_at(self) -> float:
        """Return when the machine booted; in a simulation, when the file was written."""
        if BOOT_ID_VARIABLE in os.environ:
            return _boot_id_file().stat().st_mtime
        at = self.now()
        return at.wall - at.boot

    def computed(self) -> float:
        """Return how many seconds of processor time this thread has used."""
        return time.thread_time()

    def sleep(self, seconds: float) -> None:
        """Block this thread."""
        time.sleep(seconds)

    def spawn(self, name: str, call: Callable[[], None]) -> None:
        """Run ``call`` in a thread of its own."""
        self._spares.run(name, call)

    def flag(self) -> Flag:
        """Return a flag that is not set."""
        return threading.Event()


class SpareThreads:
    """Threads that run one call after another, each as if in a thread of its own.

    ``Thread.start`` waits until the new thread runs: on a busy interpreter for milliseconds, which
    the event loop has not got. So a thread whose call has returned waits for the next one.
    """

    def __init__(self) -> None:
        self._waiting: list[SimpleQueue[tuple[str, Callable[[], None]]]] = []
        self._lock = threading.Lock()

    def run(self, name: str, call: Callable[[], None]) -> None:
        """Run ``call`` in a spare thread, or a new one. Thread-safe."""
        try:
            inbox = self._waiting.pop()
        except IndexError:
            inbox = SimpleQueue()
            threading.Thread(target=self._serve, args=(inbox,), name=name, daemon=True).start()
        inbox.put((name, call))

    def _serve(self, inbox: SimpleQueue[tuple[str, Callable[[], None]]]) -> None:
        thread = threading.current_thread()
        while True:
            thread.name, call = inbox.get()
            call()
            del call  # what it holds is not to stay until the next one
            with self._lock:
                if len(self._waiting) >= MOST_SPARE_THREADS:
                    return
                self._waiting.append(inbox)


_timekeeper: Timekeeper = System()


@contextlib.contextmanager
def replaced_by(timekeeper: Timekeeper) -> Iterator[None]:
    """Replace the clock while the context lasts: for simulations."""
    global _timekeeper  # noqa: PLW0603
    before, _timekeeper = _timekeeper, timekeeper
    try:
        yield
    finally:
        _timekeeper = before


def now() -> Now:
    """Return wall clock and CLOCK_BOOTTIME (which counts suspend), in seconds."""
    return _timekeeper.now()


def computed() -> float:
    """Return how many seconds of processor time this thread has used."""
    return _timekeeper.computed()


def sleep(seconds: float) -> None:
    """Block this thread."""
    _timekeeper.sleep(seconds)


def spawn(name: str, call: Callable[[], None]) -> None:
    """Run ``call`` in a thread of its own that does not keep the process alive."""
    _timekeeper.spawn(name, call)


def flag() -> Flag:
    """Return a flag that is not set."""
    return _timekeeper.flag()


def boot_id() -> str:
    """Return the kernel's boot id: it changes with every boot of the machine."""
    return _timekeeper.boot_id()


def booted_at() -> float:
    """Return when the machine booted, in seconds since 1970, by the current clock."""
    return _timekeeper.booted_at()


def _boot_id_file() -> Path:
    return Path(os.environ.get(BOOT_ID_VARIABLE, BOOT_ID))


def rfc3339(seconds: float) -> str:
    """Return seconds since 1970 as RFC 3339 with exactly six decimals and ``Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
