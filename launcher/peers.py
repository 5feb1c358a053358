"""Who is at the other end of a unix socket, as the kernel saw it when it was connected."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

_UCRED = struct.Struct("iII")
"""struct ucred of unix(7). The ids are unsigned: there are uids above 2^31."""


class Peer(NamedTuple):
    """A process, with the ids that it had when it connected, or made the socket."""

    pid: int
    uid: int
    gid: int


def peer_of(connection: socket.socket) -> Peer:
    """Return who is at the other end (SO_PEERCRED); raises ``OSError``."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return Peer(*_UCRED.unpack(raw))
