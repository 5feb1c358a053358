"""The daemon's connections: limits per user, and the closing of idle connections.

Connections are accepted here and not by asyncio: an excess connection is refused and closed with
one system call each, before a request is read or a task is created.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import resource
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from aiohttp import web

from launcher import __version__, wire
from launcher.daemon.loop.loop_time import LoopTime
from launcher.daemon.requests import convert
from launcher.daemon.users.rate_limits import Limiter
from launcher.errors import InternalError, LauncherError, UserError
from launcher.listening import Acceptor
from launcher.peers import peer_of
from launcher.serving.timed_connection import TimedConnection, serving

log = logging.getLogger(__name__)

AT_A_TIME = 8
"""Connections accepted in one turn of the event loop."""
BACKLOG = 512
FILES = 65536
"""Number of open files that the daemon requests from the system."""
RESERVED_FILES = 256
"""Files reserved for purposes other than connections."""
FOR_ROOT = 16
"""The part of the reserved files for root's connections."""


def most_connections() -> int:
    """Raise the limit of open files as far as possible; return the maximum of connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(soft - RESERVED_FILES, RESERVED_FILES) if soft != resource.RLIM_INFINITY else FILES


class JsonErrorHandler(web.RequestHandler):
    """Serves HTTP on one connection. Malformed HTTP gets the standard JSON error, without echo."""

    uid = -1
    time: LoopTime

    async def start(self) -> None:
        """Serve the requests one after another; the time is charged to the user."""
        await self.time.run(self.uid, super().start)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the reply to a request that reached no handler; it closes the connection."""
        plain = super().handle_error(request, status, exc, message)  # raises if a reply was started
        error: LauncherError = InternalError("the daemon failed; its log has the details")
        if plain.status < 500:
            error = UserError(
                "malformed request: not HTTP/1.1, or a line of it is longer than 8190 bytes"
            )
        return _in_json(plain.status, error)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a reply; aiohttp's own errors, such as for `Expect`, get the standard JSON error."""
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = _in_json(resp.status, UserError(f"{request.method}: {resp.reason}"))
        finish = super().finish_response
        return await self.time.run(self.uid, finish, request, resp, start_time)


def uid_of(request: web.BaseRequest) -> int:
    """Return the uid that the request's time is charged to."""
    assert isinstance(request.protocol, JsonErrorHandler)
    return request.protocol.uid


def _in_json(status: int, error: LauncherError) -> web.Response:
    """Return the standard error, after which the connection is closed."""
    reply = wire.ErrorReply(kind=error.kind, message=error.message)
    response = web.Response(
        status=status,
        body=convert.dump(wire.ErrorReply, reply),
        content_type="application/json",
        headers={"Launcher-Version": __version__},
    )
    response.force_close()
    return response


class Connection(TimedConnection):
    """One connection to aiohttp, whose processor time is charged to its user."""

    def __init__(self, connections: ConnectionManager, uid: int) -> None:
        self._served = connections.inner(uid)
        super().__init__(self._served)
        self._connections, self._uid = connections, uid

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timer for the first request."""
        super().connection_made(transport)
        self._connections.open[transport] = self
        self.expect(self._connections.limiter.limits.head_time)
        with self._connections.time.spent(self._uid):
            self._served.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection."""
        self.expect(None)
        if self.transport is not None:
            self._connections.open.pop(self.transport, None)
        self._connections.limiter.disconnected(self._uid)
        with self._connections.time.spent(self._uid):
            self._served.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass the data to aiohttp."""
        with self._connections.time.spent(self._uid):
            super().data_received(data)


class ConnectionManager:
    """All connections. ``most`` is the maximum of all users together.

    ``refused`` is called with the uid of every refused connection.
    """

    def __init__(
        self,
        limiter: Limiter,
        most: int | None = None,
        refused: Callable[[int], None] = lambda uid: None,
    ) -> None:
        self.limiter = limiter
        self.time = LoopTime(limiter.limits.loop_share)
        self.open: dict[asyncio.BaseTransport, Connection] = {}
        self.server: web.Server | None = None
        self.options: Mapping[str, Any] = {}
        """Options of aiohttp's request handler."""
        self.refused = refused
        self._most = most_connections() if most is None else most

    def inner(self, uid: int) -> asyncio.Protocol:
        """Return aiohttp's handler for one connection."""
        assert self.server is not None, "the site is started first"
        handler = JsonErrorHandler(self.server, loop=asyncio.get_running_loop(), **self.options)
        handler.uid, handler.time = uid, self.time
        return handler

    def serving(self, request: web.BaseRequest) -> AbstractContextManager[None]:
        """Stop the idle timer while a request is served, and restart it afterwards."""
        return serving(self.open, request, None, self.limiter.limits.idle_time)

    def admits(self, uid: int) -> bool:
        """Count a connection of a user; return False above the limit of the user or of all."""
        room = self._most + (FOR_ROOT if uid == 0 else 0)
        return len(self.open) < room and self.limiter.connected(uid)

    @functools.lru_cache(maxsize=64)  # noqa: B019 - one manager for the life of the daemon
    def refusal(self, uid: int) -> bytes:
        """Return the whole reply to a refused connection."""
        most = self.limiter.limits.connections
        reply = wire.ErrorReply(
            kind="too-many",
            message=f"uid {uid} connects too often: the limit is {most} connections at once"
            " ([limits] connections), and two for each of the requests_per_second",
            fix="End some of the commands that follow or wait; one `launch wait` takes many jobs.",
        )
        body = convert.dump(wire.ErrorReply, reply)
        lines = (
            "HTTP/1.1 429 Too Many Requests",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"Launcher-Version: {__version__}",
            "Retry-After: 1",
            "Connection: close",
        )
        return "\r\n".join([*lines, "", ""]).encode() + body


class Site(web.BaseSite):
    """Accepts connections on one listening socket, for one runner."""

    def __init__(
        self, runner: web.BaseRunner, listener: socket.socket, connections: ConnectionManager
    ) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._listener, self._connections = listener, connections
        self._opening: set[asyncio.Task[object]] = set()
        self._acceptor: Acceptor | None = None
        connections.server = runner.server

    @property
    def name(self) -> str:
        """The address of the socket."""
        return f"unix:{self._listener.getsockname()}"

    async def start(self) -> None:
        """Start accepting."""
        await super().start()
        self._listener.listen(BACKLOG)
        later = asyncio.get_running_loop().call_later
        self._acceptor = Acceptor(self._listener, self._watch, log.error, later)

    async def stop(self) -> None:
        """Stop accepting."""
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._listener.close()
        await super().stop()

    def _watch(self, on: bool) -> None:
        loop = asyncio.get_running_loop()
        if on:
            loop.add_reader(self._listener.fileno(), self._accept)
        else:
            loop.remove_reader(self._listener.fileno())

    def _accept(self) -> None:
        for _ in range(AT_A_TIME):
            assert self._acceptor is not None
            connection = self._acceptor.accept()
            if connection is None:
                return
            self._receive(connection)

    def _receive(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            uid = peer_of(connection).uid
        except OSError:
            connection.close()
            return
        if not self._connections.admits(uid):
            with connection, contextlib.suppress(OSError):
                connection.send(self._connections.refusal(uid))
            self._connections.refused(uid)
            return
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._connections.time.run(uid, self._open, connection, uid))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket, uid: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: Connection(self._connections, uid), connection
            )
        except OSError:
            self._connections.limiter.disconnected(uid)
            connection.close()
