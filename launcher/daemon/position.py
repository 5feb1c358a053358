"""Where a log stands in what Docker keeps: reading again from a moment, nothing twice, none lost.

Docker's log is a fixed sequence, and ``since`` leaves out what is stamped earlier. So an entry that
was read before is told by counting: of all entries from a mark's moment on, the first ``seen`` are
here already. A mark is set where nothing before it is stamped later, and moves on with the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

WINDOW_NS = 2 * 10**9
"""How far stdout and stderr, which are stamped apart, may be out of order at the most."""

Key = tuple[int, int, int]
"""Stream, nanoseconds since 1970, length: enough to know an entry again."""


@dataclass(slots=True)
class Mark:
    """A moment, how many entries from it on are here, and the first of them."""

    time_ns: int = 0
    seen: int = 0
    first: Key | None = None

    def count(self, key: Key) -> None:
        """Count an entry in, if it is of this mark's time."""
        if key[1] >= self.time_ns:
            self.first = self.first or key
            self.seen += 1


class Position:
    """Counts the entries of one log; constant in memory and time however much there is."""

    def __init__(self) -> None:
        self._whole = Mark()
        self._mark = Mark()
        self._next: Mark | None = None
        self._newest = 0

    def count(self, stream: int, time_ns: int, length: int) -> None:
        """Note that an entry is here now."""
        key = (stream, time_ns, length)
        self._newest = max(self._newest, time_ns)
        for mark in (self._whole, self._mark, self._next):
            if mark is not None:
                mark.count(key)
        if time_ns < self._mark.time_ns:  # the clock was set back: only the whole log is sure
            self._mark = Mark(self._whole.time_ns, self._whole.seen, self._whole.first)
        if self._next is None:
            self._next = Mark(self._newest + 1)
        elif time_ns > self._next.time_ns + WINDOW_NS:
            self._mark, self._next = self._next, Mark(self._newest + 1)

    def resume_from(self) -> int:
        """Return from which moment on to read again, in nanoseconds since 1970; 0 is all."""
        return self._mark.time_ns

    def already_has(self) -> Callable[[int, int, int], bool]:
        """Return a test for the entries read again from there, asked once for each, in order.

        Where Docker dropped the oldest ones meanwhile (its log is rotated) counting would skip new
        ones: then the time tells.
        """
        left, first, newest = self._mark.seen, self._mark.first, self._newest
        by_time = False

        def seen(stream: int, time_ns: int, length: int) -> bool:
            nonlocal left, first, by_time
            if first is not None:
                by_time = (stream, time_ns, length) != first
                first = None
            if by_time:
                return time_ns <= newest
            left -= 1
            return left >= 0

        return seen
