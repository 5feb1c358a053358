"""GPU instances divided into compute instances: what fits into one, and how a request is met."""

from __future__ import annotations

from collections import Counter

import pytest

from launcher.core.model.compute_instances import (
    WHOLE,
    DeviceKind,
    DeviceRequest,
    Division,
    StandingInstance,
    can_become,
    can_hold,
    cut_of,
    divide,
)
from launcher.core.model.packing import Place
from tests.support.boards import board

BOARD = board("A100-40GB")
THREE = next(s.profile_id for s in BOARD.shapes if s.costs[0] == 3)
TWO = next(s.profile_id for s in BOARD.shapes if s.costs[0] == 2)


def standing(*cut: int, bare: bool = False, busy: str | None = None) -> StandingInstance:
    """A 3g.20gb at 4 that is divided like this; () spans it."""
    return StandingInstance(Place(THREE, 4, cut), 1, busy, bare)


def met(
    *stays: StandingInstance, free: dict[DeviceKind, int], exact: bool = False
) -> Division | None:
    """Return how a request for so many devices anywhere is met beside what stays."""
    return divide(BOARD, stays, DeviceRequest({}, Counter(free)), exact=exact)


def part(compute: int) -> DeviceKind:
    return DeviceKind(THREE, compute)


@pytest.mark.parametrize(
    ("devices", "holds"),
    [
        ({1: 3}, True),
        ({1: 4}, False),
        ({2: 1, 1: 1}, True),
        ({2: 2}, False),
        ({WHOLE: 1}, True),
        ({WHOLE: 2}, False),
        ({WHOLE: 1, 1: 1}, False),
    ],
)
def test_a_gpu_instance_holds_as_many_compute_slices_as_it_has(
    devices: dict[int, int], holds: bool
) -> None:
    assert can_hold(BOARD, THREE, Counter(devices)) == holds


def test_a_cut_names_the_parts_largest_first_and_none_for_one_over_all() -> None:
    assert cut_of(Counter({1: 2, 2: 1})) == (2, 1, 1)
    assert cut_of(Counter({WHOLE: 1})) == ()


@pytest.mark.parametrize(
    ("present", "total", "can"),
    [
        (standing(bare=True), {2: 1, 1: 1}, True),
        (standing(2), {2: 1, 1: 1}, True),
        (standing(1), {1: 1, 2: 1}, False),
        (standing(1, 1), {1: 3}, True),
        (standing(1, 1), {1: 4}, False),
        (standing(), {WHOLE: 1}, True),
    ],
)
def test_a_divided_gpu_instance_surely_takes_only_more_parts_of_one_slice(
    present: StandingInstance, total: dict[int, int], can: bool
) -> None:
    assert can_become(BOARD, present, Counter(total)) == can


def test_the_present_devices_are_counted_first() -> None:
    made = met(standing(2, 1), free={part(2): 1, part(1): 1})
    assert made is not None
    assert (made.complete, made.new) == ((), [])


def test_missing_parts_go_into_divided_instances_then_bare_ones_then_new_ones() -> None:
    divided, bare = standing(1, 1), StandingInstance(Place(THREE, 0), 2, bare=True)
    made = met(bare, divided, free={part(1): 7})
    assert made is not None
    assert {s.gi: s.place.cut for s in made.complete} == {1: (1, 1, 1), 2: (1, 1, 1)}
    assert made.new == [(THREE, Counter({1: 1}))]


def test_the_largest_parts_are_placed_first() -> None:
    made = met(free={part(1): 2, part(2): 2})
    assert made is not None
    assert made.new == [(THREE, Counter({2: 1, 1: 1})), (THREE, Counter({2: 1, 1: 1}))]


def test_an_exact_request_keeps_nothing_that_it_does_not_name() -> None:
    assert met(standing(2, 1), free={part(2): 1}, exact=True) is None
    assert met(standing(bare=True), free={DeviceKind(TWO): 1}, exact=True) is None
    assert met(standing(2, 1), free={part(2): 1}) is not None


def test_a_request_at_a_place_completes_what_stands_there() -> None:
    request = DeviceRequest({Place(THREE, 4): Counter({1: 3})}, Counter())
    made = divide(BOARD, [standing(1)], request, exact=False)
    assert made is not None
    assert [s.place.cut for s in made.complete] == [(1, 1, 1)]
    assert (made.places, made.new) == ((), [])
    assert divide(BOARD, [standing()], request, exact=False) is None, "one device spans it"


def test_places_that_were_found_get_the_cuts_of_what_was_to_be_placed() -> None:
    made = met(free={part(1): 4, DeviceKind(TWO): 1})
    assert made is not None
    places = made.cut([Place(TWO, 0), Place(THREE, 4), Place(THREE, 0)])
    assert sorted((p.start, p.cut) for p in places) == [(0, ()), (0, (1,)), (4, (1, 1, 1))]
