"""Limits the helper's processes per user: the helper has a few for all users.

A user whose mounts do not answer can block only some of them.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from launcher.errors import PinsUnavailable


class UserTurns:
    """At most ``most`` threads at a time for each uid."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._busy: Counter[int] = Counter()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def of(self, uid: int, seconds: float) -> Iterator[None]:
        """Wait for a turn; raises ``PinsUnavailable`` if none comes within ``seconds``."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._busy[uid] < self._most, seconds):
                raise PinsUnavailable(f"other mounts of uid {uid} do not answer")
            self._busy[uid] += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy[uid] -= 1
                self._busy += Counter()  # drops the uids at zero
                self._changed.notify_all()
