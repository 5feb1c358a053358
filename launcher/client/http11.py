"""A minimal HTTP/1.1 client for one request over a unix socket.

The standard library's ``http.client`` loads ``email`` and ``ssl`` first, which takes longer than
``launch ps`` itself. One request per connection; bodies by length, in chunks, or to the end.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from collections.abc import Generator, Iterable, Iterator, Mapping

_LINE = 64 * 1024
_PIECE = 64 * 1024
_HEADERS = 200


class ProtocolError(ValueError):
    """The response is not HTTP/1.1, or it ends too early."""


def request_head(method: str, path: str, headers: Mapping[str, str], length: int | None) -> bytes:
    """Return the head of a request whose body has this length; None: it comes in chunks."""
    lines = [f"{method} {path} HTTP/1.1", "Host: launcher", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if length is None:
        lines.append("Transfer-Encoding: chunked")
    elif length or method == "POST":
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


class Response:
    """A response as it arrives, whoever receives it: a blocking socket or an event loop.

    ``head`` and ``body`` yield None where they need bytes: receive some, ``feed`` them, and go on.
    Both raise ``ProtocolError``.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._buffer = bytearray()
        self._over = False

    def feed(self, data: bytes) -> None:
        """Add what was received; empty: the other side has closed the connection."""
        self._buffer += data
        self._over = not data

    def head(self) -> Iterator[None]:
        """Read the status and the headers."""
        while self.status < 200:
            line = yield from self._line()
            fields = line.split(b" ", 2)
            if len(fields) < 2 or not fields[0].startswith(b"HTTP/1.") or not fields[1].isdigit():
                raise ProtocolError("the response is not HTTP")
            self.status = int(fields[1])
            yield from self._read_headers()

    def body(self) -> Iterator[bytes | None]:
        """Yield the body in pieces, each as soon as it arrives."""
        length = self.headers.get("content-length", "")
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := _chunk_size((yield from self._line())):
                yield from self._exactly(size)
                if (yield from self._line()):
                    raise ProtocolError("a chunk does not end at its length")
            while (yield from self._line()):
                pass
        elif length.isdecimal():
            yield from self._exactly(int(length))
        else:
            while not self._over:
                yield self._taken(len(self._buffer)) or None

    def rest(self) -> bytes:
        """Return what has come of a body that is not read here."""
        return self._taken(len(self._buffer))

    def _read_headers(self) -> Generator[None, None, None]:
        self.headers = {}
        for _ in range(_HEADERS):
            line = yield from self._line()
            if not line:
                return
            name, _, value = line.decode("latin-1").partition(":")
            self.headers[name.strip().lower()] = value.strip()
        raise ProtocolError("the response has too many headers")

    def _exactly(self, left: int) -> Generator[bytes | None, None, None]:
        while left:
            if piece := self._taken(left):
                left -= len(piece)
                yield piece
            elif self._over:
                raise ProtocolError("the response ends too early")
            else:
                yield None

    def _taken(self, most: int) -> bytes:
        piece = bytes(self._buffer[:most])
        del self._buffer[:most]
        return piece

    def _line(self) -> Generator[None, None, bytes]:
        while (end := self._buffer.find(b"\n")) < 0:
            if self._over or len(self._buffer) > _LINE:
                raise ProtocolError("the response ends too early")
            yield None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError as error:
        raise ProtocolError("a chunk has no length") from error


class HttpConnection:
    """One exchange. ``timeout`` is for every wait for the other side; None waits indefinitely."""

    def __init__(self, path: str, timeout: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._wakeup: int | None = None
        self.response = Response()
        self._body = self.response.body()
        try:
            # If many connect at once, the kernel queues only blocking sockets.
            seconds, rest = divmod(timeout, 1.0)
            patience = struct.pack("ll", int(seconds), int(rest * 1e6))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
            self._socket.connect(path)
            self._socket.settimeout(timeout)
        except BaseException:
            self.close()
            raise

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
        """Send the request, and read the response's status and headers."""
        self._send(request_head(method, path, headers, len(body)) + body)
        self._read_head()

    def upload(
        self, method: str, path: str, headers: Mapping[str, str], body: Iterable[bytes]
    ) -> None:
        """As ``request`` with a body of any length, in chunks.

        The reply may come before the body's end.
        """
        self._socket.sendall(request_head(method, path, headers, None))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has refused
            for piece in filter(None, body):  # an empty chunk would end the body
                self._socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            self._socket.sendall(b"0\r\n\r\n")
        self._read_head()

    def patient(self, wakeup: int | None = None) -> None:
        """From here on wait indefinitely.

        ``wakeup`` is the reading end of a ``signal.set_wakeup_fd`` pipe: a signal just before the
        wait would otherwise be handled only when the daemon sends something.
        """
        self._socket.settimeout(None)
        self._wakeup = wakeup

    def read(self) -> bytes:
        """Return the rest of the body."""
        pieces = []
        while piece := self.read_some():
            pieces.append(piece)
        return b"".join(pieces)

    def read_some(self) -> bytes:
        """Return a piece of the body as soon as it arrives; empty at its end."""
        for piece in self._body:
            if piece is not None:
                return piece
            self._receive()
        return b""

    def detach(self) -> tuple[socket.socket, bytes]:
        """Return the connection, and what has come of the body; the caller closes it."""
        self._socket.settimeout(None)
        return self._socket, self.response.rest()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            # The daemon may refuse a body before it has read all of it.
            return

    def _read_head(self) -> None:
        for _ in self.response.head():
            self._receive()

    def _receive(self) -> None:
        """Wait for bytes."""
        if self._wakeup is not None:
            self._await(self._wakeup)
        self.response.feed(self._socket.recv(_PIECE))

    def _await(self, wakeup: int) -> None:
        """Return when there is something to read; Python handles its signals meanwhile."""
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        waiting.register(wakeup, select.POLLIN)
        while True:
            ready = {fd for fd, _ in waiting.poll()}
            if wakeup in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wakeup, 4096)
            if self._socket.fileno() in ready:
                return
