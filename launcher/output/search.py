"""Finds a line or a time in a log file with a few reads, whatever its size."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from launcher.output.blocks import BLOCK_BYTES, HEADER_BYTES, Totals, start_of_block
from launcher.output.parsing import frames_of
from launcher.wire.frames import STDERR, STDOUT


def totals_of(path: Path) -> Totals:
    """Return a log's totals, empty for a log of 0.1.0. Blocks on the disk."""
    with _Blocks(path) as blocks:
        return blocks.totals()


def last_lines(path: Path, count: int) -> tuple[int, int]:
    """Return where the last ``count`` lines start: a frame's position, and a byte of its data.

    Lines of both streams count together, each at its end; an unfinished line counts as last.
    Blocks on the disk.
    """
    with _Blocks(path) as blocks:
        whole = blocks.totals()
        skip = min(whole.lines - count, whole.newlines)
        if skip <= 0:
            return 0, 0
        start = blocks.last_before(lambda totals: totals.newlines < skip)
        block = blocks.read(start)
        seen = (Totals.decode(block) or Totals()).newlines
        position = start
        for frame, end in frames_of(block, start):
            newlines = frame.data.count(b"\n") if frame.stream in (STDOUT, STDERR) else 0
            if seen + newlines >= skip:
                first = _after_newlines(frame.data, skip - seen)
                return (position, first) if first < len(frame.data) else (end, 0)
            seen, position = seen + newlines, end
    return start, 0  # the block is damaged


def since(path: Path, time_ns: int) -> int:
    """Return a position before all frames from a time on, with few earlier frames after it.

    Blocks on the disk.
    """
    with _Blocks(path) as blocks:
        return blocks.last_before(lambda totals: totals.time_ns < time_ns)


def _after_newlines(data: bytes, count: int) -> int:
    at = 0
    for _ in range(count):
        at = data.index(b"\n", at) + 1
    return at


class _Blocks:
    """The blocks of a log file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._size = 0

    def __enter__(self) -> _Blocks:
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            self._size = os.fstat(self._fd).st_size
        except FileNotFoundError:
            pass
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def read(self, start: int) -> bytes:
        return os.pread(self._fd, min(BLOCK_BYTES, self._size - start), start)

    def totals(self) -> Totals:
        """Return the totals of the whole file."""
        if not self._size:
            return Totals()
        start = start_of_block(self._size - 1)
        block = self.read(start)
        totals = Totals.decode(block) or Totals()
        for frame, _ in frames_of(block, start):
            totals.add(frame.stream, frame.time_ns, frame.data)
        return totals

    def last_before(self, passes: Callable[[Totals], bool]) -> int:
        """Return the start of the last block whose header passes; ``passes`` must be monotonic."""
        low, high = 0, max(0, self._size - 1) // BLOCK_BYTES
        while low < high:
            middle = (low + high + 1) // 2
            header = os.pread(self._fd, HEADER_BYTES, middle * BLOCK_BYTES)
            totals = Totals.decode(header)
            if totals is not None and passes(totals):
                low = middle
            else:
                high = middle - 1
        return low * BLOCK_BYTES
