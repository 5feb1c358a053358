"""The body of a streamed answer, in pieces as large as what has come.

urllib3 hands out one HTTP chunk a call, and Docker makes a chunk of every line of a log: a loud
program would cost more to read than to run. So chunks are taken apart here, many at a time
(RFC 9112, section 7.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

READ_BYTES = 1 << 16


def pieces(raw: Any) -> Iterator[bytes]:
    """Yield the body of an unread urllib3 response as it comes; OSError where it breaks off.

    The connection is not used again: what is left of it belongs to nobody.
    """
    answer = raw._fp  # http.client's own response, as docker-py takes it for its sockets
    return _chunks(answer.fp) if answer.chunked else _plain(answer.fp, answer.length)


def _plain(file: Any, left: int | None) -> Iterator[bytes]:
    """Yield a body of known length. Docker always tells one: without it the head was cut."""
    if left is None:
        raise OSError("the answer was cut in its head")
    while left > 0:
        piece = file.read1(min(left, READ_BYTES))
        if not piece:
            raise OSError("the answer ended in the middle")
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
    """Return a buffer's whole chunks, where the rest begins, and whether the last one came."""
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
