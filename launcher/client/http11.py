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
from collections.abc import Iterable, Mapping

_LINE = 64 * 1024
_PIECE = 64 * 1024
_HEADERS = 200


class ProtocolError(ValueError):
    """The response is not HTTP/1.1, or it ends too early."""


class HttpConnection:
    """One exchange. ``timeout`` is for every wait for the other side; None waits indefinitely."""

    def __init__(self, path: str, timeout: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._buffer = bytearray()
        self._wakeup: int | None = None
        self.status = 0
        self.headers: dict[str, str] = {}
        self._left: int | None = None
        self._chunked = False
        self._ended = False
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
        lines = [f"{method} {path} HTTP/1.1", "Host: launcher", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        self._send("\r\n".join([*lines, "", ""]).encode("ascii") + body)
        self._read_head()

    def upload(
        self, method: str, path: str, headers: Mapping[str, str], body: Iterable[bytes]
    ) -> None:
        """As ``request`` with a body of any length, in chunks.

        The reply may come before the body's end.
        """
        lines = [f"{method} {path} HTTP/1.1", "Host: launcher", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._socket.sendall("\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode())
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
        if self._ended or (self._left == 0 and not self._next_chunk()):
            return b""
        more = bool(self._buffer) or self._fill()
        if self._left is None:
            self._ended = not more
        elif not more:
            raise ProtocolError("the response ends too early")
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        if self._left is None:
            return piece
        self._left -= len(piece)
        if self._chunked and self._left == 0 and self._line():
            raise ProtocolError("a chunk does not end at its length")
        return piece

    def detach(self) -> tuple[socket.socket, bytes]:
        """Return the connection, and what has come of the body; the caller closes it."""
        self._socket.settimeout(None)
        return self._socket, bytes(self._buffer)

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
        while True:
            fields = self._line().split(b" ", 2)
            if len(fields) < 2 or not fields[0].startswith(b"HTTP/1.") or not fields[1].isdigit():
                raise ProtocolError("the response is not HTTP")
            self.status = int(fields[1])
            self._read_headers()
            if self.status >= 200:
                break
        length = self.headers.get("content-length", "")
        self._chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        if self._chunked:
            self._left = 0
        elif length.isdecimal():
            self._left = int(length)
            self._ended = self._left == 0

    def _read_headers(self) -> None:
        self.headers = {}
        for _ in range(_HEADERS):
            line = self._line()
            if not line:
                return
            name, _, value = line.decode("latin-1").partition(":")
            self.headers[name.strip().lower()] = value.strip()
        raise ProtocolError("the response has too many headers")

    def _next_chunk(self) -> bool:
        """Go to the next chunk; return whether there is one."""
        if not self._chunked:
            self._ended = True
            return False
        try:
            self._left = int(self._line().partition(b";")[0], 16)
        except ValueError as error:
            raise ProtocolError("a chunk has no length") from error
        if self._left == 0:
            while self._line():
                pass
            self._ended = True
        return not self._ended

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _LINE or not self._fill():
                raise ProtocolError("the response ends too early")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")

    def _fill(self) -> bool:
        """Wait for bytes; return whether any came."""
        if self._wakeup is not None:
            self._await(self._wakeup)
        data = self._socket.recv(_PIECE)
        self._buffer += data
        return bool(data)

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
