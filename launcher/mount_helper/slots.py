"""Limits how many openings of one user run at once: one that hangs cannot be ended.

A slot is a locked byte of a file in memory, and a second one once its opening hangs. The process
that opens holds both locks (fcntl(2), open file description locks), so the kernel frees the slot
when that process ends, for whatever reason.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from launcher.errors import PinRefused
from launcher.mount_helper.values import MOST_OPENINGS as MOST

_HANGING = 1 << 40
"""Offset of the bytes for openings that hang: above those of every uid."""
_POLL_SECONDS = 0.01
_FLOCK = "hhqqi0q"


@dataclass(frozen=True, slots=True)
class Slot:
    """One opening of a user. The slot is taken until every process closes ``fd``."""

    fd: int
    byte: int

    def hangs(self) -> None:
        """Record that the opening still runs after its time limit."""
        _lock(self.fd, _HANGING + self.byte)


class Slots:
    """The slots of all users, shared by the processes forked from this one."""

    def __init__(self) -> None:
        self._fd = os.memfd_create("openings")

    @contextlib.contextmanager
    def taken(self, uid: int, seconds: float) -> Iterator[Slot]:
        """Yield a slot of a user once one is free.

        Raises ``PinRefused`` if all of the user's openings hang, or none ends within ``seconds``.
        """
        fd = os.open(f"/proc/self/fd/{self._fd}", os.O_RDWR | os.O_CLOEXEC)
        try:
            yield Slot(fd, _free(fd, uid, time.monotonic() + seconds))
        finally:
            os.close(fd)


def _free(fd: int, uid: int, end: float) -> int:
    """Lock one of a user's bytes and return its number."""
    own = range(uid * MOST, (uid + 1) * MOST)
    while True:
        for byte in own:
            if _lock(fd, byte):
                return byte
        if time.monotonic() > end or all(_is_locked(fd, _HANGING + byte) for byte in own):
            raise PinRefused(
                f"{MOST} earlier mounts of uid {uid} still do not answer",
                fix="A file server may be down. Try again when it answers.",
            )
        time.sleep(_POLL_SECONDS)


def _lock(fd: int, byte: int) -> bool:
    """Lock one byte for an open file description; return False if it is taken."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock(byte))
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES
        return False
    return True


def _is_locked(fd: int, byte: int) -> bool:
    """Whether another open file description has locked a byte."""
    result = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _flock(byte))
    return bool(struct.unpack_from("h", result)[0] != fcntl.F_UNLCK)


def _flock(byte: int) -> bytes:
    return struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
