"""The specs that are kept in memory for the next starts take little of it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

from launcher.daemon.attempts import action_runners
from launcher.daemon.attempts.action_runners import ActionRunners
from launcher.spec.job_spec import JobSpec, Mount
from tests.support.builders import CPU


def spec(**fields: Any) -> JobSpec:
    return JobSpec("job", "busybox", CPU, **fields)


@pytest.fixture
def keeping() -> ActionRunners:
    made = object.__new__(ActionRunners)
    made._specs = OrderedDict()
    return made


def test_only_the_first_specs_of_a_submit_and_the_last_submits_are_remembered(
    keeping: ActionRunners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_runners, "REMEMBERED_SPECS", 3)
    keeping.remember((number, spec()) for number in range(5))
    assert list(keeping._specs) == [0, 1, 2]
    keeping.remember((number, spec()) for number in range(5, 7))
    assert list(keeping._specs) == [2, 5, 6]


@pytest.mark.parametrize(
    "fields",
    [
        {"command": ("x" * 20_000,)},
        {"entrypoint": ("x" * 10_000, "x" * 10_000)},
        {"environment": {"A": "x" * 20_000}},
        {"volumes": tuple(Mount("/" + "s" * 4000, "/" + "t" * 4000, False) for _ in range(3))},
    ],
)
def test_a_long_spec_is_left_to_the_store(keeping: ActionRunners, fields: dict[str, Any]) -> None:
    keeping.remember([(1, spec(**fields)), (2, spec(command=("true",)))])
    assert list(keeping._specs) == [2]
