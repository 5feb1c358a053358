"""The answer of a replay is passed on as the child made it: it has a bound."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from launcher.daemon.simulation_worker import encoded
from launcher.errors import UserError


def forecast(makespan: float, never: int = 0, runs: int = 1) -> dict[str, Any]:
    return {"layout": "x", "makespan": makespan, "never": [1] * never, "runs": [{}] * runs}


def test_the_layout_that_ends_first_is_marked_and_of_equals_the_first() -> None:
    found = json.loads(encoded([forecast(3), forecast(1, 1), forecast(2), forecast(2)], 4, 2**20))
    assert [each["best"] for each in found] == [False, False, True, False]
    assert [each["makespan"] for each in found] == [3, 1, 2, 2]


def test_a_replay_that_takes_long_goes_on_behind_shorter_ones() -> None:
    program = """
import os, time
from launcher.daemon.simulation_worker import be_nice
before = os.nice(0)
be_nice(0.05)
print(os.nice(0) - before)
until = time.process_time() + 10
while os.nice(0) < 19 and time.process_time() < until: pass
print(os.nice(0))
"""
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["10", "19"]


def test_forecasts_above_the_longest_answer_end_with_the_layout_that_was_too_much() -> None:
    made: list[int] = []

    def endless() -> Iterator[dict[str, Any]]:
        while True:
            made.append(1)
            yield forecast(1, runs=100_000)

    with pytest.raises(UserError) as refused:
        encoded(endless(), 1000, 2**20)
    assert refused.value.message == "the forecast is larger than 1 MiB after 4 of 1000 layouts"
    assert len(made) == 4
