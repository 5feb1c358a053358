"""A file system of one MiB, to be filled, emptied and made read-only."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import TracebackType


class SmallDisk:
    """A tmpfs of its own; mounted while the context lasts."""

    def __init__(self, path: Path, size: str = "1m") -> None:
        self.path, self._size = path, size
        self._filler = path / "filler"

    def __enter__(self) -> SmallDisk:
        self.path.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={self._size},mode=0755", "tmpfs", self.path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _run("umount", "--lazy", self.path)

    def fill(self) -> None:
        """Leave no page free."""
        with self._filler.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                return

    def is_full(self) -> bool:
        """Whether no page is free."""
        return os.statvfs(self.path).f_bavail == 0

    def free(self) -> None:
        """Give the space back."""
        self._filler.unlink()

    def resize(self, size: str) -> None:
        """Make it larger."""
        _run("mount", "-o", f"remount,size={size}", self.path)

    def read_only(self) -> None:
        """Remount it so that nobody can write, not even root."""
        _run("mount", "-o", "remount,ro", self.path)


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
