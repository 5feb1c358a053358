"""One framed file per attempt: written by its follower alone, read by every client.

A daemon that is killed in the middle of a frame leaves a torn end, which is cut off before going
on. The size is capped; what is cut is said in a NOTE frame.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from launcher.wire import (
    END,
    FRAME_HEADER_BYTES,
    NOTE,
    STDERR,
    STDOUT,
    Frame,
    decode_header,
    read_frames,
)

WINDOW_NS = 2 * 10**9
MOST_LATELY = 50_000


def path_of(directory: Path, job: int, attempt: int) -> Path:
    """Return where an attempt's log is: a thousand jobs to a folder."""
    return directory / str(job // 1000) / f"{job}.{attempt}.log"


class LogWriter:
    """Appends frames; knows where it stands, so that a reopened log goes on without repeating."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self._limit = limit_bytes
        self._size = 0
        self.last_ns = 0
        self.ended = False
        self._lately: dict[tuple[int, int, int], int] = {}
        self._cut = False
        self._recover()

    def _recover(self) -> None:
        with os.fdopen(os.dup(self._fd), "rb") as file:
            for frame in read_frames(file.read):
                self._size += FRAME_HEADER_BYTES + len(frame.data)
                self._count(frame)
        os.ftruncate(self._fd, self._size)

    def _count(self, frame: Frame) -> None:
        if frame.stream in (STDOUT, STDERR):
            if frame.time_ns - self.last_ns > WINDOW_NS:
                self._lately.clear()
            self.last_ns = max(self.last_ns, frame.time_ns)
            key = (frame.stream, frame.time_ns, len(frame.data))
            self._lately[key] = self._lately.get(key, 0) + 1
            if len(self._lately) > MOST_LATELY:
                self._forget_old()
        self.ended = self.ended or frame.stream == END
        self._cut = self._cut or frame.stream == NOTE

    def _forget_old(self) -> None:
        since = self.resume_from()
        self._lately = {k: n for k, n in self._lately.items() if k[1] >= since}

    def resume_from(self) -> int:
        """Return from which moment on to read again, in nanoseconds since 1970.

        A little before the last entry: stdout and stderr are stamped apart, so entries are not
        quite in order of time. ``already_has`` tells which of them are here.
        """
        return max(0, self.last_ns - WINDOW_NS)

    def already_has(self) -> Callable[[int, int, bytes], bool]:
        """Return a test that says, once for each, whether an entry read again is here already."""
        left = dict(self._lately)

        def seen(stream: int, time_ns: int, data: bytes) -> bool:
            key = (stream, time_ns, len(data))
            if not left.get(key):
                return False
            left[key] -= 1
            return True

        return seen

    def write(self, stream: int, time_ns: int, data: bytes) -> None:
        """Append one entry of the container's output; nothing past the size limit."""
        frame = Frame(stream, time_ns, data)
        if self._cut:
            self._count(frame)
            return
        if self._size + len(data) > self._limit:
            note = f"the log was cut here: it reached {self._limit // 2**20} MiB"
            frame = Frame(NOTE, time_ns, note.encode())
        self._append(frame)

    def end(self) -> None:
        """Mark the log complete; once."""
        if not self.ended:
            self._append(Frame(END, time.time_ns(), b""))

    def _append(self, frame: Frame) -> None:
        encoded = frame.encode()
        os.write(self._fd, encoded)
        self._size += len(encoded)
        self._count(frame)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class LogReader:
    """Reads whole frames as far as they are written; never blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def read(self, most: int = 1 << 20) -> Iterator[Frame]:
        """Yield the frames that were appended since the last call, about ``most`` bytes."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                chunk = file.read(most)
        except FileNotFoundError:
            return
        offset = 0
        while offset + FRAME_HEADER_BYTES <= len(chunk):
            start = offset + FRAME_HEADER_BYTES
            stream, time_ns, length = decode_header(chunk[offset:start])
            if start + length > len(chunk):
                break
            offset = start + length
            self._position += FRAME_HEADER_BYTES + length
            yield Frame(stream, time_ns, chunk[start:offset])
