"""Runs ``opening`` in a child that becomes the user, and receives the files it opens.

A file server that is gone blocks the child, not the helper: an opening has a time limit, then the
child is killed. A child that still hangs in the kernel keeps a slot of its user (``slots``).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import NoReturn

from launcher.errors import LauncherError, PinRefused, PinsUnavailable
from launcher.mount_helper import frames
from launcher.mount_helper.opening import become, open_mount
from launcher.mount_helper.slots import Slot, Slots
from launcher.mount_helper.values import MountRequest, User

_MOST_BYTES = 64 * 1024
_END_SECONDS = 1.0


@contextlib.contextmanager
def opened(
    user: User, mounts: Sequence[MountRequest], seconds: float, slots: Slots
) -> Iterator[list[int]]:
    """Yield an O_PATH file for each mount, opened as the user within ``seconds`` each.

    Raises ``PinRefused`` for a mount that is forbidden, missing, or does not answer.
    """
    files: list[int] = []
    try:
        with slots.taken(user.uid, seconds) as slot:
            _open(user, mounts, seconds, slot, files)
        yield files
    finally:
        for fd in files:
            os.close(fd)


def _open(
    user: User, mounts: Sequence[MountRequest], seconds: float, slot: Slot, files: list[int]
) -> None:
    """Append a file for each mount to ``files``; the child holds the slot until it ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _open_all(parent, theirs, slot.fd, user, mounts)
    theirs.close()
    try:
        ours.settimeout(seconds)
        files.extend(_taken(ours, mount) for mount in mounts)
    finally:
        _end(child, ours, slot)


def _taken(ours: socket.socket, mount: MountRequest) -> int:
    """Receive the next file from the child."""
    try:
        message, files, _, _ = socket.recv_fds(ours, _MOST_BYTES, 1)
    except TimeoutError:
        raise PinRefused(
            f"{mount}: does not answer within {ours.gettimeout():g} s",
            fix="A file server may be down: run `ls` on that path.",
        ) from None
    if message and not files:
        raise frames.error_of(frames.decoded(message))
    if not files:
        raise PinsUnavailable(f"{mount}: the process that opened it ended")
    return files[0]


def _end(child: int, ours: socket.socket, slot: Slot) -> None:
    """Kill the child and wait for it; if it hangs in the kernel, mark the slot instead."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with ours:
        ours.settimeout(_END_SECONDS)
        try:
            while ours.recv(_MOST_BYTES):
                pass
        except TimeoutError:
            slot.hangs()
            return
        except ConnectionResetError:
            pass
        os.waitpid(child, 0)


def _open_all(
    parent: int, theirs: socket.socket, slot: int, user: User, mounts: Sequence[MountRequest]
) -> NoReturn:
    """Send a file for each mount, or the error that stopped it; runs in the child."""
    try:
        _close_all_but(theirs.fileno(), slot)
        become(user)
        if os.getppid() != parent:  # the parent ended before PR_SET_PDEATHSIG was set
            os._exit(1)
        for mount in mounts:
            fd = open_mount(mount)
            socket.send_fds(theirs, [b"{}"], [fd])
            os.close(fd)
    except LauncherError as refused:
        theirs.send(frames.encoded(frames.error_fields(refused)))
    except BaseException:
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(0)


def _close_all_but(*allowed: int) -> None:
    """Close the helper's files in the child: its connections and its directory."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(name) > 2 and int(name) not in allowed:
            with contextlib.suppress(OSError):
                os.close(int(name))
