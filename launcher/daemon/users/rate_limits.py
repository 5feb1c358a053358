"""Limits requests by uid; excess requests are refused, never queued.

Nothing here waits. A refusal has the time of the next try, and the server delays the reply, so that
clients cannot retry in a tight loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from weakref import WeakValueDictionary

from launcher.config.limits import Limits
from launcher.config.settings import Config
from launcher.config.web import UsersTable
from launcher.daemon.users.identity import Caller
from launcher.errors import TooMany

SAVED_UP_SECONDS = 10.0
MINUTE = 60.0
PIECE = 64 * 1024
CHANGES = 5
"""Changes allowed per job that may be queued."""
STREAM_RETRY_SECONDS = 5.0
KEPT = 1000
"""At this many buckets, and whenever their number has doubled, full ones are dropped."""


class Bucket:
    """A token bucket: a rate per second, and up to ``burst`` saved tokens."""

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._at = self._burst, now

    def take(self, cost: float, now: float) -> float:
        """Take ``cost`` and return 0; or take nothing, and return the seconds until the next try.

        A cost above ``burst`` passes when the bucket is full, and leaves a debt.
        """
        self._level, self._at = self._saved(now), now
        lacking = min(cost, self._burst) - self._level
        if lacking > 0:
            return lacking / self._rate
        self._level -= cost
        return 0.0

    def spend(self, cost: float, now: float, most_owed: float) -> None:
        """Take ``cost`` that was used already, leaving a debt of at most ``most_owed``."""
        self._level = max(-most_owed, self._saved(now) - cost)
        self._at = now

    def owes(self, now: float) -> float:
        """Return the debt, negative while tokens are left."""
        return -self._saved(now)

    def is_full(self, now: float) -> bool:
        """Whether the bucket is full."""
        return self._saved(now) >= self._burst

    def _saved(self, now: float) -> float:
        return min(self._burst, self._level + (now - self._at) * self._rate)


class Limiter:
    """Every user's open connections and streams, and request rates. ``now`` is in seconds."""

    def __init__(
        self,
        limits: Limits,
        now: Callable[[], float] = time.monotonic,
        observer: Limits | None = None,
    ) -> None:
        """``observer`` are the limits of the daemon's observer: ``Limiter.observed_by``."""
        self.limits = limits
        self._observer = observer or limits
        self._observer_rates = _rates(self._observer)
        self._observer_uid: int | None = None
        self._now = now
        self._own = frozenset({0, os.getuid()})
        self._rates = _rates(limits)
        self._connections: Counter[int] = Counter()
        self._streams: Counter[int] = Counter()
        self._buckets: dict[tuple[int, str], Bucket] = {}
        self._sweep_at = KEPT
        self._alone: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()

    @classmethod
    def of(cls, config: Config) -> Limiter:
        """Return the limiter of a daemon."""
        return cls(config.limits, observer=observer_limits(config.limits, config.users))

    def observed_by(self, uid: int) -> None:
        """Give a uid the limits of the observer, whose name was found to be that of the uid."""
        if uid != self._observer_uid:
            self._observer_uid = uid
            self._buckets = {key: each for key, each in self._buckets.items() if key[0] != uid}

    def _limits_of(self, uid: int) -> Limits:
        return self._observer if uid == self._observer_uid else self.limits

    def connected(self, uid: int) -> bool:
        """Count a connection; return False, without counting it, above the limit."""
        if self._connections[uid] >= self._limits_of(uid).connections:
            return False
        if uid not in self._own and self._bucket(uid, "connects").take(1.0, self._now()):
            return False
        self._connections[uid] += 1
        return True

    def disconnected(self, uid: int) -> None:
        """Stop counting a connection."""
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
        """Count queued jobs; raises ``TooMany``, immediately if no minute allows so many."""
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
            most = getattr(self._limits_of(caller.uid), name)
            raise too_many(caller.owner.name, name, most, wait)

    def _bucket(self, uid: int, name: str) -> Bucket:
        bucket = self._buckets.get((uid, name))
        if bucket is None:
            rates = self._observer_rates if uid == self._observer_uid else self._rates
            rate, burst = rates[name]
            if len(self._buckets) >= self._sweep_at:
                self._sweep()
            bucket = self._buckets[uid, name] = Bucket(rate, max(burst, 1.0), self._now())
        return bucket

    def _sweep(self) -> None:
        """Drop the full buckets: a new one is identical."""
        now = self._now()
        self._buckets = {
            key: bucket for key, bucket in self._buckets.items() if not bucket.is_full(now)
        }
        self._sweep_at = max(KEPT, 2 * len(self._buckets))

    @contextlib.contextmanager
    def stream(self, caller: Caller) -> Iterator[None]:
        """Count a request while it stays open; raises ``TooMany``."""
        uid, most = caller.uid, self._limits_of(caller.uid).streams
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
        """Return the lock that serialises one user's costly requests of a kind."""
        lock = self._alone.get((uid, route)) or asyncio.Lock()
        return self._alone.setdefault((uid, route), lock)


def observer_limits(limits: Limits, users: UsersTable) -> Limits:
    """Return the limits of the observer: its own rates, with connections for all its streams."""
    return dataclasses.replace(
        limits,
        requests_per_second=users.observer_requests_per_second,
        streams=users.observer_streams,
        connections=max(limits.connections, 2 * users.observer_streams),
    )


def _rates(limits: Limits) -> dict[str, tuple[float, float]]:
    """Return (rate per second, burst) of everything that has a rate."""
    requests = limits.requests_per_second
    return {
        # Commands connect for every request; the refusal must name the limit that was exceeded.
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
    "jobs_per_minute": "new jobs a minute, and five times as many changes",
}
_ADVICE = {
    "streams": "End some of them: one `launch wait` accepts many jobs.",
    "submits_per_minute": "Submit many jobs at once: an array, a matrix, or several files.",
    "jobs_per_minute": "Submit fewer jobs, or later.",
}


def too_many(user: str, name: str, most: float, wait: float) -> TooMany:
    """Return the refusal with the limit, its value and advice; ``wait`` in seconds."""
    error = TooMany(
        f"{user} exceeds a limit: {most:g} {_WHAT[name]} ([limits] {name})",
        fix=_ADVICE.get(name, "Send requests less often."),
    )
    error.retry_after = wait
    return error
