"""The last lines of a log: found in two passes, which hold one piece of it at a time."""

from __future__ import annotations

from collections.abc import Iterable

from launcher.wire import NOTE, Frame


class Lines:
    """Numbers the lines of a log, from 0; a long line comes in several frames of its stream."""

    def __init__(self) -> None:
        self.count = 0
        self._unfinished: dict[int, int] = {}

    def number_of(self, frame: Frame) -> int:
        """Return the number of the line that the next frame of the log belongs to."""
        number = self._unfinished.pop(frame.stream, self.count)
        self.count = max(self.count, number + 1)
        if frame.stream != NOTE and not frame.data.endswith(b"\n"):
            self._unfinished[frame.stream] = number
        return number

    def add(self, frames: Iterable[Frame]) -> bool:
        """Count the lines of these frames; returns whether there were any."""
        some = False
        for frame in frames:
            self.number_of(frame)
            some = True
        return some


class Tail:
    """Lets the frames of the last lines pass: of those from ``first`` on."""

    def __init__(self, first: int) -> None:
        self._first, self._lines = first, Lines()

    def shows(self, frame: Frame) -> bool:
        """Return whether the next frame of the log belongs to one of them."""
        return self._lines.number_of(frame) >= self._first
