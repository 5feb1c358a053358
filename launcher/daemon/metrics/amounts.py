"""A counter with labels, and a histogram with fixed buckets."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

MOST_LABELS = 100
"""A counter keeps this many different labels; further ones are counted as ``OTHER``."""
OTHER = "other"

SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 604_800.0)
"""Buckets for the times of jobs: from a second to a week."""
SHORT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Buckets for commits."""


class LabelledCounter:
    """Amounts by one label, each of which never falls."""

    def __init__(self, *labels: str) -> None:
        """``labels`` are shown from the start, with zero."""
        self.by_label: Counter[str] = Counter(dict.fromkeys(labels, 0))

    def add(self, label: str, amount: int = 1) -> None:
        """Add an amount; a label beyond ``MOST_LABELS`` counts as ``OTHER``."""
        if label not in self.by_label and len(self.by_label) >= MOST_LABELS:
            label = OTHER
        self.by_label[label] += amount


MOST_PROFILES = 32
"""A histogram keeps this many profiles apart; further ones are observed as ``OTHER``. Each has a
series for each bucket, the count and the sum: with ``SECONDS`` 14, so 462 in all."""


@dataclass(slots=True)
class Histogram:
    """Observations by bucket; ``bounds`` are the upper ends of all buckets but the last."""

    bounds: Sequence[float]
    total: float = 0.0
    """The sum of all observations."""
    counts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count an observation; a negative one, after a step of the clock, counts as zero.

        >>> waits = Histogram((1.0, 5.0))
        >>> for seconds in (0.5, 1.0, 2.0, 60.0): waits.observe(seconds)
        >>> waits.counts, waits.total
        ([2, 1, 1], 63.5)
        """
        value = max(0.0, value)
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value


class ProfileHistogram:
    """Observations by the profile of a job's slices, each profile with buckets of its own."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.by_profile: dict[str, Histogram] = {}

    def observe(self, profile: str, value: float) -> None:
        """Count an observation; a profile beyond ``MOST_PROFILES`` counts as ``OTHER``."""
        if profile not in self.by_profile and len(self.by_profile) >= MOST_PROFILES:
            profile = OTHER
        if profile not in self.by_profile:
            self.by_profile[profile] = Histogram(self.bounds)
        self.by_profile[profile].observe(value)
