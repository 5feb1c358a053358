"""The connections of the helper: the daemon's, and those of users' commands that join.

Messages are JSON objects, one per packet (SOCK_SEQPACKET). Only root can use the daemon's socket.
The other is open to users; the number and duration of each user's connections are limited.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from launcher.host.helper.polling import Call, Poll
from launcher.peers import peer_of

log = logging.getLogger(__name__)

MOST_MESSAGE_BYTES = 4096
MOST_FILES = 6
MOST_CLIENTS = 1024
MOST_CONNECTIONS_OF_USER = 16
JOIN_SECONDS = 10.0
"""A connected command must send its token within this time."""

Message = Mapping[str, Any]


class HelperConnection:
    """One connection; ``uid`` is None for the daemon's."""

    def __init__(self, connection: socket.socket, uid: int | None) -> None:
        connection.setblocking(False)
        self.socket, self.uid = connection, uid
        self.until = time.monotonic() + JOIN_SECONDS if uid is not None else None
        self.waits_for: str | None = None
        """The job whose start or end is reported on this connection."""


Reply = Callable[[HelperConnection, dict[str, Any], list[int]], Message | None]
"""Returns the reply to a request with these files; None if the reply comes later."""


class Connections:
    """Accepts connections, reads their requests and sends the replies."""

    def __init__(self, poll: Poll, reply: Reply, left: Callable[[HelperConnection], None]) -> None:
        """``left`` is called with each connection that has closed."""
        self._poll, self._reply, self._left = poll, reply, left
        self._open: set[HelperConnection] = set()

    def __len__(self) -> int:
        return len(self._open)

    def listen(self, listener: socket.socket, *, of_users: bool) -> None:
        """Accept connections on a socket, from users or from the daemon."""
        listener.setblocking(False)
        self._poll.add(listener.fileno(), self._acceptor(listener, of_users))

    def is_open(self, connection: HelperConnection) -> bool:
        """Whether the other side is still connected."""
        return connection in self._open

    def waiting_for(self, name: str) -> list[HelperConnection]:
        """Return the connections that wait for a job."""
        return [connection for connection in self._open if connection.waits_for == name]

    def send(self, connection: HelperConnection, message: Message) -> None:
        """Send a message."""
        try:
            connection.socket.send(json.dumps(message).encode())
        except OSError:  # the other side does not read; then it does not need the message
            self._leave(connection)

    def send_to_waiting(self, name: str, message: Message) -> None:
        """Send a reply to all connections that wait for a job."""
        for connection in self.waiting_for(name):
            connection.waits_for = None
            self.send(connection, message)

    def drop_overdue(self) -> None:
        """Close the connections of users that have not sent their token in time."""
        now = time.monotonic()
        for connection in list(self._open):
            if connection.until is not None and connection.until < now:
                self._leave(connection)

    def _acceptor(self, listener: socket.socket, of_users: bool) -> Call:
        def accept(_: int) -> None:
            try:
                accepted = listener.accept()[0]
            except OSError as error:
                log.warning("cannot accept a connection: %s", error)
                return
            uid = peer_of(accepted).uid if of_users else None
            held = Counter(connection.uid for connection in self._open)
            most = MOST_CLIENTS if uid is None else MOST_CONNECTIONS_OF_USER
            if held[uid] >= most or len(self._open) >= MOST_CLIENTS:
                accepted.close()
                return
            connection = HelperConnection(accepted, uid)
            self._open.add(connection)
            self._poll.add(accepted.fileno(), lambda _: self._read(connection))

        return accept

    def _read(self, connection: HelperConnection) -> None:
        try:
            data, files, _, _ = socket.recv_fds(connection.socket, MOST_MESSAGE_BYTES, MOST_FILES)
        except BlockingIOError:
            return
        except OSError:
            data, files = b"", []
        if data:
            self.answer(connection, lambda: self._reply(connection, json.loads(data), files))
        else:
            self._leave(connection)
        for fd in files:
            os.close(fd)

    def answer(self, connection: HelperConnection, reply: Callable[[], Message | None]) -> None:
        """Send what ``reply`` returns, or the error that it raises; nothing for None."""
        try:
            message = reply()
        except (OSError, ValueError, KeyError, TypeError) as error:
            if connection.uid is None:
                log.warning("a request failed: %s", error)
            message = _error_reply(error)
        if message is not None:
            self.send(connection, message)

    def _leave(self, connection: HelperConnection) -> None:
        if connection not in self._open:
            return
        self._open.discard(connection)
        self._poll.remove(connection.socket.fileno())
        connection.socket.close()
        self._left(connection)


def _error_reply(error: BaseException) -> Message:
    """Return the reply to a request that failed."""
    if not isinstance(error, OSError) or error.errno is None:
        return {"error": str(error)}
    place = f"{error.filename}: " if error.filename else ""
    return {"error": f"{place}{error.strerror}", "errno": error.errno, "place": error.filename}
