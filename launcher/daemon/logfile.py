"""One framed file per attempt: written by its follower alone, read by every client.

A daemon that is killed in the middle of a frame leaves a torn end, which is cut off before going
on. The size is capped; what is cut is said in a NOTE frame.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from launcher.crashpoints import around
from launcher.daemon import clock
from launcher.daemon.position import Position
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


def path_of(directory: Path, job: int, attempt: int) -> Path:
    """Return where an attempt's log is: a thousand jobs to a folder."""
    return directory / str(job // 1000) / f"{job}.{attempt}.log"


LOST = "the rest of the log is lost"


def is_loss(frame: Frame) -> bool:
    """Whether a frame says that the rest of the log is lost."""
    return frame.stream == NOTE and frame.data.startswith(LOST.encode())


class LogWriter:
    """Appends frames; knows where it stands, so that a reopened log goes on without repeating."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self._limit = limit_bytes
        self._size = 0
        self.position = Position()
        self.ended = False
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
            self.position.count(frame.stream, frame.time_ns, len(frame.data))
        self.ended = self.ended or frame.stream == END
        self._cut = self._cut or frame.stream == NOTE

    def write(self, frames: Iterable[Frame]) -> None:
        """Append entries of the container's output together; nothing past the size limit."""
        encoded = bytearray()
        for frame in frames:
            if not self._cut and self._size + len(encoded) + len(frame.data) > self._limit:
                note = f"the log was cut here: it reached {self._limit // 2**20} MiB"
                told = Frame(NOTE, frame.time_ns, note.encode())
                self._count(told)
                encoded += told.encode()
            elif not self._cut:
                encoded += frame.encode()
            self._count(frame)
        if encoded:
            with around("log"):
                self._append(encoded)

    @property
    def size(self) -> int:
        """How many bytes are written."""
        return self._size

    def note(self, text: str) -> None:
        """Append a sentence of ours; nothing of the container's follows it."""
        told = Frame(NOTE, round(clock.now().wall * 1e9), text.encode())
        self._count(told)
        self._append(told.encode())

    def end(self) -> None:
        """Mark the log complete; once."""
        if not self.ended:
            end = Frame(END, round(clock.now().wall * 1e9), b"")
            self._count(end)
            with around("log-end"):
                self._append(end.encode())

    def _append(self, encoded: bytes | bytearray) -> None:
        """Write whole frames; where the disk refuses them, none of them is left in half."""
        left = memoryview(encoded)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += len(encoded)

    def lose(self, why: str) -> None:
        """Say in the file that the rest is lost, if the disk takes that much."""
        with contextlib.suppress(OSError):
            self.note(f"{LOST}: {why}")
            self.end()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class LogReader:
    """Reads whole frames as far as they are written; never blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    @property
    def position(self) -> int:
        """How many bytes of the file were read."""
        return self._position

    def read(self, most: int = 1 << 18) -> Iterator[Frame]:
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
