"""Measures the disk space of a directory that a user fills, within a bounded time."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from typing import Any

from launcher.homes.values import CACHES, JOBS, DiskUse, HomeUse

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MOST_DEPTH = 200
"""Each level holds one file descriptor."""
MOST_LINKED = 100_000
_BLOCK = 512
"""st_blocks counts in these: stat(2)."""


def measure_all(
    root: int, containers: Collection[str], uids: Collection[int], seconds: float
) -> HomeUse:
    """Return the use of containers' directories and users' caches, within ``seconds`` in all."""
    each = seconds / max(1, len(containers) + len(uids))
    status = os.fstatvfs(root)
    return HomeUse(
        {name: measure(root, f"{JOBS}/{name}", each) for name in containers},
        {uid: measure(root, f"{CACHES}/{uid}", each) for uid in uids},
        status.f_blocks * status.f_frsize,
    )


def measure(root: int, path: str, seconds: float) -> DiskUse:
    """Return the use of a directory below an open ``root``; 0 if it is missing.

    Files with several names count once. Needs CAP_DAC_READ_SEARCH for other users' directories.
    Directories that are too deep or cannot be read, and what is left after ``seconds``, are not
    counted: the result is then not ``whole``.
    """
    try:
        fd = os.open(path, _FOLDER, dir_fd=root)
    except FileNotFoundError:
        return DiskUse(0, 0)
    walk = _Walk(time.monotonic() + seconds)
    walk.below(fd)
    return DiskUse(walk.bytes, walk.files, walk.whole)


_Levels = list[tuple[int, Any]]
"""The open directories of a walk, and what scandir returned for each."""


class _Walk:
    def __init__(self, end: float) -> None:
        self.bytes = self.files = 0
        self.whole = True
        self._end = end
        self._linked: set[int] = set()

    def below(self, fd: int) -> None:
        """Count everything in an open directory, which is closed."""
        levels: _Levels = [(fd, os.scandir(fd))]
        while levels:
            fd, entries = levels[-1]
            entry = next(entries, None)
            if entry is None or time.monotonic() > self._end:
                self.whole = self.whole and entry is None
                entries.close()
                os.close(fd)
                levels.pop()
                continue
            self._count(entry)
            if entry.is_dir(follow_symlinks=False):
                self._enter(levels, fd, entry.name)

    def _enter(self, levels: _Levels, fd: int, name: str) -> None:
        if len(levels) > MOST_DEPTH:
            self.whole = False
            return
        try:
            below = os.open(name, _FOLDER, dir_fd=fd)
        except FileNotFoundError:
            return
        except OSError:
            self.whole = False
            return
        levels.append((below, os.scandir(below)))

    def _count(self, entry: os.DirEntry[str]) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:  # removed meanwhile
            return
        if status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
            if status.st_ino in self._linked:
                return
            if len(self._linked) < MOST_LINKED:
                self._linked.add(status.st_ino)
        self.bytes += status.st_blocks * _BLOCK
        self.files += 1
