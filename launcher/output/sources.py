"""The sources of an attempt's output: a container's attached socket, or a host job's two pipes.

They do not block. The passed descriptors are duplicated, so the caller may close its own.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from launcher.output.log_file import LogWriter
from launcher.output.recorder import Recorder
from launcher.wire.docker_stream import Demultiplexer
from launcher.wire.frames import STDERR, STDOUT

PIECE_BYTES = 1 << 18


class Source(Protocol):
    """One attempt's output, and the log it goes to."""

    def fds(self) -> tuple[int, ...]:
        """Return the file descriptors to read."""

    def read(self, fd: int) -> bool | None:
        """Move one piece; None if more may come, else whether all of the source is written."""

    def close(self) -> None:
        """Close the files."""


def taken_over(
    files: Sequence[int], writer: Callable[[], LogWriter], *, raw: bool = False
) -> Source:
    """Return the source in passed descriptors: an attached socket, or stdout and stderr pipes.

    The socket of a container with a terminal is ``raw``: one stream without frames.

    Raises ``OSError`` for anything else, and closes the descriptors and the log.
    """
    kinds = [stat.S_IFMT(os.fstat(fd).st_mode) for fd in files]
    if kinds not in ([stat.S_IFSOCK], [stat.S_IFIFO, stat.S_IFIFO]):
        raise OSError(errno.ENOTSOCK, "neither a socket nor two pipes were passed")
    held = [os.dup(fd) for fd in files]
    try:
        recorder = Recorder(writer())
    except BaseException:
        for fd in held:
            os.close(fd)
        raise
    return Pipes(held, recorder) if len(held) > 1 else Attachment(held[0], recorder, raw=raw)


class Attachment:
    """Reads the stream of a container's attached socket (Docker API: ContainerAttach)."""

    def __init__(self, fd: int, recorder: Recorder, *, raw: bool) -> None:
        self._connection = socket.socket(fileno=fd)
        self._connection.setblocking(False)
        self._recorder = recorder
        self._streams = None if raw else Demultiplexer()

    def fds(self) -> tuple[int, ...]:
        """Return the socket's file descriptor."""
        return (self._connection.fileno(),)

    def read(self, fd: int) -> bool | None:
        """Move one piece; a stream that breaks off is not whole."""
        try:
            data = self._connection.recv(PIECE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return False
        if not data:
            return self._recorder.is_whole
        streams = [(STDOUT, data)] if self._streams is None else self._streams.feed(data)
        self._recorder.write(((each, bytes(data)) for each, data in streams), time.time_ns())
        return None

    def close(self) -> None:
        """Close the socket and the log."""
        self._connection.close()
        self._recorder.close(time.time_ns())


class Pipes:
    """Reads the pipes of stdout and stderr, each until its last writer closes it."""

    def __init__(self, fds: Sequence[int], recorder: Recorder) -> None:
        self._streams = dict(zip(fds, (STDOUT, STDERR), strict=True))
        self._recorder, self._left = recorder, len(fds)
        for fd in fds:
            os.set_blocking(fd, False)

    def fds(self) -> tuple[int, ...]:
        """Return the pipes."""
        return tuple(self._streams)

    def read(self, fd: int) -> bool | None:
        """Move one piece of a pipe."""
        try:
            data = os.read(fd, PIECE_BYTES)
        except BlockingIOError:
            return None
        if data:
            self._recorder.write([(self._streams[fd], data)], time.time_ns())
            return None
        self._left -= 1
        if not self._left and self._recorder.is_whole:
            self._recorder.end(time.time_ns())
        return self._recorder.is_whole

    def close(self) -> None:
        """Close the pipes and the log."""
        for fd in self._streams:
            os.close(fd)
        self._streams.clear()
        self._recorder.close(time.time_ns())
