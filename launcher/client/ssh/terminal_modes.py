"""The modes of this terminal, which ssh changes while it reads a password."""

from __future__ import annotations

import contextlib
import os
import termios
from collections.abc import Iterator
from typing import Any


class TerminalModes:
    """The modes as they are now, if this process has a terminal."""

    def __init__(self) -> None:
        self._modes: list[Any] | None = None
        with _terminal() as fd:
            self._modes = termios.tcgetattr(fd)

    def restore(self) -> None:
        """Set them again if ssh was ended before it could; in the background, do nothing."""
        with _terminal() as fd:
            changed = termios.tcgetattr(fd) != self._modes
            if self._modes is not None and changed and os.tcgetpgrp(fd) == os.getpgrp():
                termios.tcsetattr(fd, termios.TCSANOW, self._modes)


@contextlib.contextmanager
def _terminal() -> Iterator[int]:
    """Yield the terminal; without one, or if it is gone, yield -1 and ignore what fails."""
    fd = -1
    with contextlib.suppress(OSError):
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError, termios.error, ValueError):
            yield fd
    finally:
        if fd >= 0:
            os.close(fd)
