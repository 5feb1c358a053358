"""A connection that passes all data to a protocol, and closes itself when its time is over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web


class TimedConnection(asyncio.Protocol):
    """One connection. ``inner`` is the protocol that is served, None for a refused connection."""

    def __init__(self, inner: asyncio.Protocol | None = None) -> None:
        self.inner = inner
        self.transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; whoever adds limits starts the timer and the inner protocol."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Pass the data on."""
        if self.inner is not None:
            self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass the end on."""
        return None if self.inner is None else self.inner.eof_received()

    def pause_writing(self) -> None:
        """Pass the call on."""
        if self.inner is not None:
            self.inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass the call on."""
        if self.inner is not None:
            self.inner.resume_writing()

    def expect(self, seconds: float | None) -> None:
        """Close the connection after ``seconds`` unless called again; None stops the timer."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if seconds is None else loop.call_later(seconds, self._close)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


Connections = Mapping[asyncio.BaseTransport, TimedConnection]


def connection_of(connections: Connections, request: web.BaseRequest) -> TimedConnection | None:
    """Return the connection of a request, None once it is closed."""
    return connections.get(request.transport) if request.transport is not None else None


@contextlib.contextmanager
def serving(
    connections: Connections, request: web.BaseRequest, during: float | None, afterwards: float
) -> Iterator[None]:
    """Give a request its time in seconds (None: any), and the client its time until the next."""
    connection = connection_of(connections, request)
    if connection is not None:
        connection.expect(during)
    try:
        yield
    finally:
        if connection is not None and request.transport is not None:
            connection.expect(afterwards)
