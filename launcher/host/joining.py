"""A foreground job's command joins its cgroup before it executes: what the client does for that."""

from __future__ import annotations

import contextlib
import json
import socket

from launcher.errors import LauncherError

SECONDS = 15.0
MOST_BYTES = 4096


def join(path: str, token: str) -> None:
    """Have this process moved into the cgroup of the job that waits for it.

    To be called in the child that becomes the command. Raises ``LauncherError``.
    """
    try:
        reply = _ask(path, {"token": token})
    except OSError as error:
        raise LauncherError(f"cannot join the job's cgroup at {path}: {error.strerror}") from error
    if "error" in reply:
        raise LauncherError(f"the job's cgroup refused this command: {reply['error']}")


def report(path: str, token: str, status: int) -> None:
    """Tell the wait status of a command that joined; where that fails the kernel may know it."""
    with contextlib.suppress(OSError, ValueError):
        _ask(path, {"token": token, "status": status})


def _ask(path: str, message: dict[str, object]) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(SECONDS)
        connection.connect(path)
        connection.send(json.dumps(message).encode())
        reply: dict[str, object] = json.loads(
            connection.recv(MOST_BYTES) or b'{"error": "it ended"}'
        )
    return reply
