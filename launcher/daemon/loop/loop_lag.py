"""How long the event loop is blocked: the time of its turns, between two waits for I/O."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections import deque
from dataclasses import dataclass

KEPT_SECONDS = 60


@dataclass(slots=True)
class LoopTurn:
    """The longest turns of a second: in time, and in processor time of the loop's own thread."""

    second: int
    lasted: float = 0.0
    computed: float = 0.0


class Lag:
    """The longest turns of the last minute, in seconds. The loop's thread writes it."""

    def __init__(self) -> None:
        self._turns: deque[LoopTurn] = deque(maxlen=KEPT_SECONDS + 1)

    def note(self, at: float, lasted: float, computed: float) -> None:
        """Count one turn that ended ``at`` (time.monotonic())."""
        if not self._turns or self._turns[-1].second != int(at):
            self._turns.append(LoopTurn(int(at)))
        turn = self._turns[-1]
        turn.lasted, turn.computed = max(turn.lasted, lasted), max(turn.computed, computed)

    def largest(self) -> tuple[float, float]:
        """Return the longest turn of the last minute: in time, and in processor time.

        The first includes the time that the loop waited for a processor or for other threads.
        """
        since = time.monotonic() - KEPT_SECONDS
        recent = [turn for turn in self._turns if turn.second >= since]
        longest = max((turn.lasted for turn in recent), default=0.0)
        return longest, max((turn.computed for turn in recent), default=0.0)

    def forget(self) -> None:
        """Reset: a slow start does not count."""
        self._turns.clear()


class _Selector(selectors.DefaultSelector):
    """The system's selector. The loop computes whenever it is not waiting here."""

    def __init__(self, lag: Lag) -> None:
        super().__init__()
        self._lag = lag
        self._since, self._computed = time.monotonic(), time.thread_time()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait, and measure the time since the last wait."""
        now = time.monotonic()
        self._lag.note(now, now - self._since, time.thread_time() - self._computed)
        try:
            return super().select(timeout)
        finally:
            self._since, self._computed = time.monotonic(), time.thread_time()


class MeasuredLoop(asyncio.SelectorEventLoop):
    """The event loop of a daemon, which measures its lag."""

    def __init__(self) -> None:
        self.lag = Lag()
        super().__init__(_Selector(self.lag))


def present() -> Lag:
    """Return the lag of the running loop; without figures if it is not measured."""
    loop = asyncio.get_running_loop()
    return loop.lag if isinstance(loop, MeasuredLoop) else Lag()
