"""Starts a helper for a daemon without systemd. The helper outlives the daemon."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

from launcher.listening import listening

DAEMONS, USERS, RECORDS = "host.sock", "join.sock", "host-jobs"
"""File names of the daemon's socket, the users' socket and the records, beside the daemon's own."""
_HELPER = (sys.executable, "-P", "-m", "launcher.host")


def start(directory: Path) -> None:
    """Start a helper with both sockets in a directory; raises ``OSError``."""
    with contextlib.ExitStack() as stack:
        daemons = stack.enter_context(_bound(directory / DAEMONS, 0o600))
        users = stack.enter_context(_bound(directory / USERS, 0o666))
        log = os.open(directory / "host.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        stack.callback(os.close, log)
        fds = daemons.fileno(), users.fileno()
        arguments = ["--records", str(directory / RECORDS)]
        arguments += ["--daemons", str(fds[0]), "--users", str(fds[1])]
        subprocess.Popen(
            [*_HELPER, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=fds,
            start_new_session=True,
            cwd="/",
        )


def _bound(path: Path, mode: int) -> socket.socket:
    """Return a listening socket, in place of one that an earlier helper left."""
    path.unlink(missing_ok=True)
    return listening(str(path), mode, socket.SOCK_SEQPACKET)
