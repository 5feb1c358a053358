"""Going on in Docker's log where a log file ends: by counting the bytes of each stream.

Docker's log has both streams in the order of their bytes, but begins later than the job's output
where it was rotated, and stamps lines at another moment than a reader of the container's streams.
So what the file already has is left out by count and compared with the file meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from launcher.engine.logs import Entry
from launcher.output.blocks import Totals
from launcher.output.reader import LogReader
from launcher.wire.frames import STDERR, STDOUT, Frame

APART_NS = 2 * 10**9
"""Both stamp a line within this time; after a rotation the first entry is later than that."""


class Rotated(Exception):
    """Docker's log does not begin where the job's output began. ``at_ns``: its first entry."""

    def __init__(self, at_ns: int) -> None:
        self.at_ns = at_ns


class Continuation:
    """Tells which of Docker's entries are new, asked once for each, in order.

    With ``by_time`` the entries after the newest of the file are.
    """

    def __init__(self, path: Path, totals: Totals, *, by_time: bool = False) -> None:
        self._after_ns = totals.time_ns if by_time else None
        self._left = {STDOUT: totals.stdout, STDERR: totals.stderr}
        self._kept = {stream: _Kept(path, stream) for stream in (STDOUT, STDERR)}
        self._first = {STDOUT, STDERR}

    def rest(self, entry: Entry) -> Frame | None:
        """Return what the file has not of an entry; raises ``Rotated``."""
        frame = Frame(entry.stream, entry.time_ns, entry.data)
        if self._after_ns is not None:
            return frame if entry.time_ns > self._after_ns else None
        left = self._left[entry.stream]
        if not left or not entry.data:
            return frame if entry.data else None
        known = entry.data[:left]
        kept, time_ns = self._kept[entry.stream].take(len(known))
        late = entry.stream in self._first and entry.time_ns > time_ns + APART_NS
        if kept != known or (late and known == entry.data):
            raise Rotated(entry.time_ns)
        self._first.discard(entry.stream)
        self._left[entry.stream] = left - len(known)
        rest = entry.data[len(known) :]
        return Frame(entry.stream, entry.time_ns, rest) if rest else None


class _Kept:
    """The bytes of one stream that a log file has, from its beginning."""

    def __init__(self, path: Path, stream: int) -> None:
        self._pieces = self._read(LogReader(path), stream)
        self._piece = memoryview(b"")
        self._time_ns = 0

    @staticmethod
    def _read(reader: LogReader, stream: int) -> Iterator[Frame]:
        while frames := reader.read():
            yield from (frame for frame in frames if frame.stream == stream)

    def take(self, count: int) -> tuple[bytes, int]:
        """Return the next bytes, fewer at the end, and the time of the last of them."""
        out = bytearray()
        while len(out) < count:
            if not self._piece:
                frame = next(self._pieces, None)
                if frame is None:
                    break
                self._piece, self._time_ns = memoryview(frame.data), frame.time_ns
            some = self._piece[: count - len(out)]
            out += some
            self._piece = self._piece[len(some) :]
        return bytes(out), self._time_ns
