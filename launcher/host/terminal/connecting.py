"""The daemon's connections to the terminal of a host job."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys

from launcher.peers import peer_of

WRITE, WATCH, TAKE, SIZE = b"w", b"r", b"t", b"s"
"""What a connection is for: its first byte. After SIZE come rows and columns (``SIZE_FORMAT``)."""
SIZE_FORMAT = struct.Struct("=HH")
GRANTED, BUSY = b"+", b"-"
"""The answer to WRITE and TAKE: the connection writes, or another one does and this one is over."""
SECONDS = 5.0


def address(name: str) -> str:
    """Return the abstract address of a job's terminal; ``name`` is that of its attempt."""
    return f"\0launcher-terminal-{name}"


def words(name: str, command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words that run a command in a terminal of its own."""
    return (sys.executable, "-P", "-m", "launcher.host.terminal.server", name, "--", *command)


def connect(name: str, uid: int, purpose: bytes) -> socket.socket:
    """Return a connection to a job's terminal; raises ``OSError``, also if it is not the user's.

    Anybody could listen at an abstract address.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(SECONDS)
        connection.connect(address(name))
        if peer_of(connection).uid != uid:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        connection.sendall(purpose)
    except BaseException:
        connection.close()
        raise
    return connection


def writes(connection: socket.socket) -> bool:
    """Return whether a connection that asked to write may; else it is over."""
    return connection.recv(1) == GRANTED


def resize(name: str, uid: int, rows: int, columns: int) -> None:
    """Set the size of a job's terminal; raises ``OSError``."""
    connect(name, uid, SIZE + SIZE_FORMAT.pack(rows, columns)).close()
