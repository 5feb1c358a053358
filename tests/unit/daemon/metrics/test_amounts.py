"""Counters and histograms: what is counted where, and that neither grows without end."""

from __future__ import annotations

from launcher.daemon.metrics.amounts import (
    MOST_LABELS,
    MOST_PROFILES,
    OTHER,
    SECONDS,
    Histogram,
    LabelledCounter,
    ProfileHistogram,
)


def test_a_label_is_shown_from_the_start_and_then_counted() -> None:
    counter = LabelledCounter("a", "b")
    counter.add("a")
    counter.add("a", 2)
    assert counter.by_label == {"a": 3, "b": 0}


def test_labels_beyond_the_limit_are_counted_together() -> None:
    counter = LabelledCounter()
    for number in range(3 * MOST_LABELS):
        counter.add(str(number))
    assert len(counter.by_label) == MOST_LABELS + 1
    assert counter.by_label[OTHER] == 2 * MOST_LABELS
    counter.add("0")
    assert counter.by_label["0"] == 2, "a known label keeps its own amount"


def test_every_observation_is_in_one_bucket_and_in_the_sum() -> None:
    histogram = Histogram(SECONDS)
    for seconds in (0.0, 1.0, 1.5, 1e9):
        histogram.observe(seconds)
    assert (sum(histogram.counts), histogram.counts[0], histogram.counts[-1]) == (4, 2, 1)
    assert histogram.total == 2.5 + 1e9


def test_a_time_before_zero_after_a_step_of_the_clock_counts_as_zero() -> None:
    histogram = Histogram(SECONDS)
    histogram.observe(-3600.0)
    assert (histogram.counts[0], histogram.total) == (1, 0.0)


def test_profiles_beyond_the_bound_are_observed_together() -> None:
    observed = ProfileHistogram((1.0,))
    for number in range(MOST_PROFILES + 10):
        observed.observe(f"{number}g", 0.5)
    observed.observe("0g", 2.0)
    assert len(observed.by_profile) == MOST_PROFILES + 1
    assert observed.by_profile[OTHER].counts == [10, 0]
    assert observed.by_profile["0g"].counts == [1, 1]
