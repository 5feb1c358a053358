"""Starts a helper for a daemon without systemd. The helper outlives the daemon."""

from __future__ import annotations

import socket
from pathlib import Path

from launcher import companion
from launcher.listening import bound

DAEMONS, USERS, RECORDS = "host.sock", "join.sock", "host-jobs"
"""File names of the daemon's socket, the users' socket and the records, beside the daemon's own."""


def start(directory: Path) -> None:
    """Start a helper with both sockets in a directory; raises ``OSError``."""
    with (
        bound(directory / DAEMONS, 0o600, socket.SOCK_SEQPACKET) as daemons,
        bound(directory / USERS, 0o666, socket.SOCK_SEQPACKET) as users,
    ):
        words = ["--records", str(directory / RECORDS)]
        words += ["--daemons", str(daemons.fileno()), "--users", str(users.fileno())]
        companion.start("launcher.host", words, [daemons, users], directory / "host.log")
