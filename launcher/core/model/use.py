"""Decayed use of the machine, in slice-GiB-seconds.

What a user used in the past counts half after each half-life. A running job's use so far decays by
the same integral, so that the end of a job does not change the order of the queue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


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
