"""Log files for tests: written and read whole."""

from __future__ import annotations

from pathlib import Path

from launcher.output.log_file import LogWriter
from launcher.output.reader import LogReader
from launcher.wire import STDERR, STDOUT, Frame

LIMIT = 1 << 22


def write(path: Path, *frames: Frame, limit: int = LIMIT) -> None:
    """Append frames to a log file."""
    writer = LogWriter(path, limit)
    writer.write(frames)
    writer.close()


def read_all(path: Path, *, as_written: bool = False) -> list[Frame]:
    """Return all frames; parts of the same entry (stream and time) joined unless ``as_written``."""
    joined: list[Frame] = []
    for frame in LogReader(path).read(1 << 30):
        last = joined[-1] if joined else None
        if (
            last is not None
            and not as_written
            and frame.stream in (STDOUT, STDERR)
            and (last.stream, last.time_ns) == (frame.stream, frame.time_ns)
        ):
            joined[-1] = Frame(frame.stream, frame.time_ns, last.data + frame.data)
        else:
            joined.append(frame)
    return joined


def bytes_of(frames: list[Frame]) -> tuple[bytes, bytes]:
    """Return what frames have of stdout and stderr."""
    out = b"".join(frame.data for frame in frames if frame.stream == STDOUT)
    err = b"".join(frame.data for frame in frames if frame.stream == STDERR)
    return out, err
