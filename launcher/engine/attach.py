"""Attaches to a container's stdout and stderr (Docker API "Attach to a container", hijacked).

The request is written here, because docker-py's reader does not release the socket.
"""

from __future__ import annotations

import socket
import struct

from launcher.engine.outcome import Refused, error_text, mapped, refusal

_HEADER = struct.Struct(">BxxxL")
_MOST_HEAD_BYTES = 16 * 1024
_MOST_ERROR_BYTES = 64 * 1024
_UPGRADED = (101, 200)


def attach(host: str, name: str, timeout: float) -> socket.socket:
    """Return a socket that carries a container's output from now on, for ``Demultiplexer``.

    Attached before the start, it carries all output. Raises ``EngineUnavailable``, ``Refused``
    or ``Unknown`` (``outcome``).
    """
    with mapped(host):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect(host.removeprefix("unix://"))
            connection.sendall(
                f"POST /containers/{name}/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\n"
                "Host: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                "Content-Length: 0\r\n\r\n".encode("ascii")
            )
            status, rest = _head(connection)
            if status not in _UPGRADED:
                text = error_text(rest.decode("utf-8", "replace"))
                raise Refused(refusal(status, text), status, text)
        except BaseException:
            connection.close()
            raise
        return connection


def _head(connection: socket.socket) -> tuple[int, bytes]:
    """Return the status, and the body of an error. Does not read past the head of a success."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece or len(head) > _MOST_HEAD_BYTES:
            raise ConnectionResetError("Docker's response was cut off")
        head += piece
    status = int(head.split(b" ", 2)[1])
    body = b""
    if status not in _UPGRADED:
        length = _length(head)
        while len(body) < length and (piece := connection.recv(length - len(body))):
            body += piece
    return status, body


def _length(head: bytes) -> int:
    """Return the maximum length of an error's body: Docker 20.10 sends none and closes instead."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return min(int(value), _MOST_ERROR_BYTES)
    return _MOST_ERROR_BYTES


class Demultiplexer:
    """Separates stdout and stderr in the bytes of an attached socket, however they are split."""

    def __init__(self) -> None:
        self._head = b""
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> list[tuple[int, bytearray]]:
        """Return the new data as (stream, bytes); adjacent pieces of one stream are joined."""
        result: list[tuple[int, bytearray]] = []
        at, end = 0, len(data)
        while at < end:
            if not self._left:
                missing = _HEADER.size - len(self._head)
                self._head += data[at : at + missing]
                at += missing
                if len(self._head) == _HEADER.size:
                    self._stream, self._left = _HEADER.unpack(self._head)
                    self._head = b""
                continue
            piece = data[at : at + self._left]
            at += len(piece)
            self._left -= len(piece)
            if result and result[-1][0] == self._stream:
                result[-1][1].extend(piece)
            else:
                result.append((self._stream, bytearray(piece)))
        return result
