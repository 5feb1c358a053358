"""Reads a log file from a position, up to what is written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from launcher.output.old_format import convert_if_old
from launcher.output.parsing import frames_of
from launcher.wire.frames import Frame

AT_A_TIME = 1 << 17
_NOT_CACHED = (errno.EAGAIN, errno.EOPNOTSUPP)


class LogReader:
    """Reads whole frames. ``position`` is the offset of the next one in the file."""

    def __init__(self, path: Path, position: int = 0) -> None:
        self.path = path
        self.position = position

    def read(self, most: int = AT_A_TIME) -> list[Frame]:
        """Return the frames at the position, about ``most`` bytes. Blocks on the disk."""
        frames = self._read(most, 0)
        assert frames is not None
        return frames

    def read_cached(self, most: int = AT_A_TIME) -> list[Frame] | None:
        """As ``read`` without blocking; None if not in the page cache (Linux 4.14)."""
        try:
            return self._read(most, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno in _NOT_CACHED:
                return None
            raise

    def skip(self, count: int) -> None:
        """Skip this many frames, or all if there are fewer. Blocks on the disk."""
        while count:
            piece, _ = self._piece(AT_A_TIME, 0)
            ends = [end for _, end in frames_of(piece, self.position)][:count]
            if not ends:
                return
            self.position = ends[-1]
            count -= len(ends)

    def _read(self, most: int, flags: int) -> list[Frame] | None:
        piece, size = self._piece(most, flags)
        end = self.position + len(piece)
        frames = []
        for frame, after in frames_of(piece, self.position):
            frames.append(frame)
            self.position = after
        return None if flags and not frames and size > end else frames

    def _piece(self, most: int, flags: int) -> tuple[bytes, int]:
        """Return the bytes at the position, and the size of the file."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return b"", 0
        try:
            size = os.fstat(fd).st_size
            buffer = bytearray(max(0, min(most, size - self.position)))
            length = os.preadv(fd, [buffer], self.position, flags) if buffer else 0
            return bytes(memoryview(buffer)[:length]), size
        finally:
            os.close(fd)


def opened(path: Path, position: int = 0, skip: int = 0) -> LogReader:
    """Return a reader of a log of any version. Blocks: a log of 0.1.0 is converted first."""
    convert_if_old(path)
    reader = LogReader(path, position)
    reader.skip(skip)
    return reader
