"""The connections of the helper: the daemon's, and those of users' commands that join.

Messages are JSON objects, one per packet (SOCK_SEQPACKET). Only root can use the daemon's socket.
The other is open to users; the number and duration of each user's connections are limited.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from launcher.host.helper.polling import Poll
from launcher.listening import Acceptor, most_of_user
from launcher.peers import peer_of

log = logging.getLogger(__name__)

MOST_MESSAGE_BYTES = 4096
MOST_FILES = 6
MOST_CLIENTS = 1024
"""The maximum number of connections of the daemon, and of all users together."""
MOST_CONNECTIONS_OF_USER = 16
"""The maximum of one user. It is less while all users together have many (``most_of_user``)."""
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
        self._acceptors: list[Acceptor] = []

    def __len__(self) -> int:
        return len(self._open)

    def listen(self, listener: socket.socket, *, of_users: bool) -> None:
        """Accept connections on a socket, from users or from the daemon."""

        def watch(on: bool) -> None:
            if on:
                self._poll.add(listener.fileno(), accept)
            else:
                self._poll.remove(listener.fileno())

        def accept(_: int) -> None:
            if (accepted := acceptor.accept()) is not None:
                self._admit(accepted, peer_of(accepted).uid if of_users else None)

        acceptor = Acceptor(listener, watch, log.warning)
        self._acceptors.append(acceptor)

    def resume(self) -> None:
        """Accept connections again after a shortage of descriptors."""
        for acceptor in self._acceptors:
            acceptor.resume_if_due()

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

    def _admit(self, accepted: socket.socket, uid: int | None) -> None:
        """Add a connection, or close it if there is no room for it."""
        held = Counter(connection.uid for connection in self._open)
        free = MOST_CLIENTS - (held[None] if uid is None else held.total() - held[None])
        most = free if uid is None else most_of_user(MOST_CONNECTIONS_OF_USER, free)
        if (0 if uid is None else held[uid]) >= most:
            who = "the daemon" if uid is None else f"uid {uid}"
            text = f"{who} has {held[uid]} connections, and no more than {most} are allowed now"
            _refuse(accepted, {"error": f"{text}: try again later"})
            return
        connection = HelperConnection(accepted, uid)
        self._open.add(connection)
        self._poll.add(accepted.fileno(), lambda _: self._read(connection))

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


def _refuse(accepted: socket.socket, message: Message) -> None:
    """Close a connection with a message. An unread request would discard it (unix(7))."""
    accepted.setblocking(False)
    with accepted, contextlib.suppress(OSError):
        accepted.shutdown(socket.SHUT_RD)
        with contextlib.suppress(BlockingIOError):
            accepted.recv(MOST_MESSAGE_BYTES)
        accepted.send(json.dumps(message).encode())


def _error_reply(error: BaseException) -> Message:
    """Return the reply to a request that failed."""
    if not isinstance(error, OSError) or error.errno is None:
        return {"error": str(error)}
    place = f"{error.filename}: " if error.filename else ""
    return {"error": f"{place}{error.strerror}", "errno": error.errno, "place": error.filename}
