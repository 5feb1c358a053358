"""Continues a log file from Docker's log: counts the bytes of each stream.

Bytes that the file already has are skipped by count, and compared with the file. Docker's log may
lack some of them: a reader of the container's streams is ahead of Docker's logger, by 800 KB in a
loud job, and a dockerd that dies loses what it has not logged. So where the bytes differ, the
file's bytes from before the time of Docker's entry are skipped first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from launcher.engine.logs import LogEntry
from launcher.output.blocks import Totals
from launcher.output.reader import LogReader
from launcher.wire.frames import NOTE, STDERR, STDOUT, Frame

APART_NS = 2 * 10**9
"""Both stamp a line within this time. If the first entry is later, Docker lacks some output."""
QUIET_NS = 10**9
"""If no output came for this time, none was in flight through the dockerd that died."""


class Misfit(Exception):
    """Docker's log was rotated and does not fit the file. ``at_ns``: the entry's time."""

    def __init__(self, at_ns: int) -> None:
        self.at_ns = at_ns


class Continuation:
    """Returns the new part of each of Docker's entries; feed it every entry, in order.

    ``broke_off_ns``: when the container's streams were cut off, if known. With ``by_time`` all
    entries newer than the file are new.
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
        self._stored = {stream: _Kept(path, stream) for stream in (STDOUT, STDERR)}
        self._first = {STDOUT, STDERR}

    def rest(self, entry: LogEntry) -> list[Frame]:
        """Return the part of an entry that the file lacks, after a note if output may be missing.

        Raises ``Misfit``.
        """
        stream, data = entry.stream, entry.data
        time_ns = entry.time_ns or time.time_ns()
        if self._by_time:
            return [Frame(stream, time_ns, data)] if time_ns > self._newest_ns else []
        left = self._left[stream]
        if not left or not data:
            return [Frame(stream, time_ns, data)] if data else []
        overlap = data[:left]
        if not self._fits(entry, overlap):
            return self._after_jump(entry)
        self._first.discard(stream)
        self._stored[stream].take(len(overlap))
        self._left[stream] = left - len(overlap)
        rest = data[len(overlap) :]
        return [Frame(stream, time_ns, rest)] if rest else []

    def _fits(self, entry: LogEntry, overlap: bytes) -> bool:
        bytes_stored, time_ns = self._stored[entry.stream].peek(len(overlap))
        late = entry.stream in self._first and entry.time_ns > time_ns + APART_NS
        return bytes_stored == overlap and not (late and overlap == entry.data)

    def _after_jump(self, entry: LogEntry) -> list[Frame]:
        """Skip what the file has from before an entry's time; the entry must fit then."""
        dropped = self._stored[entry.stream].drop_before(entry.time_ns)
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
    """The bytes of one stream in a log file, from its start."""

    def __init__(self, path: Path, stream: int) -> None:
        self._pieces = self._read(LogReader(path), stream)
        self._ahead: list[Frame] = []
        """Frames that were read but not consumed."""

    @staticmethod
    def _read(reader: LogReader, stream: int) -> Iterator[Frame]:
        while frames := reader.read():
            yield from (frame for frame in frames if frame.stream == stream)

    def peek(self, count: int) -> tuple[bytes, int]:
        """Return the next bytes (fewer at the end) and the time of the last of them."""
        out, time_ns, number = b"", 0, 0
        while len(out) < count and self._has(number):
            frame = self._ahead[number]
            out += frame.data[: count - len(out)]
            time_ns, number = frame.time_ns, number + 1
        return out, time_ns

    def take(self, count: int) -> None:
        """Consume this many bytes."""
        while count and self._has(0):
            frame = self._ahead.pop(0)
            rest = frame.data[count:]
            count -= min(count, len(frame.data))
            if rest:
                self._ahead.insert(0, Frame(frame.stream, frame.time_ns, rest))

    def drop_before(self, time_ns: int) -> int:
        """Drop the frames from before a time; return how many bytes they had."""
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
