"""Reads a container's output from Docker's log: streams separated, each entry with its time.

The framing is parsed here, because docker-py's reader drops the stream of each piece.
Docker API "Attach": 8-byte header, stream type and big-endian length.
"""

from __future__ import annotations

import calendar
import functools
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from launcher.engine.chunked_body import pieces
from launcher.engine.connection import DockerConnection
from launcher.engine.outcome import Refusal, Refused, error_text, refusal

_HEADER = struct.Struct(">BxxxL")
_STREAMS = (1, 2)
_PIECE_BYTES = 16 * 1024
QUIET_TIMES = 2
"""A stream that is silent for this many call time-outs may have hung: it is reopened."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One log entry: 1 is stdout, 2 stderr; a line or part of one.

    ``time_ns`` is in nanoseconds since 1970; 0 if unknown: what a terminal printed has no times.
    """

    stream: int
    time_ns: int
    data: bytes


class Logs:
    """Reads one container's log from its start."""

    def __init__(self, connection: DockerConnection) -> None:
        self._connection = connection

    def is_raw(self, name: str) -> bool:
        """Whether a container has a terminal, whose output has no frames; raises as ``read``."""
        with self._connection.borrow() as api:
            return bool(api.inspect_container(name)["Config"].get("Tty"))

    def read(self, name: str, *, follow: bool, raw: bool = False) -> Iterator[list[LogEntry]]:
        """Yield the entries in batches, as they arrive.

        With ``follow``, until the stream ends, which does not prove that the container ended (I4).
        ``raw``: it is what a terminal printed.
        Raises Unknown if the stream was cut, Refused if the container is missing or its log is
        damaged.
        """
        params: dict[str, str | int] = {
            "stdout": 1,
            "stderr": 1,
            "timestamps": int(not raw),
            "follow": int(follow),
            "since": "0",
        }
        with self._connection.borrow() as api:
            response = api.get(
                self._connection.url(api, f"/containers/{name}/logs"),
                params=params,
                stream=True,
                timeout=(self._connection.timeout, QUIET_TIMES * self._connection.timeout),
            )
            with response:
                if response.status_code != 200:
                    text = error_text(response.text)
                    raise Refused(refusal(response.status_code, text), response.status_code, text)
                if raw:
                    yield from _of_terminal(pieces(response.raw))
                    return
                mender = NewlineMender()
                for batch in batches(pieces(response.raw)):
                    yield mender.mended(batch)
                yield mender.rest()


def _of_terminal(come: Iterable[bytes]) -> Iterator[list[LogEntry]]:
    """Yield what a terminal printed: one stream, without frames."""
    for piece in come:
        yield [LogEntry(1, 0, piece)]


class NewlineMender:
    """Restores the newline after a line of over 16 KiB, which Docker 20.10's ``local`` drops.

    Docker splits such a line into pieces of 16 KiB with one time. A shorter piece of the same time
    without a newline is held until the next entry of its stream proves that the line ended. At the
    end of the log there is no proof, so the last piece gets no newline.
    """

    def __init__(self) -> None:
        self._line: dict[int, int] = {}
        """For each stream within a split line, the line's time."""
        self._held: dict[int, LogEntry] = {}

    def mended(self, batch: list[LogEntry]) -> list[LogEntry]:
        """Return the entries that are certain."""
        log_entries = []
        for entry in batch:
            if (held := self._held.pop(entry.stream, None)) is not None:
                log_entries.append(replace(held, data=held.data + b"\n"))
            within = self._line.pop(entry.stream, None) == entry.time_ns
            whole = entry.data.endswith(b"\n")
            if len(entry.data) == _PIECE_BYTES and not whole:
                self._line[entry.stream] = entry.time_ns
            elif within and not whole:
                self._held[entry.stream] = entry
                continue
            log_entries.append(entry)
        return log_entries

    def rest(self) -> list[LogEntry]:
        """Return the entries still held when the log ends."""
        return list(self._held.values())


def batches(come: Iterable[bytes]) -> Iterator[list[LogEntry]]:
    """Yield the whole entries in each piece of a stream; OSError if it ends within one."""
    buffer = b""
    for piece in come:
        buffer = buffer + piece if buffer else piece
        log_entries: list[LogEntry] = []
        start = 0
        try:
            while len(buffer) - start >= _HEADER.size:
                stream, length = _HEADER.unpack_from(buffer, start)
                end = start + _HEADER.size + length
                if end > len(buffer):
                    break
                log_entries.append(_entry(stream, buffer[start + _HEADER.size : end]))
                start = end
        except Refused:
            yield log_entries
            raise
        buffer = buffer[start:]
        if log_entries:
            yield log_entries
    if buffer:
        raise OSError("the log stream was cut in the middle of an entry")


def _entry(stream: int, payload: bytes) -> LogEntry:
    """Parse an entry; any other stream type is an error of Docker: the log is damaged.

    Docker sends its own errors ("Error grabbing logs: ...") as a third stream, without a time.
    """
    stamp, _, data = payload.partition(b" ")
    try:
        if stream in _STREAMS:
            return LogEntry(stream, parse_time_ns(stamp.decode("ascii")), data)
    except ValueError:
        pass
    text = payload[:200].decode("utf-8", "replace").strip()
    raise Refused(Refusal.INFRA, 500, f"cannot read the rest of the log: {text}")


def parse_time_ns(stamp: str) -> int:
    """Return nanoseconds since 1970 of Docker's RFC 3339 time in UTC.

    >>> parse_time_ns("1970-01-01T00:00:01.5Z")
    1500000000
    """
    seconds, _, fraction = stamp.rstrip("Z").partition(".")
    return _whole_seconds(seconds) * 10**9 + int(fraction.ljust(9, "0")[:9] or "0")


@functools.lru_cache(maxsize=64)
def _whole_seconds(text: str) -> int:
    """Return seconds since 1970; cached, because a loud program has many lines a second."""
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
