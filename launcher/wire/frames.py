"""The frames of a log file and of a stream: a 13-byte header, then the data."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

STDOUT, STDERR, NOTE, EVENT, POSITION, END = 1, 2, 3, 4, 5, 0
_HEADER = struct.Struct(">BQI")
FRAME_HEADER_BYTES = _HEADER.size


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a log file or of a follow stream.

    ``stream``: STDOUT and STDERR carry the job's bytes; NOTE a sentence of the launcher (UTF-8:
    a cut log); EVENT a JobView as JSON (follow streams only); END closes the stream and carries
    nothing in a file, and the final JobView as JSON in a follow stream. POSITION names the place of
    the next frame of output, as text; a client that reconnects sends it, and how many frames of
    output came after it. ``time_ns`` is nanoseconds since 1970.
    """

    stream: int
    time_ns: int
    data: bytes

    def encode(self) -> bytes:
        """Return the frame's bytes: a 13-byte header (stream, time, length), then the data."""
        return _HEADER.pack(self.stream, self.time_ns, len(self.data)) + self.data


def decode_header(header: bytes) -> tuple[int, int, int]:
    """Return (stream, time_ns, length) of a 13-byte frame header."""
    stream, time_ns, length = _HEADER.unpack(header)
    return stream, time_ns, length


def read_frames(read: Callable[[int], bytes]) -> Iterator[Frame]:
    """Yield frames from a blocking ``read(n)`` until it returns short: the end, or a cut stream."""
    while True:
        header = read(FRAME_HEADER_BYTES)
        if len(header) < FRAME_HEADER_BYTES:
            return
        stream, time_ns, length = decode_header(header)
        data = read(length) if length else b""
        if len(data) < length:
            return
        yield Frame(stream, time_ns, data)
