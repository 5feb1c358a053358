"""The format of a log file: blocks of 64 KiB that hold whole frames.

A block starts with a header: a magic number and totals of everything before it. Frames follow, in
the encoding of ``launcher.wire.frames``; none crosses the end of a block. The unused rest is filled
with 0xFF. So a reader can start at any block, and damage ends with its block.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from launcher.wire.frames import FRAME_HEADER_BYTES, NOTE, STDERR, STDOUT

BLOCK_BYTES = 1 << 16
MAGIC = b"LLG2"
FILLER = 0xFF
_HEADER = struct.Struct(">4sBxHQQQQ")
HEADER_BYTES = _HEADER.size
SHORTEST = FRAME_HEADER_BYTES + 1
_MOST_NOTES = 0xFFFF
_OPEN = {STDOUT: 1, STDERR: 2}


@dataclass(slots=True)
class Totals:
    """What a log holds before a position.

    ``stdout`` and ``stderr`` count bytes, ``newlines`` those of both, ``time_ns`` is the newest
    time (nanoseconds since 1970). ``unfinished`` has one bit for each stream within a line.
    ``notes`` counts the launcher's own notes: that output is missing, or was cut.
    """

    stdout: int = 0
    stderr: int = 0
    newlines: int = 0
    time_ns: int = 0
    unfinished: int = 0
    notes: int = 0

    def add(self, stream: int, time_ns: int, data: bytes | memoryview) -> None:
        """Add a frame to the totals."""
        if stream == NOTE:
            self.notes = min(self.notes + 1, _MOST_NOTES)
        bit = _OPEN.get(stream)
        if bit is None or not data:
            return
        if stream == STDOUT:
            self.stdout += len(data)
        else:
            self.stderr += len(data)
        self.newlines += bytes(data).count(b"\n")
        self.time_ns = max(self.time_ns, time_ns)
        self.unfinished &= ~bit
        if data[-1] != 0x0A:
            self.unfinished |= bit

    @property
    def lines(self) -> int:
        """Number of lines, including unfinished ones."""
        return self.newlines + self.unfinished.bit_count()

    def encode(self) -> bytes:
        """Return the header of a block that starts here."""
        return _HEADER.pack(
            MAGIC,
            self.unfinished,
            self.notes,
            self.stdout,
            self.stderr,
            self.newlines,
            self.time_ns,
        )

    @classmethod
    def decode(cls, header: bytes) -> Totals | None:
        """Return the totals in a block's header, None if it is not a header."""
        if len(header) < HEADER_BYTES:
            return None
        magic, unfinished, notes, stdout, stderr, newlines, time_ns = _HEADER.unpack_from(header)
        if magic != MAGIC:
            return None
        return cls(stdout, stderr, newlines, time_ns, unfinished, notes)


def start_of_block(position: int) -> int:
    """Return the start of the block that contains a position."""
    return position - position % BLOCK_BYTES
