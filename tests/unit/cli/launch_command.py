"""The command in this process, with both of its outputs in files that can be watched."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from launcher.cli.app import invoke
from tests.support.wait import wait_until


@dataclass
class Result:
    """What one command did."""

    code: int
    out: str
    err: str


class Launch:
    """The real parser with its real output, in this process; both outputs are files."""

    def __init__(self, directory: Path) -> None:
        self.files = {1: directory / "stdout", 2: directory / "stderr"}

    def __call__(self, *args: str, stdout: int | None = None, stderr: int | None = None) -> Result:
        kept = {fd: os.dup(fd) for fd in self.files}
        streams = sys.stdout, sys.stderr
        try:
            for fd, path in self.files.items():
                with path.open("wb") as stream:
                    os.dup2(stream.fileno(), fd)
            for fd, other in ((1, stdout), (2, stderr)):
                if other is not None:
                    os.dup2(other, fd)
            with (
                open(1, "w", closefd=False) as sys.stdout,
                open(2, "w", closefd=False) as sys.stderr,
            ):
                code = invoke(list(args))
        finally:
            sys.stdout, sys.stderr = streams
            for fd, old in kept.items():
                os.dup2(old, fd)
                os.close(old)
        return Result(code, self.written(1), self.written(2))

    def written(self, fd: int) -> str:
        return self.files[fd].read_text(errors="backslashreplace")

    def has_said(self, text: str) -> Callable[[], None]:
        """Return a step that waits until the command has written this, on either output."""

        def step() -> None:
            wait_until(lambda: text in self.written(1) + self.written(2), what=text)

        return step
