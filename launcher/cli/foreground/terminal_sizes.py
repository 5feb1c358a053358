"""Tells a job's terminal the size of this one."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

Resize = Callable[[int, int], None]
"""Called with rows and columns."""
FIRST_SECONDS = 1.0
"""The first size is waited for this long: then a slow daemon delays what is typed no more."""


class TerminalSizes:
    """Tells the size in a thread: now, and after each change, the last one."""

    def __init__(self, resize: Resize) -> None:
        self._resize = resize
        self._changed, self._over = threading.Event(), False
        self._until = time.monotonic() + FIRST_SECONDS
        self._told, self._tells = os.pipe()
        self._waits = True
        self._before: Any = None

    def __enter__(self) -> TerminalSizes:
        self._changed.set()
        threading.Thread(target=self._tell, daemon=True, name="sizes").start()
        self._before = signal.signal(signal.SIGWINCH, lambda *_: self._changed.set())
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGWINCH, self._before)
        self._over = True
        self._changed.set()
        os.close(self._told)

    @property
    def told(self) -> int:
        """A descriptor that poll(2) reports once the first size has been told."""
        return self._told

    def patience(self) -> float | None:
        """Return how many seconds the first size is still waited for; None: no longer.

        A program that reads a line draws it again for a new size, also when Enter has just ended
        the line: what is typed ahead must come after the size.
        """
        left = self._until - time.monotonic()
        return left if self._waits and left > 0 else None

    def first_is_told(self) -> None:
        """Wait for it no longer."""
        self._waits = False

    def _tell(self) -> None:
        try:
            self._tell_once()
        finally:
            os.close(self._tells)
        while not self._over:
            self._tell_once()

    def _tell_once(self) -> None:
        self._changed.wait()
        self._changed.clear()
        if self._over:
            return
        with contextlib.suppress(OSError):
            columns, rows = os.get_terminal_size(0)
            if rows and columns:
                self._resize(rows, columns)
