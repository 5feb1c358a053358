"""One container's output on its way from a socket into its log file."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from collections import Counter
from collections.abc import Callable

from launcher.engine.attach import Demultiplexer
from launcher.output.log_file import LogWriter
from launcher.wire.frames import NOTE, STDERR, STDOUT, Frame

PIECE_BYTES = 1 << 18
_NAMES = {STDOUT: "stdout", STDERR: "stderr"}


class Attachment:
    """Reads an attached socket that does not block, and appends to a log.

    What the disk refuses is counted, and told in the log once it takes bytes again: whoever does
    not read stops the job.
    """

    def __init__(self, connection: socket.socket, writer: LogWriter) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._writer = writer
        self._streams = Demultiplexer()
        self._missing: Counter[int] = Counter()
        self._why = ""

    @classmethod
    def taken_over(cls, fd: int, writer: Callable[[], LogWriter]) -> Attachment:
        """Return one of a file that was passed, which must be a socket; it stays open by itself.

        Raises ``OSError``; then neither the socket nor the log is kept open.
        """
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
        connection = socket.socket(fileno=os.dup(fd))
        try:
            return cls(connection, writer())
        except BaseException:
            connection.close()
            raise

    def fileno(self) -> int:
        """Return the socket's file descriptor."""
        return self._connection.fileno()

    def read(self) -> bool | None:
        """Move one piece; None where more may come, else whether the stream came to its end."""
        try:
            data = self._connection.recv(PIECE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return False
        if not data:
            return not self._missing
        now = time.time_ns()
        some = self._streams.feed(data)
        self._write([Frame(stream, now, bytes(data)) for stream, data in some], now)
        return None

    def _write(self, frames: list[Frame], now: int) -> None:
        note = [Frame(NOTE, now, self._what_is_missing().encode())] if self._missing else []
        try:
            self._writer.write([*note, *frames])
            self._missing.clear()
        except OSError as error:
            self._why = error.strerror or str(error)
            for frame in frames:
                self._missing[frame.stream] += len(frame.data)

    def _what_is_missing(self) -> str:
        some = (f"{count} bytes of {_NAMES[stream]}" for stream, count in self._missing.items())
        return f"output is missing here: {' and '.join(some)}: {self._why}"

    def close(self) -> None:
        """Let go of the socket and the file."""
        self._connection.close()
        if self._missing:
            with contextlib.suppress(OSError):
                self._writer.note(self._what_is_missing(), time.time_ns())
        self._writer.close()
