"""A command on a terminal of its own: what it shows is read meanwhile, and keys are typed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Mapping

from tests.support.wait import wait_until


class Terminal:
    """Runs a command as the foreground of a new terminal, so that Ctrl-C reaches it."""

    def __init__(
        self,
        command: list[str],
        environment: Mapping[str, str],
        *,
        columns: int = 100,
        kind: str = "xterm",
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 30, columns, 0, 0))
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**environment, "TERM": kind},
        )
        os.close(theirs)
        self._shown = bytearray()
        self._open = True

    @property
    def shown(self) -> str:
        """All that was written to it until now."""
        while self._open and select.select([self._ours], [], [], 0)[0]:
            try:
                self._shown += os.read(self._ours, 65536)
            except OSError:  # EIO: the last writer closed it
                self._open = False
        return self._shown.decode(errors="replace")

    def shows(self, text: str) -> None:
        """Wait until a text was shown."""
        self.finds(re.escape(text))

    def finds(self, pattern: str) -> re.Match[str]:
        """Wait until something was shown that a pattern matches."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: re.search(pattern, self.shown) or not self._open, 30)
        found = re.search(pattern, self.shown)
        assert found, (pattern, self.shown, self.process.poll())
        return found

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Give it another size."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def end(self, seconds: float = 60.0) -> tuple[int, str]:
        """Wait for its end; returns its exit status and all that was shown."""
        wait_until(lambda: (self.shown, not self._open)[1], seconds, "the terminal is closed")
        return self.process.wait(10), self.shown

    def close(self) -> None:
        """End what a failed test left running."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
