"""Reads the body of a streamed response in pieces as large as what has arrived.

urllib3 yields one HTTP chunk per call, and Docker sends every log line as a chunk, so a loud
program would cost more to read than to run. So many chunks are parsed at a time here
(RFC 9112, section 7.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

READ_BYTES = 1 << 16


def pieces(raw: Any) -> Iterator[bytes]:
    """Yield the body of an unread urllib3 response as it arrives; OSError if it breaks off.

    The connection must not be reused: part of the body may be unread.
    """
    response = raw._fp  # http.client's response, as docker-py uses it for its sockets
    return _chunks(response.fp) if response.chunked else _plain(response.fp, response.length)


def _plain(file: Any, left: int | None) -> Iterator[bytes]:
    """Yield a body of known length. Docker always sends one: without it the head was cut."""
    if left is None:
        raise OSError("the response was cut in its head")
    while left > 0:
        piece = file.read1(min(left, READ_BYTES))
        if not piece:
            raise OSError("the response ended in the middle")
        left -= len(piece)
        yield piece


def _chunks(file: Any) -> Iterator[bytes]:
    buffer = b""
    ended = False
    while not ended:
        come = file.read1(READ_BYTES)
        if not come:
            raise OSError("the stream ended in the middle")
        buffer += come
        body, rest, ended = _split(buffer)
        buffer = buffer[rest:]
        if body:
            yield b"".join(body)


def _split(buffer: bytes) -> tuple[list[bytes], int, bool]:
    """Return a buffer's whole chunks, where the rest starts, and whether the last chunk came."""
    body: list[bytes] = []
    at = 0
    while (line := buffer.find(b"\r\n", at)) >= 0:
        try:
            size = int(buffer[at:line].partition(b";")[0], 16)
        except ValueError:
            raise OSError("the stream has a chunk without a length") from None
        if size == 0:
            return body, line, True
        end = line + 2 + size
        if end + 2 > len(buffer):
            break
        body.append(buffer[line + 2 : end])
        at = end + 2
    return body, at, False
