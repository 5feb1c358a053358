"""One exchange with the daemon in an event loop. A cancelled one closes its connection at once."""

from __future__ import annotations

import asyncio
import copy
import json
import socket
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from launcher import errors
from launcher.client.http import (
    CutStream,
    FrameBuffer,
    Overload,
    Transport,
    reply_error,
    unreachable,
)
from launcher.client.http11 import ProtocolError, Response, request_head
from launcher.wire import Frame

if TYPE_CHECKING:
    from launcher.client.ssh.host import SshHost

T = TypeVar("T")

MOST_REQUESTS = 16
MOST_STREAMS = 64
"""At once: below the daemon's limits for a user (``connections``, ``streams``). Others wait, in
turn."""
_PIECE = 64 * 1024
_QUEUE_FULL_SECONDS = 0.01


class AsyncTransport:
    """Requests to the daemon, at most ``MOST_REQUESTS`` and ``MOST_STREAMS`` at once."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._turns: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore, asyncio.Semaphore] | None
        self._turns = None

    def over(self, transport: Transport) -> AsyncTransport:
        """Return one with other settings that shares the limits of this one."""
        result = copy.copy(self)
        self._semaphores()
        result._turns, result._transport = self._turns, transport
        return result

    async def json(self, method: str, path: str, body: Any = None, *, timeout: float) -> Any:
        """Return the parsed JSON of one exchange; ``timeout`` (seconds) is for each wait."""
        async with self._semaphores()[0]:
            return await self.unlimited(method, path, body, timeout=timeout)

    def _semaphores(self) -> tuple[asyncio.Semaphore, asyncio.Semaphore]:
        """Return those of requests and streams; another event loop gets new ones."""
        loop = asyncio.get_running_loop()
        if self._turns is None or self._turns[0] is not loop:
            requests, streams = asyncio.Semaphore(MOST_REQUESTS), asyncio.Semaphore(MOST_STREAMS)
            self._turns = loop, requests, streams
        return self._turns[1:]

    async def unlimited(self, method: str, path: str, body: Any = None, *, timeout: float) -> Any:
        """As ``json``, also while ``MOST_REQUESTS`` are under way."""
        with closing(await self._reply(method, path, body, timeout)) as connection:
            text = await connection.read()
        try:
            return json.loads(text)
        except ValueError as error:
            raise errors.LauncherError(f"the daemon's reply is not valid JSON: {error}") from error

    async def frames(
        self, path: str, *, timeout: float, method: str = "GET"
    ) -> AsyncIterator[Frame]:
        """Yield the frames of one stream; a stream that is cut raises ``CutStream``."""
        async with self._semaphores()[1]:
            with closing(await self._reply(method, path, None, timeout)) as connection:
                connection.timeout = None
                frames = FrameBuffer()
                while piece := await connection.read_some():
                    for frame in frames.whole(piece):
                        yield frame

    async def upload(self, path: str, body: Iterable[bytes], *, timeout: float) -> Any:
        """Return the parsed JSON of an exchange whose body may be of any length."""
        async with self._semaphores()[0]:
            with closing(_Connection(await self._connect(), timeout, self._transport)) as reply:
                await reply.upload(path, body)
                text = await reply.read()
                if not self._transport.accepts(reply.response):
                    raise reply_error(reply.response, text)
                return json.loads(text)

    async def _reply(self, method: str, path: str, body: Any, timeout: float) -> _Connection:
        """Return the reply; if refused for overload, wait as the daemon says and retry."""
        overload = Overload(self._transport)
        while True:
            connection = _Connection(await self._connect(), timeout, self._transport)
            try:
                await connection.request(*self._transport.request_of(method, path, body))
                if self._transport.accepts(connection.response):
                    return connection
                raise reply_error(connection.response, await connection.read())
            except errors.TooMany as refused:
                connection.close()
                await asyncio.sleep(overload.after(refused))
            except BaseException:
                connection.close()
                raise

    async def _connect(self) -> socket.socket:
        transport = self._transport
        if transport.host is not None:
            return await self._connect_by(transport.host)
        failed: list[tuple[str, OSError]] = []
        for path in [transport.socket] if transport.socket else transport.candidates:
            try:
                connected = await _connected(path)
            except OSError as error:
                failed.append((path, error))
                continue
            transport.socket = path
            return connected
        raise unreachable(failed)

    async def _connect_by(self, host: SshHost) -> socket.socket:
        path = await asyncio.to_thread(host.path)
        for attempt in (1, 2):
            self._transport.socket = path
            try:
                return await _connected(path)
            except OSError as error:  # ssh has ended
                if attempt == 2:
                    raise host.lost() from error
                path = await asyncio.to_thread(host.renewed, path)
        raise host.lost()


class _Connection:
    """One exchange. ``timeout`` is for each wait for the other side; None waits indefinitely."""

    def __init__(
        self, connected: socket.socket, timeout: float | None, transport: Transport
    ) -> None:
        self.timeout = timeout
        self.response = Response()
        self._body = self.response.body()
        self._socket, self._transport = connected, transport

    async def request(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        """Send the request, and read the response's status and headers."""
        with suppress(BrokenPipeError, ConnectionResetError):  # it refused before it read it all
            await self._send(request_head(method, path, headers, len(body)) + body)
        await self._read_head()

    async def upload(self, path: str, body: Iterable[bytes]) -> None:
        """As ``request`` with a body of any length, in chunks."""
        with suppress(BrokenPipeError, ConnectionResetError):  # it refused before it read it all
            await self._send(request_head("POST", path, self._transport.headers, None))
            for piece in filter(None, body):  # an empty chunk would end the body
                await self._send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await self._send(b"0\r\n\r\n")
        await self._read_head()

    async def read_some(self) -> bytes:
        """Return a piece of the body as soon as it arrives; empty at its end."""
        try:
            for piece in self._body:
                if piece is not None:
                    return piece
                await self._receive()
        except (OSError, ProtocolError) as error:
            raise CutStream("the daemon went away in the middle of its reply") from error
        return b""

    async def read(self) -> bytes:
        """Return the rest of the body."""
        pieces = []
        while piece := await self.read_some():
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    async def _read_head(self) -> None:
        try:
            for _ in self.response.head():
                await self._receive()
        except (OSError, ProtocolError) as error:
            raise self._transport.went_away() from error

    async def _send(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        await self._limited(loop.sock_sendall(self._socket, data))

    async def _receive(self) -> None:
        loop = asyncio.get_running_loop()
        self.response.feed(await self._limited(loop.sock_recv(self._socket, _PIECE)))

    async def _limited(self, wait: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(self.timeout):
                return await wait
        except TimeoutError as error:
            raise self._transport.slow() from error


async def _connected(path: str) -> socket.socket:
    """Connect; while the daemon's queue of connections is full, try again."""
    result = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        result.setblocking(False)
        while True:
            try:
                result.connect(path)
            except BlockingIOError:
                await asyncio.sleep(_QUEUE_FULL_SECONDS)
            else:
                return result
    except BaseException:
        result.close()
        raise
