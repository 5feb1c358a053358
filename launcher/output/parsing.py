"""Parses the frames in a piece of a log file."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.output.blocks import BLOCK_BYTES, FILLER, HEADER_BYTES, Totals
from launcher.wire.frames import (
    END,
    FRAME_HEADER_BYTES,
    NOTE,
    STDERR,
    STDOUT,
    Frame,
    decode_header,
)

DAMAGED = "part of the log is damaged here and left out"
_STREAMS = (STDOUT, STDERR, NOTE, END)


def frames_of(piece: bytes, position: int) -> Iterator[tuple[Frame, int]]:
    """Yield the whole frames of a piece at ``position``, each with the position after it.

    Stops at an incomplete frame. A note replaces what cannot be read, and reading goes on at the
    next block. A frame without a time was never written (the machine lost power).
    """
    end = position + len(piece)
    at = position
    while at < end:
        block_end = at - at % BLOCK_BYTES + BLOCK_BYTES
        offset = at - position
        if at % BLOCK_BYTES == 0:
            if end - at < HEADER_BYTES:
                return
            if Totals.decode(piece[offset : offset + HEADER_BYTES]) is None:
                yield Frame(NOTE, 0, DAMAGED.encode()), block_end
                at = block_end
            else:
                at += HEADER_BYTES
        elif block_end - at < FRAME_HEADER_BYTES or piece[offset] == FILLER:
            at = block_end
        elif end - at < FRAME_HEADER_BYTES:
            return
        else:
            result = _frame(piece, offset, block_end - at)
            if result is None:
                return
            at += FRAME_HEADER_BYTES + len(result.data) if result.time_ns else block_end - at
            yield result, at


def _frame(piece: bytes, offset: int, room: int) -> Frame | None:
    """Return the frame at an offset, None if incomplete; a note of time 0 if damaged."""
    start = offset + FRAME_HEADER_BYTES
    stream, time_ns, length = decode_header(piece[offset:start])
    if stream not in _STREAMS or FRAME_HEADER_BYTES + length > room:
        return Frame(NOTE, 0, DAMAGED.encode())
    if time_ns == 0 or start + length > len(piece):
        return None
    return Frame(stream, time_ns, piece[start : start + length])
