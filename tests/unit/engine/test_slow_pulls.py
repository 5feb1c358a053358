"""Pulls that hardly get on end; those that do something else than loading do not."""

from __future__ import annotations

import pytest

from launcher.engine.slow_pulls import LEAST_BYTES, WINDOW_SECONDS, PullTooSlow, Speed


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def run(steps: list[tuple[float, list[tuple[str, str, int]]]]) -> float:
    """Show a pull these states at these times; returns when it was ended, raises if never."""
    clock = Clock()
    speed = Speed(clock)
    for at, layers in steps:
        clock.now = at
        try:
            speed.check(layers)
        except PullTooSlow:
            return at
    raise AssertionError("it was not ended")


def test_a_registry_that_sends_a_byte_a_second_loses_its_pull() -> None:
    steps = [(float(n), [("a", "Downloading", n), ("b", "Waiting", 0)]) for n in range(1000)]
    assert run(steps) == WINDOW_SECONDS + 1


def test_slow_but_steady_goes_on() -> None:
    each = LEAST_BYTES // 100
    steps = [(float(n), [("a", "Downloading", n * each)]) for n in range(5000)]
    with pytest.raises(AssertionError, match="not ended"):
        run(steps)


@pytest.mark.parametrize("status", ["Extracting", "Verifying Checksum", "Download complete"])
def test_what_docker_does_with_what_has_come_may_take_its_time(status: str) -> None:
    loaded = [(1.0, [("a", "Downloading", 5 * LEAST_BYTES)])]
    steps = [(float(n), [("a", status, 0)]) for n in range(2, 2000)]
    with pytest.raises(AssertionError, match="not ended"):
        run(loaded + steps)


def test_a_layer_that_begins_anew_is_not_taken_for_progress() -> None:
    steps = [(float(n), [("a", "Downloading", n % 10 * LEAST_BYTES // 20)]) for n in range(1000)]
    assert run(steps) <= 2 * WINDOW_SECONDS + 2
