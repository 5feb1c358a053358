"""Listening unix sockets, which have their mode from the first instant on."""

from __future__ import annotations

import os
import socket

BACKLOG = 128


def listening(
    path: str, mode: int, kind: socket.SocketKind = socket.SOCK_STREAM, backlog: int = BACKLOG
) -> socket.socket:
    """Return a socket that listens at a path where nothing is yet; raises ``OSError``."""
    listener = socket.socket(socket.AF_UNIX, kind)
    before = os.umask(0o777 & ~mode)
    try:
        listener.bind(path)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener
