"""Use of the machine: decayed for the fair share, and summed up for ``launch usage``.

What a user used in the past counts half after each half-life. A running job's use so far decays by
the same integral, so that the end of a job does not change the order of the queue.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Use:
    """A user's decayed use (slice-GiB-seconds) as it was ``at`` (seconds since 1970)."""

    user: str
    amount: float
    at: float


def decayed(amount: float, seconds: float, half_life: float) -> float:
    """Return what is left of a use after so many seconds."""
    return amount * math.exp2(-max(0.0, seconds) / half_life)


def accrued(rate: float, seconds: float, half_life: float) -> float:
    """Return the decayed use of ``rate`` GiB held for the last ``seconds``.

    >>> round(accrued(2.0, 60.0, 1e9), 3)
    120.0
    """
    scale = half_life / math.log(2)
    return rate * scale * -math.expm1(-max(0.0, seconds) / scale)


def weight(use: Use, half_life: float) -> float:
    """Return a number that orders uses of different times and does not change with time.

    The binary logarithm of what is left of a use falls by one a half-life, for all alike.
    """
    return (math.log2(use.amount) if use.amount > 0 else -math.inf) + use.at / half_life


def charged(
    before: Use | None, user: str, rate: float, since: float, until: float, half_life: float
) -> Use:
    """Return a user's use with ``rate`` GiB from ``since`` to ``until`` (seconds since 1970)."""
    past = decayed(before.amount, until - before.at, half_life) if before else 0.0
    at = max(until, before.at) if before else until
    return Use(user, past + accrued(rate, until - since, half_life), at)


CPU = "cpu"
"""Takes the place of the profile of jobs that have no slice."""
Profiles = Mapping[str, tuple[int, int]]
"""Slices and their memory (MiB, all of them together) by profile."""


@dataclass(slots=True)
class UsageSum:
    """The sums of one group: slice-seconds and slice-GiB-seconds from grant to release.

    ``slot_seconds`` are those of jobs without a slice, by their CPU slots. ``ends`` counts the jobs
    that ended in the period by outcome and reason, ``waits`` by the seconds that they waited.
    """

    slice_seconds: float = 0.0
    gib_seconds: float = 0.0
    slot_seconds: float = 0.0
    running: int = 0
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    waits: Counter[int] = field(default_factory=Counter)

    def add(self, other: UsageSum) -> None:
        """Add the sums of another group."""
        self.slice_seconds += other.slice_seconds
        self.gib_seconds += other.gib_seconds
        self.slot_seconds += other.slot_seconds
        self.running += other.running
        self.ends.update(other.ends)
        self.waits.update(other.waits)


@dataclass(slots=True)
class Capacity:
    """What the machine had: slice-seconds and slice-GiB-seconds, and the seconds it is known of."""

    slice_seconds: float = 0.0
    gib_seconds: float = 0.0
    known_seconds: float = 0.0


@dataclass(slots=True)
class RecordedCapacity:
    """The slices that are on record as present, None before the first record.

    ``seen_at`` is the last time of any record of an earlier daemon (seconds since 1970).
    """

    slices: Profiles | None = None
    seen_at: float | None = None


def wait_bucket(seconds: float) -> int:
    """Return a waiting time to two digits, at least to the second, rounded down.

    So the waiting times of any number of jobs are a short histogram.

    >>> [wait_bucket(s) for s in (-1, 0.4, 99.9, 123, 4567, 86400)]
    [0, 0, 99, 120, 4500, 86000]
    """
    whole = max(0, int(seconds))
    unit = int("1" + "0" * (len(str(whole)) - 2))
    return whole // unit * unit


def percentile(waits: Mapping[int, int], share: float) -> int | None:
    """Return the waiting time that this share of the jobs did not exceed (nearest rank).

    >>> percentile({0: 5, 10: 4, 300: 1}, 0.5), percentile({0: 5, 10: 4, 300: 1}, 0.95)
    (0, 300)
    """
    rank = max(1, math.ceil(share * sum(waits.values())))
    for seconds, count in sorted(waits.items()):
        rank -= count
        if rank <= 0:
            return seconds
    return None


def integral(
    steps: Sequence[tuple[float, Profiles]], since: float, until: float, profile: str | None = None
) -> Capacity:
    """Return the capacity in a period from its changes, oldest first: (time, slices from then on).

    Of one profile, or of all. Before the first change it is unknown.

    >>> integral([(0.0, {"1g.6gb": (4, 24576)}), (60.0, {})], 30.0, 90.0)
    Capacity(slice_seconds=120.0, gib_seconds=720.0, known_seconds=60.0)
    """
    total = Capacity()
    first = max(0, bisect_right(steps, since, key=_time) - 1)
    known = steps[first : bisect_left(steps, until, key=_time)]
    ends = [at for at, _ in known[1:]] + [until]
    for (at, profiles), end in zip(known, ends, strict=False):  # one end too many without steps
        seconds = min(end, until) - max(at, since)
        if seconds <= 0:
            continue
        total.known_seconds += seconds
        for name, (slices, mib) in profiles.items():
            if profile in (None, name):
                total.slice_seconds += slices * seconds
                total.gib_seconds += mib / 1024 * seconds
    return total


def _time(step: tuple[float, Profiles]) -> float:
    return step[0]
