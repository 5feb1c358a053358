"""Random lives of a daemon, and one cut off at every point: nothing lost or twice.

These seeds pass every (state, event) pair and every crash point; `make soak` runs those up to a
thousand, the whole days, and others.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from launcher.core.messages import events as ev
from launcher.core.world.lifecycle import TRANSITIONS
from launcher.crashpoints import POINTS
from tests.simulation.seeds import Total, run_everywhere, run_seeds

RARE = (605,)
NOT_SIMULATED = (ev.DiskJudged, ev.TerminalsSeen)
"""What the first two hundred do not pass: a job gives way as it runs."""
Tell = Callable[[object], None]
pytestmark = pytest.mark.timeout(300)


def assert_well(total: Total, tell: Tell) -> None:
    tell(total)
    assert total.wrong == {}
    assert total.mismatches == 0


def test_many_seeds_lose_nothing_and_run_nothing_twice_and_each_has_one_trace(
    tell: Tell,
) -> None:
    total = run_seeds(1, 201)
    for seed in RARE:
        total.merge(run_seeds(seed, seed + 1))
    assert_well(total, tell)
    assert total.seeds == 200 + len(RARE)
    assert total.again == 10
    # The simulated homes stay small.
    possible = {(s.name, e.__name__) for s, e in TRANSITIONS if e not in NOT_SIMULATED}
    assert possible <= total.pairs
    assert set(total.points) == set(POINTS)
    assert len(total.faults) >= 15


def test_a_daemon_that_is_cut_off_at_any_kind_of_point_of_a_day_goes_on_as_if_nothing_had_been(
    tell: Tell,
) -> None:
    total = run_everywhere(1, 3, every=10)
    assert_well(total, tell)
    assert set(total.points) == set(POINTS)
