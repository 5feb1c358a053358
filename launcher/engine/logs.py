"""A container's output as Docker kept it: streams told apart, each entry with its time.

The framing is read here: docker-py's own reader drops which stream a piece came from.
Docker API "Attach": 8-byte header, stream type and big-endian length.
"""

from __future__ import annotations

import calendar
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from launcher.engine.connection import Connection
from launcher.engine.outcome import Refusal, Refused, error_text, refusal

_HEADER = struct.Struct(">BxxxL")
_STREAMS = (1, 2)


@dataclass(frozen=True, slots=True)
class Entry:
    """One log entry: 1 is stdout, 2 stderr; nanoseconds since 1970; a line or a piece of one."""

    stream: int
    time_ns: int
    data: bytes


class Logs:
    """Reads one container's log from a moment on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, name: str, since_ns: int, follow: bool) -> Iterator[Entry]:
        """Yield entries from ``since_ns`` (included) on; with ``follow`` until the log ends.

        That the stream ended says nothing about the container (I4). Raises Unknown where it was
        cut in the middle of an entry, Refused where there is no such container or its log is
        damaged.
        """
        since = f"{since_ns // 10**9}.{since_ns % 10**9:09d}" if since_ns else "0"
        params: dict[str, str | int] = {
            "stdout": 1,
            "stderr": 1,
            "timestamps": 1,
            "follow": int(follow),
            "since": since,
        }
        with self._connection.borrow() as api:
            answer = api.get(
                self._connection.url(api, f"/containers/{name}/logs"),
                params=params,
                stream=True,
                timeout=(10, None),
            )
            with answer:
                if answer.status_code != 200:
                    text = error_text(answer.text)
                    raise Refused(refusal(answer.status_code, text), answer.status_code, text)
                yield from _entries(answer.raw)


def _entries(raw: Any) -> Iterator[Entry]:
    while len(header := raw.read(_HEADER.size)) == _HEADER.size:
        stream, length = _HEADER.unpack(header)
        payload = raw.read(length)
        if len(payload) < length:
            raise OSError("the log stream was cut in the middle of an entry")
        yield _entry(stream, payload)
    if header:
        raise OSError("the log stream was cut in the middle of a header")


def _entry(stream: int, payload: bytes) -> Entry:
    """Return an entry; anything else in the stream is Docker's word that the log is damaged.

    Docker tells its own errors ("Error grabbing logs: ...") as a third stream, without a time.
    """
    stamp, _, data = payload.partition(b" ")
    try:
        if stream in _STREAMS:
            return Entry(stream, parse_time_ns(stamp.decode("ascii")), data)
    except ValueError:
        pass
    text = payload[:200].decode("utf-8", "replace").strip()
    raise Refused(Refusal.INFRA, 500, f"the log cannot be read on: {text}")


def parse_time_ns(stamp: str) -> int:
    """Return nanoseconds since 1970 of Docker's RFC 3339 time in UTC.

    >>> parse_time_ns("1970-01-01T00:00:01.5Z")
    1500000000
    """
    seconds, _, fraction = stamp.rstrip("Z").partition(".")
    whole = calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S"))
    return whole * 10**9 + int(fraction.ljust(9, "0")[:9] or "0")
