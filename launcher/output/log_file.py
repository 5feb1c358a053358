"""Writes the log file of an attempt. One process writes it, any number may read it.

A writer killed within a frame leaves a torn end, which the next writer cuts off. The size is
limited: a note marks where the log was cut, and the end mark follows.
"""

from __future__ import annotations

import contextlib
import copy
import fcntl
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from launcher.crashpoints import around
from launcher.output.blocks import (
    BLOCK_BYTES,
    FILLER,
    HEADER_BYTES,
    SHORTEST,
    Totals,
    start_of_block,
)
from launcher.output.parsing import frames_of
from launcher.wire.frames import END, FRAME_HEADER_BYTES, NOTE, Frame

LOST = "the rest of the log is lost"


def path_of(directory: Path, job: int, attempt: int) -> Path:
    """Return the path of an attempt's log."""
    return folder_of(directory, job) / f"{job}.{attempt}.log"


def folder_of(directory: Path, job: int) -> Path:
    """Return the directory of a job's logs: a thousand jobs share one."""
    return directory / str(job // 1000)


def is_loss(frame: Frame) -> bool:
    """Whether a frame is the note that the rest of the log is lost."""
    return frame.stream == NOTE and frame.data.startswith(LOST.encode())


@dataclass(frozen=True, slots=True)
class Limit:
    """Maximum bytes of a log, and the reason if it is not the general limit."""

    bytes: int
    why: str = ""


class LogWriter:
    """Appends frames to a log file of at most ``limit_bytes``; raises ``OSError``.

    ``why`` is the reason given where the log is cut, instead of the limit. If another process
    writes the log, ``wait`` waits for it; otherwise ``BlockingIOError`` is raised.
    """

    def __init__(self, path: Path, limit_bytes: int, why: str = "", *, wait: bool = True) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self._limit, self._why = limit_bytes, why
        self.totals = Totals()
        self.ended = False
        """Whether no more is written: the log is complete, or was cut at its limit."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._size = os.fstat(self._fd).st_size
            self._recover()
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Number of bytes written."""
        return self._size

    def _recover(self) -> None:
        """Truncate the file after its last whole frame, and take the totals there."""
        while self._size:
            start = start_of_block(self._size - 1)
            block = os.pread(self._fd, self._size - start, start)
            totals = Totals.decode(block)
            if totals is not None:
                break
            self._size = start
        else:
            os.ftruncate(self._fd, 0)
            return
        end = start + HEADER_BYTES
        for frame, end in frames_of(block, start):  # noqa: B007 - only the last end is used
            totals.add(frame.stream, frame.time_ns, frame.data)
            self.ended = self.ended or frame.stream == END
        self._size, self.totals = end, totals
        os.ftruncate(self._fd, end)

    def write(self, frames: Iterable[Frame]) -> None:
        """Append frames of the container's output together; ignore them after the size limit."""
        out, totals = bytearray(), copy.copy(self.totals)
        cut = None
        for frame in frames:
            if self.ended or cut:
                break
            if self._size + len(out) + len(frame.data) > self._limit:
                cut = frame
            else:
                self._put(out, totals, frame)
        if cut is not None:
            why = self._why or f"it reached {self._limit // 2**20} MiB"
            note = f"the log was cut here: {why}"
            self._put(out, totals, Frame(NOTE, cut.time_ns, note.encode()))
            self._put(out, totals, Frame(END, cut.time_ns, b""))
        if out:
            with around("log"):
                self._append(out, totals)
            self.ended = self.ended or cut is not None

    def note(self, text: str, time_ns: int) -> None:
        """Append a note of the launcher."""
        self._write_one(Frame(NOTE, time_ns, text.encode()))

    def end(self, time_ns: int) -> None:
        """Mark the log complete, once."""
        if not self.ended:
            with around("log-end"):
                self._write_one(Frame(END, time_ns, b""))
            self.ended = True

    def lose(self, why: str, time_ns: int) -> None:
        """Note in the file that the rest is lost, if the disk allows."""
        with contextlib.suppress(OSError):
            self.note(f"{LOST}: {why}", time_ns)
            self.end(time_ns)

    def _write_one(self, frame: Frame) -> None:
        if not self.ended:
            out, totals = bytearray(), copy.copy(self.totals)
            self._put(out, totals, frame)
            self._append(out, totals)

    def _put(self, out: bytearray, totals: Totals, frame: Frame) -> None:
        """Encode a frame, split if it does not fit the block; notes are never split."""
        left = memoryview(frame.data)
        whole = frame.stream in (NOTE, END)
        while True:
            used = (self._size + len(out)) % BLOCK_BYTES
            free = BLOCK_BYTES - used if used else 0
            if free < (FRAME_HEADER_BYTES + len(left) if whole else SHORTEST):
                out += bytes([FILLER]) * free
                out += totals.encode()
                free = BLOCK_BYTES - HEADER_BYTES
            piece = bytes(left[: free - FRAME_HEADER_BYTES])
            out += Frame(frame.stream, frame.time_ns, piece).encode()
            totals.add(frame.stream, frame.time_ns, piece)
            left = left[len(piece) :]
            if not left:
                return

    def _append(self, encoded: bytearray, totals: Totals) -> None:
        """Write whole frames; if the disk refuses them, leave no partial frame."""
        left = memoryview(encoded)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += len(encoded)
        self.totals = totals

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
