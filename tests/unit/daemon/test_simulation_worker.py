"""The answer of a replay is passed on as the child made it: it has a bound."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from launcher.core.model.layout_change import Want
from launcher.daemon.api.handlers.forecasts.simulation_client import Question
from launcher.daemon.simulation_worker import _lay_out, encoded, starts_of
from launcher.errors import ImpossibleLayout, UserError
from tests.support.boards import gpu
from tests.support.builders import Machine, mig, profile


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


def starts(jobs: int, wanted: Sequence[int], seconds: float | None = None) -> dict[int, float]:
    """Return the starts in a replay of jobs of an hour each on two slices, relative to now."""
    machine = Machine(slices=[mig(0), mig(1)])
    machine.submit(*[profile()] * jobs, time_limit=3600.0)
    question = Question(
        Path("/nowhere"), 4, machine.world.rules, {}, None, machine.time, jobs=tuple(wanted),
        seconds=seconds,
    )  # fmt: skip
    found = starts_of(question, machine.world, {})
    return {job: round(at - machine.time.wall) for job, at in found.items()}


def test_one_replay_tells_when_several_jobs_start() -> None:
    assert starts(6, [3, 4, 5, 6]) == {3: 3600, 4: 3600, 5: 7200, 6: 7200}
    assert starts(6, [1, 4, 99]) == {4: 3600}, "a job that runs, and one that does not exist"


def test_a_replay_out_of_time_tells_the_starts_that_it_has_reached() -> None:
    assert starts(6, [3, 6], seconds=0.0) == {}
    assert starts(6, [3, 6], seconds=600.0) == {3: 3600, 6: 7200}


def labels(*wants: Want) -> list[str]:
    """Return the slices of a machine with an A30 and an RTX PRO 6000 under a layout."""
    a30, rtx = gpu("A30", "GPU-a"), dataclasses.replace(gpu("RTX-PRO-6000", "GPU-r"), index=1)
    machine = Machine(slices=[mig(0)], gpus=[a30, rtx])
    _lay_out(machine.world, wants)
    slices = (state.slice for state in machine.world.slices.values())
    return sorted(f"{s.gpu_index}:{s.profile}" for s in slices)


def test_each_board_takes_the_part_of_a_layout_that_it_has() -> None:
    assert labels(Want("2g.12gb", 2), Want("1g.24gb", 2)) == [
        "0:2g.12gb", "0:2g.12gb", "1:1g.24gb", "1:1g.24gb",
    ]  # fmt: skip


def test_a_board_that_has_nothing_of_a_layout_keeps_its_slices() -> None:
    assert labels(Want("2g.48gb")) == ["0:1g.6gb", "1:2g.48gb"]


def test_a_profile_that_no_board_has_is_refused() -> None:
    with pytest.raises(ImpossibleLayout, match=r"has no profile '3g\.40gb'"):
        labels(Want("1g.6gb"), Want("3g.40gb"))
