"""What a soak counts: each thing that was left is counted, and is wrong."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from tests.drills.chaos import Beaten, Process, Steady
from tests.drills.checker import Verdict
from tests.drills.figures import Figures
from tests.drills.real import Drill


def drill(kind: type[Drill], state: Path) -> Any:
    """Return a drill that ended well, but for one container that was never removed."""
    made = Mock(spec=kind)
    made.configure_mock(
        daemon=Mock(client=Mock(slices=lambda: [SimpleNamespace(state="free")]), state=state),
        examine=Verdict,
        wrong_codes=list,
        rows=lambda query: nullcontext([]),
        left_over=lambda: kind.left_over(made),
        struck=Counter(),
        kills=0,
        acknowledged={},
        logs_compared=0,
        logs_differ=[],
        unquiet=[],
        recoveries=[1.0],
        orphans=["launcher-1-1"],
    )
    return made


@pytest.fixture
def figures() -> Figures:
    return Figures(seed=1, seconds=1)


def test_a_container_left_by_the_daemon_that_is_killed_is_counted_and_is_wrong(
    figures: Figures, tmp_path: Path
) -> None:
    figures.add_beaten(drill(Beaten, tmp_path))
    assert dict(figures.lines)["containers orphaned after the grace"] == 1
    assert figures.wrong == ["the container launcher-1-1 is left"]


def test_a_container_left_by_the_daemon_that_is_left_alone_is_wrong(
    figures: Figures, tmp_path: Path
) -> None:
    size = Process(80, 20, 50)
    steady: Any = Mock(spec=Steady, drill=drill(Drill, tmp_path), before=size, after=size)
    figures.add_steady(steady)
    assert figures.wrong == ["the daemon left alone: the container launcher-1-1 is left"]
