"""Plans with divided GPU instances: exactly what is asked for, nothing twice, nothing needless."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.core.mig.planner import GpuPlan, device_name, plan
from launcher.core.model.compute_instances import (
    DeviceKind,
    StandingInstance,
    can_hold,
    devices_in,
    sizes_in,
)
from launcher.core.model.layout_change import Want
from launcher.core.model.packing import Place, stands
from launcher.errors import ImpossibleLayout
from tests.support.boards import board, gpu

KEYS = ["A30", "A100-40GB", "RTX-PRO-6000"]


def cuts(key: str, profile_id: int) -> st.SearchStrategy[tuple[int, ...]]:
    """A division that a GPU instance can have; () is none."""
    slices = board(key).shape(profile_id).costs[0]
    sizes = sizes_in(slices)
    if not sizes:
        return st.just(())
    some = st.lists(st.sampled_from(sizes), max_size=slices)
    return some.filter(lambda cut: sum(cut) <= slices).map(lambda c: tuple(sorted(c, reverse=True)))


@st.composite
def standing(draw: st.DrawFn, key: str) -> list[StandingInstance]:
    """GPU instances that can stand together: whole, bare or divided, in use or not."""
    found: list[StandingInstance] = []
    places = [Place(s.profile_id, start) for s in board(key).shapes for start in s.starts]
    for place in draw(st.lists(st.sampled_from(places), max_size=6)):
        if board(key).can_stand([s.place for s in found], place):
            cut = draw(cuts(key, place.profile_id))
            bare = not cut and draw(st.booleans())
            busy = draw(st.sampled_from([None, None, "somebody"]))
            found.append(StandingInstance(replace(place, cut=cut), len(found), busy, bare))
    return found


@st.composite
def request(draw: st.DrawFn, key: str) -> list[Want]:
    """Devices anywhere, of few profiles so that they have to share GPU instances."""
    shapes = draw(st.lists(st.sampled_from(board(key).shapes), min_size=1, max_size=2))
    wants = []
    for shape in shapes:
        for compute in {*draw(cuts(key, shape.profile_id)), 0}:
            if count := draw(st.integers(0, 3)):
                name = device_name(gpu(key), DeviceKind(shape.profile_id, compute))
                wants.append(Want(name, count))
    return wants


def devices(places: list[StandingInstance] | list[Place]) -> Counter[DeviceKind]:
    found: Counter[DeviceKind] = Counter()
    for one in places:
        place = one.place if isinstance(one, StandingInstance) else one
        has = one.devices if isinstance(one, StandingInstance) else devices_in(one)
        found += Counter({DeviceKind(place.profile_id, c): n for c, n in has.items()})
    return found


def after(made: GpuPlan) -> list[StandingInstance]:
    """What stands when a plan is carried out."""
    filled = {s.gi: replace(s, bare=False) for s in made.complete}
    kept = [filled.get(s.gi, s) for s in made.keep]
    return [*kept, *(StandingInstance(place, 100 + i) for i, place in enumerate(made.create))]


def asked_by(key: str, wants: list[Want]) -> Counter[DeviceKind]:
    names = {
        device_name(gpu(key), DeviceKind(s.profile_id, c)): DeviceKind(s.profile_id, c)
        for s in board(key).shapes
        for c in range(8)
    }
    found: Counter[DeviceKind] = Counter()
    for want in wants:
        found[names[want.profile]] += want.count
    return found


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("key", KEYS)
@settings(deadline=None)
@given(data=st.data())
def test_a_plan_comes_to_what_is_asked_and_planning_again_changes_nothing(
    key: str, exact: bool, data: st.DataObject
) -> None:
    before, wants = data.draw(standing(key)), data.draw(request(key))
    try:
        made = plan(gpu(key), before, wants, exact=exact)
    except ImpossibleLayout:
        return
    result, asked = after(made), asked_by(key, wants)
    assert stands(board(key), [s.place for s in result])
    assert all(can_hold(board(key), s.place.profile_id, s.devices) for s in result)
    if exact:
        assert devices(result) == asked
    else:
        assert not made.destroy
        assert devices(result) == devices(before) | asked
    assert not plan(gpu(key), result, wants, exact=exact).changes


@pytest.mark.parametrize("key", KEYS)
@settings(deadline=None)
@given(data=st.data())
def test_what_stands_already_can_be_asked_for_and_is_kept(key: str, data: st.DataObject) -> None:
    before = [s for s in data.draw(standing(key)) if not s.bare]
    wants = [Want(device_name(gpu(key), d), n) for d, n in devices(before).items()]
    if wants:
        made = plan(gpu(key), before, wants, exact=True)
        assert not made.changes
