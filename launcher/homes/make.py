"""Creates the directories of one container.

A directory is opened relative to its parent and never through a symlink.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from launcher.homes import quota
from launcher.homes.acting import acting_as
from launcher.homes.clear import retire
from launcher.homes.values import CACHE, CACHES, HOME, JOBS, PART_OF_DISK, TMP, HomeRequest

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_CLOSED = 0o711
"""Docker's containers pass; nobody lists it."""


def make(root: int, request: HomeRequest) -> None:
    """Create the directories of a container below an open ``root``; repeating it is harmless.

    Raises OSError.
    """
    if request.fresh:
        retire(root, request.container)
    with folder(root, JOBS) as jobs, folder(jobs, request.container) as own:
        quota.limit(own, request.limit or _size_of(root) // PART_OF_DISK)
        _make_owned(own, request, {HOME: 0o700, TMP: 0o1777})
        for name, text in request.files.items():
            _write(own, name, text)
    if request.cache:
        with folder(root, CACHES) as caches, folder(caches, str(request.uid)) as own:
            _make_owned(own, request, {CACHE: 0o700})


def _size_of(root: int) -> int:
    status = os.fstatvfs(root)
    return status.f_blocks * status.f_frsize


@contextlib.contextmanager
def folder(parent: int, name: str) -> Iterator[int]:
    """Yield an open directory, created if missing."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, _CLOSED, dir_fd=parent)
    fd = os.open(name, FOLDER, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)


def _make_owned(own: int, request: HomeRequest, modes: dict[str, int]) -> None:
    """Create directories that belong to the user.

    The user may write to ``own`` meanwhile, but cannot reach it: its parents are root's.
    """
    os.chmod(own, 0o777)
    try:
        with acting_as(request.uid, request.gid):
            for name, mode in modes.items():
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, mode, dir_fd=own)
                    os.chmod(name, mode, dir_fd=own)  # whatever the umask is
            for path in request.parents:
                if path.split("/", 1)[0] in modes:
                    _make_path(own, path)
    finally:
        os.chmod(own, _CLOSED)


def _make_path(own: int, path: str) -> None:
    """Create a directory and its parents; raises OSError if one of them is a symlink or a file."""
    at = os.dup(own)
    try:
        for name in path.split("/"):
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=at)
            below = os.open(name, FOLDER, dir_fd=at)
            os.close(at)
            at = below
    finally:
        os.close(at)


def _write(own: int, name: str, text: str) -> None:
    with os.fdopen(os.open(name, _FILE, 0o644, dir_fd=own), "wb") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text.encode())
