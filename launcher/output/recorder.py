"""Writes the output read from one attempt into its log."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable

from launcher.output.log_file import LogWriter
from launcher.wire.frames import NOTE, STDERR, STDOUT, Frame

_NAMES = {STDOUT: "stdout", STDERR: "stderr"}


class Recorder:
    """Appends to a log.

    Output that the disk refuses is counted, and a note says so once the disk accepts writes again.
    Reading goes on, because an unread pipe would stop the job.
    """

    def __init__(self, writer: LogWriter) -> None:
        self._writer = writer
        self._missing: Counter[int] = Counter()
        self._why = ""

    @property
    def is_whole(self) -> bool:
        """Whether everything that was read is written."""
        return not self._missing

    def write(self, pieces: Iterable[tuple[int, bytes]], time_ns: int) -> None:
        """Append pieces of output, each with its stream, read at ``time_ns`` (since 1970)."""
        frames = [Frame(stream, time_ns, data) for stream, data in pieces]
        note = [Frame(NOTE, time_ns, self._what_is_missing().encode())] if self._missing else []
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

    def end(self, time_ns: int) -> None:
        """Mark the log complete: its writers have ended."""
        with contextlib.suppress(OSError):  # the next writer adds the mark
            self._writer.end(time_ns)

    def close(self, time_ns: int) -> None:
        """Close the file."""
        if self._missing:
            with contextlib.suppress(OSError):
                self._writer.note(self._what_is_missing(), time_ns)
        self._writer.close()
