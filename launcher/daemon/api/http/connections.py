"""The connections of the daemon: limits by user, and the closing of idle connections.

Connections are accepted here and not by asyncio: a user that has too many is told so and gone
within one system call each, before a request is read or a task is created.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import resource
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aiohttp import web

from launcher import __version__, wire
from launcher.daemon.loop.loop_time import LoopTime
from launcher.daemon.requests import convert
from launcher.daemon.users.rate_limits import Limiter
from launcher.errors import InternalError, LauncherError, UserError
from launcher.peers import peer_of

log = logging.getLogger(__name__)

AT_A_TIME = 8
"""So many are accepted before the loop does something else."""
BACKLOG = 512
FILES = 65536
"""As many files as the daemon may have open, if the system lets it."""
KEPT_FILES = 256
"""Of them so many are not for connections; the last of those are for root."""
FOR_ROOT = 16
TIRED_SECONDS = 1.0
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def most_connections() -> int:
    """Raise the limit of open files as far as that goes; return how many connections may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(soft - KEPT_FILES, KEPT_FILES) if soft != resource.RLIM_INFINITY else FILES


class JsonErrorHandler(web.RequestHandler):
    """Speaks HTTP with one guest: what is none is refused as all is refused, and not sent back."""

    uid = -1
    time: LoopTime

    async def start(self) -> None:
        """Serve one request after the other, at the guest's expense."""
        await self.time.run(self.uid, super().start)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what no handler has seen; the connection is closed after it."""
        plain = super().handle_error(request, status, exc, message)  # raises if one has begun
        error: LauncherError = InternalError("the daemon failed; its log has the details")
        if plain.status < 500:
            error = UserError(
                "malformed request: not HTTP/1.1, or a line of it is longer than 8190 bytes"
            )
        return _in_json(plain.status, error)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; a refusal of aiohttp's own, such as of `Expect`, as every refusal is."""
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = _in_json(resp.status, UserError(f"{request.method}: {resp.reason}"))
        finish = super().finish_response
        return await self.time.run(self.uid, finish, request, resp, start_time)


def uid_of(request: web.BaseRequest) -> int:
    """Return whose time a request takes: the uid that its connection is counted for."""
    assert isinstance(request.protocol, JsonErrorHandler)
    return request.protocol.uid


def _in_json(status: int, error: LauncherError) -> web.Response:
    """Return the standard error, after which the connection is closed."""
    reply = wire.ErrorReply(kind=error.kind, message=error.message)
    answer = web.Response(
        status=status,
        body=convert.dump(wire.ErrorReply, reply),
        content_type="application/json",
        headers={"Launcher-Version": __version__},
    )
    answer.force_close()
    return answer


class Connection(asyncio.Protocol):
    """One connection: passes everything on to aiohttp, and keeps the time meanwhile."""

    def __init__(self, connections: ConnectionManager, uid: int) -> None:
        self._connections, self._uid = connections, uid
        self._inner: asyncio.Protocol = connections.inner(uid)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the first request has to come."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.guests[transport] = self
        self.expect(self._connections.limiter.limits.head_time)
        with self._connections.time.spent(self._uid):
            self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more."""
        self.expect(None)
        if self._transport is not None:
            self._connections.guests.pop(self._transport, None)
        self._connections.limiter.disconnected(self._uid)
        with self._connections.time.spent(self._uid):
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        with self._connections.time.spent(self._uid):
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Pass it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._inner.resume_writing()

    def expect(self, seconds: float | None) -> None:
        """Leave after so many seconds, unless told otherwise before; None stays."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if seconds is None else loop.call_later(seconds, self._leave)

    def _leave(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class ConnectionManager:
    """Everybody who is connected. ``most`` connections of all users together are let in."""

    def __init__(self, limiter: Limiter, most: int | None = None) -> None:
        self.limiter = limiter
        self.time = LoopTime(limiter.limits.loop_share)
        self.guests: dict[asyncio.BaseTransport, Connection] = {}
        self.server: web.Server | None = None
        self.options: Mapping[str, Any] = {}
        """How aiohttp is to speak with guests."""
        self.refused: Callable[[int], None] = lambda uid: None
        """Is told of every uid that was not let in."""
        self._most = most_connections() if most is None else most

    def inner(self, uid: int) -> asyncio.Protocol:
        """Return what speaks HTTP with one guest."""
        assert self.server is not None, "the site is started first"
        spoken = JsonErrorHandler(self.server, loop=asyncio.get_running_loop(), **self.options)
        spoken.uid, spoken.time = uid, self.time
        return spoken

    @contextlib.contextmanager
    def serving(self, request: web.BaseRequest) -> Iterator[None]:
        """While a request is served its guest need not send anything; then the next has to come."""
        guest = self.guests.get(request.transport) if request.transport is not None else None
        if guest is not None:
            guest.expect(None)
        try:
            yield
        finally:
            if guest is not None and request.transport is not None:
                guest.expect(self.limiter.limits.idle_time)

    def lets_in(self, uid: int) -> bool:
        """Count a connection of a user; False if the user, or all together, have too many."""
        room = self._most + (FOR_ROOT if uid == 0 else 0)
        return len(self.guests) < room and self.limiter.connected(uid)

    @functools.lru_cache(maxsize=64)  # noqa: B019 - there is one house, as long as the daemon
    def refusal(self, uid: int) -> bytes:
        """Return the whole answer to a connection that is not let in."""
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
    """Accepts on one listening socket, for one runner."""

    def __init__(
        self, runner: web.BaseRunner, listener: socket.socket, connections: ConnectionManager
    ) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._listener, self._connections = listener, connections
        self._opening: set[asyncio.Task[object]] = set()
        connections.server = runner.server

    @property
    def name(self) -> str:
        """Where it listens."""
        return f"unix:{self._listener.getsockname()}"

    async def start(self) -> None:
        """Begin to accept."""
        await super().start()
        self._listener.setblocking(False)
        self._listener.listen(BACKLOG)
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    async def stop(self) -> None:
        """Accept nobody any more."""
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._listener.close()
        await super().stop()

    def _accept(self) -> None:
        for _ in range(AT_A_TIME):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                self._rest(error)
                return
            self._receive(connection)

    def _rest(self, error: OSError) -> None:
        """Accept nobody for a moment: the system has no more files for us."""
        log.error("cannot accept connections: %s", error.strerror)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener.fileno())
        loop.call_later(TIRED_SECONDS, self._go_on)

    def _go_on(self) -> None:
        if self._listener.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def _receive(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            uid = peer_of(connection).uid
        except OSError:
            connection.close()
            return
        if not self._connections.lets_in(uid):
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
