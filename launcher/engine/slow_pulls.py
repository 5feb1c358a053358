"""Ends slow pulls: Docker downloads three layers at a time, for all users together.

Otherwise a registry that sends a byte now and then would occupy those places indefinitely
(dockerd's ``max-concurrent-downloads``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

WINDOW_SECONDS = 120.0
LEAST_BYTES = 1 << 20
_LOADS = "Downloading"
_DONE = ("Download complete", "Pull complete")
_WAITS = ("Pulling fs layer", "Waiting", "Already exists", "Retrying", *_DONE)


class PullTooSlow(Exception):
    """A pull that made too little progress."""


class Speed:
    """Watches the progress of a pull."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._since, self._before = now(), 0
        self._sizes: dict[str, int] = {}

    def check(self, layers: Iterable[tuple[str, str, int]]) -> None:
        """Check the layers, each with id, status and bytes received; raises ``PullTooSlow``.

        Docker's work on received layers, such as extracting them, is not limited.
        """
        loads = False
        for layer, status, current in layers:
            if status == _LOADS:
                loads = True
                self._sizes[layer] = max(current, self._sizes.get(layer, 0))
            elif not status.startswith(_WAITS):
                self._since = self._now()
        came = sum(self._sizes.values())
        if came - self._before >= LEAST_BYTES:
            self._since, self._before = self._now(), came
        elif not loads:
            self._since = self._now()
        elif self._now() - self._since > WINDOW_SECONDS:
            raise PullTooSlow(
                f"the registry sent less than {LEAST_BYTES // 2**20} MiB"
                f" in {WINDOW_SECONDS / 60:g} minutes"
            )
