"""How much one user asks of the daemon, counted by uid; too much is refused, never served later.

Nothing here waits: who is refused hears when to come again, and the server gives that answer only
after a pause, so that a flood is as slow as it was asked to be.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from weakref import WeakValueDictionary

from launcher.config.limits import Limits
from launcher.daemon.users.identity import Caller
from launcher.errors import TooMany

SAVED_UP_SECONDS = 10.0
MINUTE = 60.0
PIECE = 64 * 1024
CHANGES = 5
"""So many times may a job be changed for each that may be queued."""
STREAM_RETRY_SECONDS = 5.0
KEPT = 1000
"""When there are this many buckets, and whenever their number has doubled, full ones go."""


class Bucket:
    """So many a second, and up to ``burst`` at once that were saved up."""

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._at = self._burst, now

    def take(self, cost: float, now: float) -> float:
        """Take ``cost`` and return 0; or take nothing, and return after how many seconds to ask.

        One that costs more than can be saved up passes when the bucket is full, and leaves a debt.
        """
        self._level, self._at = self._saved(now), now
        lacking = min(cost, self._burst) - self._level
        if lacking > 0:
            return lacking / self._rate
        self._level -= cost
        return 0.0

    def spend(self, cost: float, now: float, most_owed: float) -> None:
        """Take ``cost`` that was used already; it leaves a debt of ``most_owed`` at most."""
        self._level = max(-most_owed, self._saved(now) - cost)
        self._at = now

    def owes(self, now: float) -> float:
        """Return what was taken above what there was, negative while there is some left."""
        return -self._saved(now)

    def is_full(self, now: float) -> bool:
        """Whether nothing that was taken is left to make up for."""
        return self._saved(now) >= self._burst

    def _saved(self, now: float) -> float:
        return min(self._burst, self._level + (now - self._at) * self._rate)


class Limiter:
    """What every user has open, and how fast requests come. ``now`` is in seconds."""

    def __init__(self, limits: Limits, now: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._now = now
        self._own = frozenset({0, os.getuid()})
        self._rates = _rates(limits)
        self._connections: Counter[int] = Counter()
        self._streams: Counter[int] = Counter()
        self._buckets: dict[tuple[int, str], Bucket] = {}
        self._sweep_at = KEPT
        self._alone: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()

    def connected(self, uid: int) -> bool:
        """Count a connection; False, and not counted, if the user has as many as allowed."""
        if self._connections[uid] >= self.limits.connections:
            return False
        if uid not in self._own and self._bucket(uid, "connects").take(1.0, self._now()):
            return False
        self._connections[uid] += 1
        return True

    def disconnected(self, uid: int) -> None:
        """Count a connection no more."""
        self._connections[uid] -= 1
        if self._connections[uid] <= 0:
            del self._connections[uid]

    def request(self, caller: Caller) -> None:
        """Count a request; raises ``TooMany``."""
        self._take(caller, "requests_per_second", 1.0)

    def submit(self, caller: Caller, size: int) -> None:
        """Count a submit whose body has ``size`` bytes; raises ``TooMany``."""
        self._take(caller, "submits_per_minute", 1.0 + size // PIECE)

    def jobs(self, caller: Caller, count: int, *, dry_run: bool = False) -> None:
        """Count jobs that are queued; raises ``TooMany``, at once where no minute has so many."""
        if count > self.limits.jobs_per_minute and not caller.admin:
            raise too_many(
                caller.owner.name, "jobs_per_minute", self.limits.jobs_per_minute, MINUTE
            )
        if not dry_run:
            self._take(caller, "jobs_per_minute", float(count))

    def changes(self, caller: Caller, count: int) -> None:
        """Count jobs that are held, released, edited ...: each leaves a line; ``TooMany``."""
        self._take(caller, "jobs_per_minute", float(count), "changes")

    def _take(self, caller: Caller, name: str, cost: float, of: str | None = None) -> None:
        if caller.admin:
            return
        wait = self._bucket(caller.uid, of or name).take(cost, self._now())
        if wait > 0:
            raise too_many(caller.owner.name, name, getattr(self.limits, name), wait)

    def _bucket(self, uid: int, name: str) -> Bucket:
        bucket = self._buckets.get((uid, name))
        if bucket is None:
            rate, burst = self._rates[name]
            if len(self._buckets) >= self._sweep_at:
                self._sweep()
            bucket = self._buckets[uid, name] = Bucket(rate, max(burst, 1.0), self._now())
        return bucket

    def _sweep(self) -> None:
        """Forget the buckets that are full: a new one is the same."""
        now = self._now()
        self._buckets = {key: one for key, one in self._buckets.items() if not one.is_full(now)}
        self._sweep_at = max(KEPT, 2 * len(self._buckets))

    @contextlib.contextmanager
    def stream(self, caller: Caller) -> Iterator[None]:
        """Count a request that stays open, while it does; raises ``TooMany``."""
        uid, most = caller.uid, self.limits.streams
        if self._streams[uid] >= most and not caller.admin:
            raise too_many(caller.owner.name, "streams", most, STREAM_RETRY_SECONDS)
        self._streams[uid] += 1
        try:
            yield
        finally:
            self._streams[uid] -= 1
            if self._streams[uid] <= 0:
                del self._streams[uid]

    def alone(self, uid: int, route: str) -> asyncio.Lock:
        """Return what one user's costly requests of a kind hold: they come one after the other."""
        lock = self._alone.get((uid, route)) or asyncio.Lock()
        return self._alone.setdefault((uid, route), lock)


def _rates(limits: Limits) -> dict[str, tuple[float, float]]:
    """Return (how many a second, how many at once) of everything that has a rate."""
    requests = limits.requests_per_second
    return {
        # Most commands connect for every request: those are to hear which limit they are above.
        "connects": (2 * requests, 2 * requests * SAVED_UP_SECONDS),
        "requests_per_second": (requests, requests * SAVED_UP_SECONDS),
        "submits_per_minute": (limits.submits_per_minute / MINUTE, limits.submits_per_minute),
        "jobs_per_minute": (limits.jobs_per_minute / MINUTE, limits.jobs_per_minute),
        "changes": (
            CHANGES * limits.jobs_per_minute / MINUTE,
            CHANGES * limits.jobs_per_minute,
        ),
    }


_WHAT = {
    "streams": "requests that follow or wait at once",
    "requests_per_second": "requests a second",
    "submits_per_minute": "submits a minute",
    "jobs_per_minute": "new jobs a minute, and five times as many that are changed",
}
_ADVICE = {
    "streams": "End some of them: one `launch wait` takes many jobs.",
    "submits_per_minute": "Submit many jobs at once: an array, a matrix, or several files.",
    "jobs_per_minute": "Submit fewer jobs, or later.",
}


def too_many(user: str, name: str, most: float, wait: float) -> TooMany:
    """Return the refusal that names the limit, its value and what to do; ``wait`` in seconds."""
    error = TooMany(
        f"{user} asks too much of the daemon: the limit is {most:g} {_WHAT[name]}"
        f" ([limits] {name})",
        fix=_ADVICE.get(name, "Ask less often."),
    )
    error.retry_after = wait
    return error
