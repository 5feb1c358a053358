"""How many of many jobs have ended, while they are waited for: on stderr."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence

from launcher.cli.output import terminal
from launcher.client import Client
from launcher.errors import LauncherError
from launcher.wire import JobView

FEW = 2
"""So many jobs and fewer are waited for without a word."""
REDRAW_SECONDS, PLAIN_SECONDS = 2.0, 60.0
"""Between two lines: on a terminal each replaces the one before, elsewhere they add up."""

A_LOOK = 500
"""For each so many jobs the time between two lines is once as long."""


class Tally:
    """Waits for jobs one after the other, and says meanwhile how all of them are."""

    def __init__(self, client: Client, refs: Sequence[int | str]) -> None:
        self._client, self._refs = client, refs
        self._redraws = sys.stderr.isatty()
        # All of them are listed each time.
        often = max(1.0, len(refs) / A_LOOK)
        self._seconds = often * (REDRAW_SECONDS if self._redraws else PLAIN_SECONDS)
        self._next = time.monotonic() + self._seconds
        self._shown = ""

    def __enter__(self) -> Tally:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown and self._redraws:
            terminal.write(2, b"\r\x1b[K", quiet=True)

    def wait(self, ref: int | str, seconds: float | None) -> JobView:
        """Return a job when it has its outcome, or after so many seconds as it is then."""
        if len(self._refs) <= FEW:
            return self._client.wait(ref, seconds)
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            now = time.monotonic()
            pause = max(0.0, self._next - now)
            left = pause if end is None else min(pause, max(0.0, end - now))
            view = self._client.wait(ref, left)
            if view.outcome is not None or (end is not None and time.monotonic() >= end):
                return view
            self._say()

    def _say(self) -> None:
        self._next = time.monotonic() + self._seconds
        try:
            views = self._client.jobs(self._refs)
        except LauncherError:
            return  # the next wait says what is wrong
        text = tallied(views)
        if text == self._shown:
            return
        self._shown = text
        if self._redraws:
            terminal.write(2, f"\r\x1b[K{text}".encode(), quiet=True)
        else:
            terminal.say(text)


def tallied(views: Sequence[JobView]) -> str:
    """Return how many jobs there are in each state; one line.

    >>> tallied([])
    '0 of 0 ended'
    """
    ended = [view for view in views if view.outcome is not None]
    parts = [f"{len(ended)} of {len(views)} ended"]
    failed = sum(view.outcome != "COMPLETED" for view in ended)
    parts += [f"{failed} of them not well"] if failed else []
    states = Counter("run" if view.state in RUNS else "wait" for view in views if not view.outcome)
    return ", ".join(parts + [f"{states[word]} {word}" for word in ("run", "wait") if states[word]])


RUNS = ("STARTING", "RUNNING", "COMPLETING")
