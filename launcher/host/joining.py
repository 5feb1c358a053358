"""Moves a foreground job's command into its cgroup before it executes; the client's side."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket

from launcher.errors import LauncherError

SECONDS = 15.0
MOST_BYTES = 4096
_PR_SET_PDEATHSIG = 1


def join(path: str, token: str) -> None:
    """Have the helper move this process into the cgroup of the job with this token.

    Call it in the child that becomes the command. Raises ``LauncherError``.
    """
    try:
        reply = _request(path, {"token": token})
    except OSError as error:
        raise LauncherError(f"cannot join the job's cgroup at {path}: {error.strerror}") from error
    if "error" in reply:
        raise LauncherError(f"the job's cgroup refused this command: {reply['error']}")


def hang_up_with(parent: int) -> None:
    """Have the kernel send SIGHUP to this process once its parent ends (prctl(2)).

    It applies to the command that this process becomes. Raises ``ProcessLookupError`` if the
    parent has ended already.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, *map(ctypes.c_ulong, (signal.SIGHUP, 0, 0, 0))):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        raise ProcessLookupError(errno.ESRCH, "the client has ended")


def report(path: str, token: str, status: int) -> None:
    """Report the wait status of a command that joined; the kernel may know it if this fails."""
    with contextlib.suppress(OSError, ValueError):
        _request(path, {"token": token, "status": status})


def _request(path: str, message: dict[str, object]) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(SECONDS)
        connection.connect(path)
        with contextlib.suppress(BrokenPipeError):  # it was refused; the reply says why
            connection.send(json.dumps(message).encode())
        reply: dict[str, object] = json.loads(
            connection.recv(MOST_BYTES) or b'{"error": "it ended"}'
        )
    return reply
