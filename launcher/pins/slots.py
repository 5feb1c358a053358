"""How many openings of one user may be under way: one that hangs in the kernel cannot be ended.

A slot is a locked byte of a file in memory. The process that opens holds the lock (fcntl(2), open
file description locks), so the kernel gives the slot back when that process is gone, however it
ended and whoever started it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import time
from collections.abc import Iterator

from launcher.errors import PinRefused

MOST = 4
WAIT_SECONDS = 2.0
"""Openings that do not hang are over by then."""
_POLL_SECONDS = 0.01


class Slots:
    """The slots of all users, shared by the processes that are forked from this one."""

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self._fd = os.memfd_create("openings")
        self._wait_seconds = wait_seconds

    @contextlib.contextmanager
    def taken(self, uid: int) -> Iterator[int]:
        """Lend a file that holds a slot of a user: a child that keeps it open keeps the slot.

        Raises ``PinRefused`` where the user has none left after a while.
        """
        fd = os.open(f"/proc/self/fd/{self._fd}", os.O_RDWR | os.O_CLOEXEC)
        try:
            end = time.monotonic() + self._wait_seconds
            while not any(_locked(fd, uid * MOST + number) for number in range(MOST)):
                if time.monotonic() > end:
                    raise PinRefused(
                        f"{MOST} mounts of uid {uid} that were asked for earlier still do not "
                        "answer",
                        fix="A file server may be down. Try again when it answers.",
                    )
                time.sleep(_POLL_SECONDS)
            yield fd
        finally:
            os.close(fd)


def _locked(fd: int, byte: int) -> bool:
    """Lock one byte for an open file description, if it is free."""
    lock = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lock)
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES
        return False
    return True
