"""Connections of the web service: how many, from where, and for how long."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import socket
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from aiohttp import web

from launcher.serving.timed_connection import TimedConnection, connection_of, serving
from launcher.web import bounds
from launcher.web.headers import HEADERS, text_reply


class WebErrorHandler(web.RequestHandler):
    """Serves HTTP on one connection. Malformed HTTP gets a plain reply, without echo."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the reply to a request that reached no handler; it closes the connection."""
        plain = super().handle_error(request, status, exc, message)  # raises if a reply was started
        text = "This request is not valid HTTP/1.1, or too long."
        if plain.status >= 500:
            text = "The web service failed; its log has the details."
        response = text_reply(plain.status, text)
        response.headers.update(HEADERS)
        response.force_close()
        return response


class WebConnection(TimedConnection):
    """One connection to aiohttp; it has no inner protocol if it is refused."""

    def __init__(self, connections: WebConnections) -> None:
        super().__init__()
        self._connections = connections
        self._address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timer for the first request, or refuse the connection."""
        super().connection_made(transport)
        self._address = network_of(transport.get_extra_info("peername"))
        if not self._connections.admit(self._address):
            assert self.transport is not None
            self.transport.write(refusal())
            self.transport.close()
            self.expect(bounds.LINGER_SECONDS)
            return
        self._connections.open[transport] = self
        self.inner = self._connections.inner()
        self.expect(bounds.HEAD_SECONDS)
        self.inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection."""
        self.expect(None)
        if self.inner is not None and self.transport is not None:
            self._connections.open.pop(self.transport, None)
            self._connections.leave(self._address)
            self.inner.connection_lost(exc)


class WebConnections:
    """All connections. ``most`` and ``per_address`` are their largest numbers."""

    def __init__(
        self,
        most: int = bounds.MOST_CONNECTIONS,
        per_address: int = bounds.MOST_PER_ADDRESS,
    ) -> None:
        self.open: dict[asyncio.BaseTransport, WebConnection] = {}
        self.server: web.Server | None = None
        self.options: Mapping[str, Any] = {}
        """Options of aiohttp's request handler."""
        self._most, self._per_address = most, per_address
        self._by_address: Counter[str] = Counter()

    def inner(self) -> asyncio.Protocol:
        """Return aiohttp's handler for one connection."""
        assert self.server is not None, "the site is started first"
        return WebErrorHandler(self.server, loop=asyncio.get_running_loop(), **self.options)

    def admit(self, address: str) -> bool:
        """Count a connection from an address ('' for loopback); return False above the limits."""
        if self._by_address.total() >= self._most:
            return False
        if address and self._by_address[address] >= self._per_address:
            return False
        self._by_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Stop counting a connection."""
        self._by_address[address] -= 1
        if self._by_address[address] <= 0:
            del self._by_address[address]

    def expect(self, request: web.BaseRequest, seconds: float) -> None:
        """Give a request that stays open more time from now on."""
        connection = connection_of(self.open, request)
        if connection is not None:
            connection.expect(seconds)

    def serving(self, request: web.BaseRequest) -> AbstractContextManager[None]:
        """Give a request its time, and the connection the time until the next one afterwards."""
        return serving(self.open, request, bounds.REQUEST_SECONDS, bounds.IDLE_SECONDS)


def network_of(peer: Any) -> str:
    """Return the address that a connection counts for; '' for loopback.

    >>> network_of(("192.0.2.7", 4711)), network_of(("2001:db8::1:2", 1, 0, 0))
    ('192.0.2.7', '2001:db8::/64')
    """
    try:
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    except (ValueError, TypeError, IndexError):
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return str(address)


@functools.cache
def refusal() -> bytes:
    """Return the whole reply to a refused connection."""
    body = b"Too many connections are open: try again in a moment.\n"
    lines = ["HTTP/1.1 503 Service Unavailable", "Content-Type: text/plain; charset=utf-8"]
    lines += [f"Content-Length: {len(body)}", "Retry-After: 1", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in HEADERS.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class WebSite(web.BaseSite):
    """Accepts connections on one listening socket, for one runner."""

    def __init__(
        self, runner: web.BaseRunner, listener: socket.socket, connections: WebConnections
    ) -> None:
        super().__init__(runner, backlog=bounds.BACKLOG)
        self._listener, self._connections = listener, connections
        connections.server = runner.server

    @property
    def name(self) -> str:
        """The address of the socket."""
        host, port = self._listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """Start accepting."""
        await super().start()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: WebConnection(self._connections), sock=self._listener, backlog=bounds.BACKLOG
        )
