"""Deletes the directories of ended jobs, a bounded time at once.

A directory is renamed first, so that its name is free, and deleted later. Users may leave a million
files or directories a million deep: nothing is recursive, and no list of them is held.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Collection, Iterator

from launcher.homes import quota
from launcher.homes.acting import acting_as
from launcher.homes.values import CACHES, JOBS, REMOVED

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MOST_DEPTH, MOST_STUCK = 100, 1000
OutOfTime = Callable[[], bool]


def retire(root: int, name: str, parent: str = JOBS) -> bool:
    """Take ``parent/name`` out of use; returns whether it existed. ``empty`` deletes it."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(REMOVED, 0o711, dir_fd=root)
    target = f"{REMOVED}/{name}.{secrets.token_hex(8)}"
    try:
        os.rename(f"{parent}/{name}", target, src_dir_fd=root, dst_dir_fd=root)
    except FileNotFoundError:
        return False
    return True


def retire_all(root: int, containers: Collection[str], uids: Collection[int]) -> None:
    """Take containers' directories and users' caches out of use; ``empty`` deletes them."""
    for name in containers:
        retire(root, name)
    for uid in uids:
        retire(root, str(uid), CACHES)


def listed(root: int, prefix: str) -> list[str]:
    """Return the containers that have directories and whose names start with ``prefix``."""
    try:
        return sorted(n for n in os.listdir(_at(root, JOBS)) if n.startswith(prefix))  # noqa: PTH208
    except FileNotFoundError:
        return []


def users_with_caches(root: int) -> list[int]:
    """Return the uids that have a cache."""
    try:
        names = os.listdir(_at(root, CACHES))  # noqa: PTH208
    except FileNotFoundError:
        return []
    return sorted(int(name) for name in names if name.isdecimal())


def empty(root: int, seconds: float) -> bool:
    """Delete what is out of use, for at most ``seconds``; returns whether nothing is left.

    Raises OSError for the first directory that cannot be deleted; the others are deleted.
    """
    try:
        names = os.listdir(_at(root, REMOVED))  # noqa: PTH208
    except FileNotFoundError:
        return True
    end, failed = time.monotonic() + seconds, None
    for number, name in enumerate(names):
        # Each gets its share of the time: a large one must not keep the others.
        until = time.monotonic() + (end - time.monotonic()) / (len(names) - number)
        try:
            with _opened(root, f"{REMOVED}/{name}") as own:
                if _remove_owned(own, until):
                    quota.limit(own, 0)
                    os.rmdir(f"{REMOVED}/{name}", dir_fd=root)
        except OSError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return not os.listdir(_at(root, REMOVED))  # noqa: PTH208


def _remove_owned(own: int, until: float) -> bool:
    """Empty a directory of ours: files, and directories that are emptied as their owners."""
    for name in os.listdir(own):
        status = os.stat(name, dir_fd=own, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=own)
        elif _clear_as(own, name, status, until):
            os.rmdir(name, dir_fd=own)
        else:
            return False
    return True


def _clear_as(own: int, name: str, status: os.stat_result, until: float) -> bool:
    """Delete everything in a directory as its owner, what runc made as root as root."""

    def out_of_time() -> bool:
        return time.monotonic() > until

    with acting_as(status.st_uid, status.st_gid), _opened(own, name) as top:
        try:
            return clear(top, out_of_time)
        except PermissionError:
            if status.st_uid == 0 or os.getuid() != 0:
                raise
    with _opened(own, name) as top:
        _clear_roots(top, 0)
    with acting_as(status.st_uid, status.st_gid), _opened(own, name) as top:
        return clear(top, out_of_time)


def _clear_roots(fd: int, depth: int) -> None:
    """Empty the directories of root in a tree: runc creates missing places of mounts as root."""
    is_roots = os.fstat(fd).st_uid == 0
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if depth < MOST_DEPTH:
                    with _opened(fd, entry.name) as below:
                        _clear_roots(below, depth + 1)
                if is_roots:
                    os.rmdir(entry.name, dir_fd=fd)
            elif is_roots:
                os.unlink(entry.name, dir_fd=fd)


def clear(top: int, out_of_time: OutOfTime) -> bool:
    """Delete everything in an open directory; returns False if the time was not enough.

    Subdirectories are moved up to ``top`` before they are emptied, so depth does not matter.
    Raises OSError for the first entry that cannot be deleted; the others are deleted.
    """

    def delete(entry: os.DirEntry[str]) -> bool:
        if entry.is_dir(follow_symlinks=False):
            return _flatten(top, entry.name, out_of_time)
        os.unlink(entry.name, dir_fd=top)
        return True

    return _each(top, delete, out_of_time)


def _each(fd: int, delete: Callable[[os.DirEntry[str]], bool], out_of_time: OutOfTime) -> bool:
    """Delete the entries of a directory until there are none; False if the time was not enough."""
    stuck: dict[str, OSError] = {}
    is_done = False
    while not is_done:
        is_done = True
        with os.scandir(fd) as entries:
            for entry in entries:
                if entry.name in stuck:
                    continue
                is_done = False
                if out_of_time():
                    return False
                try:
                    if not delete(entry):
                        return False
                except FileNotFoundError:  # a job that runs has deleted it
                    continue
                except OSError as error:
                    stuck[entry.name] = error
                    if len(stuck) > MOST_STUCK:
                        raise
    if stuck:
        raise next(iter(stuck.values()))
    return True


def _flatten(top: int, name: str, out_of_time: OutOfTime) -> bool:
    """Delete the files of a directory, move its subdirectories to ``top``, and remove it."""
    with _opened(top, name) as fd:

        def delete(entry: os.DirEntry[str]) -> bool:
            if entry.is_dir(follow_symlinks=False):
                _move_up(fd, entry.name, top)
            else:
                os.unlink(entry.name, dir_fd=fd)
            return True

        if not _each(fd, delete, out_of_time):
            return False
    os.rmdir(name, dir_fd=top)
    return True


def _move_up(fd: int, name: str, top: int) -> None:
    """Move a directory to ``top``; an empty one is removed, which needs no right to change it."""
    with contextlib.suppress(OSError):
        os.rmdir(name, dir_fd=fd)
        return
    target = secrets.token_hex(16)
    try:
        os.rename(name, target, src_dir_fd=fd, dst_dir_fd=top)
    except PermissionError:  # a directory that moves must be writable itself: its `..` changes
        _allow(fd, name)
        os.rename(name, target, src_dir_fd=fd, dst_dir_fd=top)


@contextlib.contextmanager
def _opened(parent: int, name: str) -> Iterator[int]:
    """Yield an open directory, with the owner's rights to change it."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if status.st_uid == os.geteuid() and status.st_mode & 0o700 != 0o700:
        _allow(parent, name)
    fd = os.open(name, _FOLDER, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)


def _allow(parent: int, name: str) -> None:
    """Set a directory's mode to 0700, without following a symlink."""
    fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{fd}", 0o700)  # noqa: PTH101
    finally:
        os.close(fd)


def _at(root: int, name: str) -> str:
    return f"/proc/self/fd/{root}/{name}"
