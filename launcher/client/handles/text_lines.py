"""Lines of text of the frames of a job's output."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Literal

from launcher import wire

MOST_LINE = 64 * 1024
"""In characters: a longer line comes in pieces of this length."""

Source = Literal["both", "stdout", "stderr"]
_STREAMS = {"both": (wire.STDOUT, wire.STDERR), "stdout": (wire.STDOUT,), "stderr": (wire.STDERR,)}


class TextLines:
    """Makes lines of frames, without their line ends.

    A line that comes in several frames is one line; standard output and error are not mixed within
    a line. Bytes that are not UTF-8 become U+FFFD.
    """

    def __init__(self, source: Source = "both") -> None:
        self._open = {stream: _OpenLine() for stream in _STREAMS[source]}

    def whole(self, frame: wire.Frame) -> Iterator[str]:
        """Yield the lines that are whole with this frame."""
        if frame.stream in self._open:
            yield from self._open[frame.stream].add(frame.data, final=False)

    def rest(self) -> Iterator[str]:
        """Yield what the output ends with, without an end of line."""
        for line in self._open.values():
            yield from line.add(b"", final=True)


class _OpenLine:
    """The line of a stream that has no end yet."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._start = ""

    def add(self, data: bytes, *, final: bool) -> Iterator[str]:
        """Yield the lines that end in this data; ``final``: also the last one."""
        *lines, rest = self._decoder.decode(data, final).split("\n")
        if lines:
            lines[0] = self._start + lines[0]
            self._start = rest
        else:
            self._start += rest
        for line in lines:
            yield from _pieces(line)
        while len(self._start) > MOST_LINE:
            yield self._start[:MOST_LINE]
            self._start = self._start[MOST_LINE:]
        if final and self._start:
            yield self._start
            self._start = ""


def _pieces(line: str) -> Iterator[str]:
    for first in range(0, max(1, len(line)), MOST_LINE):
        yield line[first : first + MOST_LINE]


class TextHead:
    """The start of a job's standard output as text, limited in bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._left, self._pieces = most_bytes, list[bytes]()

    def add(self, frame: wire.Frame) -> bool:
        """Add a frame; return whether there is room for more."""
        if frame.stream == wire.STDOUT:
            piece = frame.data[: self._left]
            self._left -= len(piece)
            self._pieces.append(piece)
        return self._left > 0

    def text(self) -> str:
        """Return the text; bytes that are not UTF-8 become U+FFFD."""
        return b"".join(self._pieces).decode("utf-8", "replace")
