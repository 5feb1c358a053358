"""Converts the log files of 0.1.0: consecutive frames without blocks."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from launcher.output.blocks import MAGIC
from launcher.output.log_file import LogWriter
from launcher.wire.frames import END, read_frames

_NO_LIMIT = 1 << 62


def convert_if_old(path: Path) -> None:
    """Replace a log file of the old format by the current one; leave any other unchanged.

    Raises ``OSError``; a file that cannot be replaced stays unchanged.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    with os.fdopen(fd, "rb") as file:
        start = file.read(len(MAGIC))
        if not start or start == MAGIC:
            return
        fcntl.flock(file, fcntl.LOCK_EX)  # another reader may convert it at the same time
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            file.seek(0)
            _convert(file, path)


def _convert(old: BinaryIO, path: Path) -> None:
    fd, name = tempfile.mkstemp(prefix=path.name, suffix=".new", dir=path.parent)
    os.close(fd)
    try:
        writer = LogWriter(Path(name), _NO_LIMIT)
        try:
            for frame in read_frames(old.read):
                if frame.stream == END:
                    writer.end(max(1, frame.time_ns))
                else:
                    writer.write([frame])
        finally:
            writer.close()
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
