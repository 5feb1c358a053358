"""A terminal with a screen: tmux runs a command, and what is on the screen is read."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.acceptance.shell import LAUNCH
from tests.support.wait import wait_until

ENDED = "exit status"


class TmuxScreen:
    """A tmux server of its own with one window, in which a shell runs ``launch``."""

    def __init__(
        self, environment: Mapping[str, str], *words: str, columns: int = 80, rows: int = 24
    ) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="tmux-")
        self._socket = str(Path(self._directory.name) / "s")
        command = (
            f"trap : INT; echo before; {shlex.join([LAUNCH, *words])}; echo {ENDED} $?; exec cat"
        )
        own = {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color", "COLUMNS": "70", "LINES": "20"}
        self._environment = {**environment, **own}
        size = ["-x", str(columns), "-y", str(rows)]
        self._tmux("new-session", "-d", *size, "sh", "-c", command)

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-u", "-f", os.devnull, "-S", self._socket, *words]
        done = subprocess.run(
            command, env=self._environment, capture_output=True, check=True, timeout=20
        )
        return done.stdout.decode()

    def text(self) -> str:
        """What is on the screen now."""
        return self._tmux("capture-pane", "-p")

    def shows(self, text: str, *, gone: bool = False, seconds: float = 30) -> str:
        """Wait until a text is on the screen, or is not; return the screen."""
        last = ""

        def seen() -> bool:
            nonlocal last
            last = self.text()
            return (text in last) is not gone

        try:
            wait_until(seen, seconds, f"{text!r} is {'not ' if gone else ''}on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{last}") from None
        return last

    def type(self, *keys: str) -> None:
        """Press keys, by tmux's names for them."""
        self._tmux("send-keys", *keys)

    def resize(self, columns: int, rows: int) -> None:
        """Make the window as large as this."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def ended(self) -> int:
        """Wait for the command's end; return its exit status."""
        screen = self.shows(ENDED)
        return int(screen.rpartition(ENDED)[2].split()[0])

    def close(self) -> None:
        """End the server and what runs in it."""
        subprocess.run(
            ["tmux", "-S", self._socket, "kill-server"], capture_output=True, check=False
        )
        self._directory.cleanup()
