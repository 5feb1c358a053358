"""Where new GPU instances are placed: where they cost the remaining layouts least."""

from __future__ import annotations

import pytest

from launcher.core.model.packing import Place, arrange, solve, stands
from tests.property.test_layouts import feasible_cached
from tests.support.boards import MIG_BOARDS, board

ONE, TWO, THREE, FOUR = 19, 14, 9, 5
"""Profile ids of an A100 40 GB: 1g.5gb, 2g.10gb, 3g.20gb, 4g.20gb."""


def starts(*wanted: int, beside: tuple[Place, ...] = ()) -> list[int]:
    places = arrange(board("A100-40GB"), beside, wanted)
    assert places is not None
    return sorted(place.start for place in places)


@pytest.mark.parametrize("wanted", [(ONE,), (ONE, ONE), (ONE, ONE, ONE), (TWO,), (THREE,)])
def test_a_small_instance_leaves_room_for_the_4g(wanted: tuple[int, ...]) -> None:
    a100 = board("A100-40GB")
    places = arrange(a100, (), wanted)
    assert places is not None
    assert solve(a100, places, [FOUR]) is not None


def test_a_second_small_instance_goes_beside_the_first() -> None:
    assert starts(ONE) == [6]
    assert starts(ONE, beside=(Place(ONE, 6),)) == [4]
    assert starts(ONE, beside=(Place(ONE, 1),)) == [0]


def test_what_has_no_room_is_none() -> None:
    assert arrange(board("A100-40GB"), (Place(THREE, 0), Place(THREE, 4)), [ONE]) is None


@pytest.mark.parametrize("key", MIG_BOARDS)
def test_every_layout_that_is_possible_is_found(key: str) -> None:
    for counts in sorted(feasible_cached(key), key=sorted):
        wanted = [profile_id for profile_id, count in counts for _ in range(count)]
        places = arrange(board(key), (), wanted)
        assert places is not None
        assert sorted(place.profile_id for place in places) == sorted(wanted)
        assert stands(board(key), places)
