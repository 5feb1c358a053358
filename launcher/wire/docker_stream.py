"""The frames in which Docker sends stdout and stderr on one stream (API "Attach to a container").

The stream of a container with a terminal has none: its bytes are the terminal's.
"""

from __future__ import annotations

import struct

_HEADER = struct.Struct(">BxxxL")


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


class WholeFrames:
    """Leaves out whole frames of a stream while its reader is too slow."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self._drops = False

    def passed(self, data: bytes, *, too_slow: bool) -> bytes:
        """Return what is to be passed on of the next bytes.

        A frame that was passed on in part is passed on whole.
        """
        passed, at, end = bytearray(), 0, len(data)
        while at < end:
            if self._left:
                piece = data[at : at + self._left]
                self._left -= len(piece)
                passed += b"" if self._drops else piece
            else:
                piece = data[at : at + _HEADER.size - len(self._head)]
                self._head += piece
                if len(self._head) == _HEADER.size:
                    self._drops, self._left = too_slow, _HEADER.unpack(self._head)[1]
                    passed += b"" if too_slow else self._head
                    self._head = b""
            at += len(piece)
        return bytes(passed)
