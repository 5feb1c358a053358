"""Relays bytes between one of Docker's hijacked streams and the client that is attached to it.

The stream passes unchanged: raw for a terminal, else in Docker's frames (``engine.stream_frames``).
"""

from __future__ import annotations

import contextlib
import select
import selectors
import socket
import time
from collections.abc import Callable

from launcher.wire.docker_stream import WholeFrames

PIECE_BYTES = 1 << 16
MOST_PENDING_BYTES = 1 << 18
"""With so much to send to one side, the other one is not read."""
HOLD_SECONDS = 5.0
"""Output of a container waits this long for the first client; then only its log has it."""


class Side:
    """One of the two sockets, and the bytes that are still to be sent to it."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.pending = bytearray()
        self.events = 0
        self.is_read_out = False
        """Whether it has sent all it will ever send."""

    def send(self, data: bytes) -> None:
        """Send at once what the socket takes, keep the rest; raises ``OSError`` if it is closed."""
        self.pending += data
        if not self.pending:
            return
        with contextlib.suppress(BlockingIOError):
            del self.pending[: self.connection.send(self.pending)]


def is_gone(connection: socket.socket) -> bool:
    """Whether the other end is closed in both directions, not only for sending (unix(7))."""
    poll = select.poll()
    poll.register(connection, 0)
    return bool(poll.poll(0))


class Relay:
    """A stream of Docker's, and its client, if one is attached.

    With ``stays`` the stream survives its clients: what comes while there is none is dropped, but
    if it ``waits`` it is held back for a first client for at most HOLD_SECONDS.
    A ``lossy`` one drops what its client does not take in time, so that it delays nobody; with
    ``framed`` only whole frames.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        stream: socket.socket,
        uid: int,
        ended: Callable[[Relay], None],
        *,
        stays: bool = False,
        waits: bool = False,
        lossy: bool = False,
        framed: bool = False,
    ) -> None:
        self._selector, self._ended = selector, ended
        self._stream, self._client = Side(stream), None
        self._stays, self._lossy = stays, lossy
        self._frames = WholeFrames() if lossy and framed else None
        self._input = False
        self.uid = uid
        self.active_at = time.monotonic()
        """When something was typed or printed, or the client left."""
        self.held_until = self.active_at + HOLD_SECONDS if waits else 0.0
        self._register()

    _client: Side | None

    @property
    def has_client(self) -> bool:
        """Whether a client is attached."""
        return self._client is not None

    @property
    def can_write(self) -> bool:
        """Whether a client may still send something to the container."""
        return not self._input or (self._client is not None and not self._client.is_read_out)

    def join(self, connection: socket.socket, head: bytes, *, sends: bool) -> None:
        """Attach a client: it gets ``head``, then the stream; with ``sends`` it may write."""
        self._client, self._input = Side(connection), sends
        self._client.pending += head
        self.held_until, self.active_at = 0.0, time.monotonic()
        self._turn()

    def leave(self) -> None:
        """Part with the client; the stream stays, or ends as well."""
        if self._client is not None:
            self._forget(self._client)
            self._client, self._input = None, False
            self._stream.pending.clear()
            self.active_at = time.monotonic()
        if self._stays and not self._stream.is_read_out:
            self._register()
        else:
            self.close()

    def part_from_gone(self) -> None:
        """Part with a client that closed its connection, once its input is passed on.

        After the end of its input only sending shows that, so a silent command would keep it. Of
        another one it may be known a moment later than a new client comes.
        """
        client = self._client
        while client is not None and self._client is client and not self._stream.pending:
            if not is_gone(client.connection):
                return
            if client.is_read_out:
                self.leave()
            else:
                self._turn()

    def close(self) -> None:
        """Close both sides."""
        for side in filter(None, (self._client, self._stream)):
            self._forget(side)
        self._client = None
        self._ended(self)

    def release(self, now: float) -> None:
        """Stop waiting for a first client when its time is over."""
        if self.held_until and now >= self.held_until:
            self.held_until = 0.0
            self._register()

    def _turn(self) -> None:
        """Move one piece each way, as far as the sockets take it."""
        self._move_output()
        if self._client is None:
            if self._stream.connection.fileno() >= 0:
                self._register()
            return
        try:
            self._move_input(self._client)
        except OSError:
            self.leave()
            return
        if self._stream.is_read_out and not self._client.pending:
            self.close()
            return
        self._register()

    def _move_output(self) -> None:
        """Read what the container prints, and pass it on."""
        client = self._client
        data = b""
        if not self._stream.is_read_out and self._may_read():
            with contextlib.suppress(BlockingIOError):
                data = self._read_stream()
                self._stream.is_read_out = not data
        if data:
            self.active_at = time.monotonic() if client is not None else self.active_at
        if client is None:
            if self._stream.is_read_out:
                self.close()
            return
        too_slow = len(client.pending) > MOST_PENDING_BYTES
        if self._frames is not None:
            data = self._frames.passed(data, too_slow=too_slow)
        elif self._lossy and too_slow:
            data = b""
        try:
            client.send(data)
        except OSError:  # it is gone, but what it sent before is still to be read
            client.pending.clear()
            if client.is_read_out:
                self.leave()

    def _read_stream(self) -> bytes:
        """Return the next output; a stream that broke has come to its end."""
        try:
            return self._stream.connection.recv(PIECE_BYTES)
        except BlockingIOError:
            raise
        except OSError:
            return b""

    def _may_read(self) -> bool:
        if self._client is None:
            return not self.held_until
        return self._lossy or len(self._client.pending) <= MOST_PENDING_BYTES

    def _move_input(self, client: Side) -> None:
        """Read what the client sends, and pass it on if it may write."""
        stream = self._stream
        data = b""
        if not client.is_read_out and len(stream.pending) <= MOST_PENDING_BYTES:
            with contextlib.suppress(BlockingIOError):
                data = client.connection.recv(PIECE_BYTES)
                if not data and is_gone(client.connection):
                    raise ConnectionResetError
                client.is_read_out = not data
        if not self._input:
            return
        if data:
            self.active_at = time.monotonic()
        try:
            stream.send(data)
        except OSError:  # the container takes no more, but its last output may still be on its way
            stream.pending.clear()
            self._input = False
            return
        if client.is_read_out and not stream.pending and not stream.is_read_out:
            with contextlib.suppress(OSError):
                stream.connection.shutdown(socket.SHUT_WR)

    def _register(self) -> None:
        """Wait for what the next turn can move."""
        stream, client = self._stream, self._client
        read = 0 if stream.is_read_out or not self._may_read() else selectors.EVENT_READ
        self._await(stream, read | (selectors.EVENT_WRITE if stream.pending else 0))
        if client is not None:
            full = len(stream.pending) > MOST_PENDING_BYTES
            read = 0 if client.is_read_out or full else selectors.EVENT_READ
            self._await(client, read | (selectors.EVENT_WRITE if client.pending else 0))

    def _await(self, side: Side, events: int) -> None:
        if events == side.events:
            return
        if not side.events:
            self._selector.register(side.connection, events, self._turn)
        elif not events:
            self._selector.unregister(side.connection)
        else:
            self._selector.modify(side.connection, events, self._turn)
        side.events = events

    def _forget(self, side: Side) -> None:
        self._await(side, 0)
        side.connection.close()
