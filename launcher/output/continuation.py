"""Going on in Docker's log where a log file ends: by counting the bytes of each stream.

What the file already has is left out by count, and compared with the file meanwhile. Docker's log
may lack some of it: a reader of the container's streams is ahead of Docker's logger, by 800 KB in a
loud job, and what a dockerd that dies has not logged is lost to it. So where the bytes differ, what
the file has of an earlier time than Docker's entry is left out first.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from launcher.engine.logs import LogEntry
from launcher.output.blocks import Totals
from launcher.output.reader import LogReader
from launcher.wire.frames import NOTE, STDERR, STDOUT, Frame

APART_NS = 2 * 10**9
"""Both stamp a line within this time. Before a first entry that is later, Docker lacks some."""
QUIET_NS = 10**9
"""Nothing was in flight through a dockerd that died if no output came for this time."""


class Misfit(Exception):
    """Docker's log, which was rotated, does not fit the file. ``at_ns``: the entry's time."""

    def __init__(self, at_ns: int) -> None:
        self.at_ns = at_ns


class Continuation:
    """Tells what is new of Docker's entries, asked once for each, in order.

    ``broke_off_ns``: when the container's streams were cut off, where that is known. With
    ``by_time`` all entries after the newest of the file are new.
    """

    def __init__(
        self,
        path: Path,
        totals: Totals,
        *,
        broke_off_ns: int | None = None,
        by_time: bool = False,
    ) -> None:
        self._newest_ns, self._by_time = totals.time_ns, by_time
        self._quiet = broke_off_ns is not None and totals.time_ns < broke_off_ns - QUIET_NS
        self._left = {STDOUT: totals.stdout, STDERR: totals.stderr}
        self._kept = {stream: _Kept(path, stream) for stream in (STDOUT, STDERR)}
        self._first = {STDOUT, STDERR}

    def rest(self, entry: LogEntry) -> list[Frame]:
        """Return what the file has not of an entry, behind a note where something may be missing.

        Raises ``Misfit``.
        """
        stream, data = entry.stream, entry.data
        if self._by_time:
            return [Frame(stream, entry.time_ns, data)] if entry.time_ns > self._newest_ns else []
        left = self._left[stream]
        if not left or not data:
            return [Frame(stream, entry.time_ns, data)] if data else []
        known = data[:left]
        if not self._fits(entry, known):
            return self._after_jump(entry)
        self._first.discard(stream)
        self._kept[stream].take(len(known))
        self._left[stream] = left - len(known)
        rest = data[len(known) :]
        return [Frame(stream, entry.time_ns, rest)] if rest else []

    def _fits(self, entry: LogEntry, known: bytes) -> bool:
        bytes_stored, time_ns = self._kept[entry.stream].peek(len(known))
        late = entry.stream in self._first and entry.time_ns > time_ns + APART_NS
        return bytes_stored == known and not (late and known == entry.data)

    def _after_jump(self, entry: LogEntry) -> list[Frame]:
        """Leave out what the file has from before an entry's time; the entry must fit then."""
        dropped = self._kept[entry.stream].drop_before(entry.time_ns)
        self._left[entry.stream] -= dropped
        self._first.discard(entry.stream)
        if not dropped:
            raise Misfit(entry.time_ns)
        if self._left[entry.stream]:
            return self.rest(entry)
        new = Frame(entry.stream, entry.time_ns, entry.data)
        return [new] if self._quiet else [self._mark(entry.time_ns), new]

    def _mark(self, at_ns: int) -> Frame:
        first, last = (
            datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            for ns in (self._newest_ns, at_ns)
        )
        text = f"output may be missing here, between {first} and {last}: Docker was restarted"
        return Frame(NOTE, at_ns, text.encode())


class _Kept:
    """The bytes of one stream that a log file has, from its beginning."""

    def __init__(self, path: Path, stream: int) -> None:
        self._pieces = self._read(LogReader(path), stream)
        self._ahead: list[Frame] = []
        """Frames that were looked at and not taken."""

    @staticmethod
    def _read(reader: LogReader, stream: int) -> Iterator[Frame]:
        while frames := reader.read():
            yield from (frame for frame in frames if frame.stream == stream)

    def peek(self, count: int) -> tuple[bytes, int]:
        """Return the next bytes, fewer at the end, and the time of the last of them."""
        out, time_ns, number = b"", 0, 0
        while len(out) < count and self._has(number):
            frame = self._ahead[number]
            out += frame.data[: count - len(out)]
            time_ns, number = frame.time_ns, number + 1
        return out, time_ns

    def take(self, count: int) -> None:
        """Leave out so many bytes."""
        while count and self._has(0):
            frame = self._ahead.pop(0)
            rest = frame.data[count:]
            count -= min(count, len(frame.data))
            if rest:
                self._ahead.insert(0, Frame(frame.stream, frame.time_ns, rest))

    def drop_before(self, time_ns: int) -> int:
        """Leave out the frames of an earlier time; returns how many bytes."""
        dropped = 0
        while self._has(0) and self._ahead[0].time_ns < time_ns:
            dropped += len(self._ahead.pop(0).data)
        return dropped

    def _has(self, number: int) -> bool:
        while len(self._ahead) <= number:
            frame = next(self._pieces, None)
            if frame is None:
                return False
            self._ahead.append(frame)
        return True
