"""What can stand on every board, and the plan that gets there: against the fake GPU's own rules."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.core.mig.planner import plan
from launcher.core.model.compute_instances import StandingInstance
from launcher.core.model.layout_change import Want
from launcher.core.model.packing import Board, Place, largest, solve, stands
from launcher.errors import ImpossibleLayout
from launcher.fakegpu import boards as fake
from launcher.fakegpu.layout import Stands, fits
from tests.support.boards import MIG_BOARDS, board, gpu
from tests.support.whole import many


def as_fake(key: str, place: Place) -> Stands:
    profile = next(p for p in fake.boards()[key].profiles if p.id == place.profile_id)
    return Stands(profile, place.start)


places = st.sampled_from(MIG_BOARDS).flatmap(
    lambda key: st.tuples(
        st.just(key),
        st.lists(
            st.sampled_from(
                [Place(s.profile_id, start) for s in board(key).shapes for start in s.starts]
            ),
            max_size=12,
        ),
    )
)


@given(places)
def test_the_rules_are_those_of_the_card(drawn: tuple[str, list[Place]]) -> None:
    key, wanted = drawn
    standing: list[Place] = []
    for place in wanted:
        beside = [as_fake(key, p) for p in standing]
        expected = fits(fake.boards()[key], beside, as_fake(key, place))
        assert board(key).can_stand(standing, place) == expected
        standing += [place] if expected else []


def every_multiset(key: str) -> Iterator[Counter[int]]:
    """All multisets of a board's profiles up to each one's instance count plus one."""
    shapes = board(key).shapes
    for counts in itertools.product(*(range(s.most + 2) for s in shapes)):
        yield Counter({s.profile_id: n for s, n in zip(shapes, counts, strict=True) if n})


def feasible(key: str) -> set[frozenset[tuple[int, int]]]:
    """Every multiset that can stand, grown from nothing by the card's own rules."""
    found: set[frozenset[tuple[int, int]]] = set()
    seen: set[tuple[Place, ...]] = set()

    def grow(standing: tuple[Place, ...]) -> None:
        if standing in seen:
            return
        seen.add(standing)
        found.add(frozenset(Counter(p.profile_id for p in standing).items()))
        beside = [as_fake(key, p) for p in standing]
        for shape in board(key).shapes:
            for start in shape.starts:
                new = Place(shape.profile_id, start)
                if fits(fake.boards()[key], beside, as_fake(key, new)):
                    grow(tuple(sorted((*standing, new))))

    grow(())
    return found


ALIKE = {(*((s.starts, s.most, s.costs) for s in board(key).shapes),): key for key in MIG_BOARDS}
"""One board of each geometry: what can stand depends on nothing else."""
SMALL = [
    key
    for key in MIG_BOARDS
    if len(board(key).shapes) < 8 and key in many([*ALIKE.values()], MIG_BOARDS)
]
LARGE = [key for key in MIG_BOARDS if len(board(key).shapes) >= 8]


@pytest.mark.parametrize("key", SMALL)
def test_every_multiset_of_profiles_is_placed_or_refused_rightly(key: str) -> None:
    can = feasible(key)
    for wanted in every_multiset(key):
        found = solve(board(key), (), [*wanted.elements()])
        assert (found is not None) == (frozenset(wanted.items()) in can), wanted
        if found is not None:
            assert stands(board(key), found)
            assert Counter(p.profile_id for p in found) == wanted


@pytest.mark.parametrize("key", LARGE)
def test_what_can_stand_is_placed_and_one_more_than_it_is_refused(key: str) -> None:
    """Three million multisets: what contains one that cannot stand cannot stand either."""
    can = feasible(key)
    for kept in can:
        wanted = Counter(dict(kept))
        found = solve(board(key), (), [*wanted.elements()])
        assert found is not None
        assert stands(board(key), found)
        for shape in board(key).shapes:
            more = wanted + Counter({shape.profile_id: 1})
            placed = solve(board(key), (), [*more.elements()])
            assert (placed is not None) == (frozenset(more.items()) in can), more


@pytest.mark.parametrize("key", ["A30", "A100-40GB", "RTX-PRO-6000"])
@settings(deadline=None, max_examples=many(40, 200))
@given(data=st.data())
def test_the_largest_part_that_fits_is_the_largest(key: str, data: st.DataObject) -> None:
    shapes = board(key).shapes
    wanted = Counter(
        {s.profile_id: n for s in shapes if (n := data.draw(st.integers(0, s.most + 1)))}
    )
    _, chosen = largest(board(key), (), (), [*wanted.elements()])
    assert not Counter(chosen) - wanted
    assert solve(board(key), (), chosen) is not None
    memory = {s.profile_id: s.memory_mib for s in shapes}
    best = max(
        sum(memory[i] * n for i, n in kept)
        for kept in feasible_cached(key)
        if not Counter(dict(kept)) - wanted
    )
    assert sum(memory[i] for i in chosen) == best


_feasible: dict[str, set[frozenset[tuple[int, int]]]] = {}


def feasible_cached(key: str) -> set[frozenset[tuple[int, int]]]:
    if key not in _feasible:
        _feasible[key] = feasible(key)
    return _feasible[key]


def drawn_standing(data: st.DataObject, this: Board) -> list[StandingInstance]:
    """Some instances that stand, some in use, some bare."""
    standing: list[StandingInstance] = []
    choices = [Place(s.profile_id, start) for s in this.shapes for start in s.starts]
    for place in data.draw(st.lists(st.sampled_from(choices), max_size=8)):
        if this.can_stand([s.place for s in standing], place):
            how = data.draw(st.sampled_from([None, "job 1", "bare"]))
            busy = how if how == "job 1" else None
            standing.append(StandingInstance(place, len(standing), busy, bare=how == "bare"))
    return standing


def drawn_wants(data: st.DataObject, this: Board) -> list[Want]:
    shape = st.sampled_from(this.shapes)
    anywhere = st.builds(lambda s, n: Want(str(s.profile_id), n), shape, st.integers(1, 3))
    somewhere = shape.flatmap(
        lambda s: st.builds(Want, st.just(str(s.profile_id)), st.just(1), st.sampled_from(s.starts))
    )
    return data.draw(st.lists(st.one_of(anywhere, somewhere), max_size=3))


@pytest.mark.parametrize("key", MIG_BOARDS)
@settings(deadline=None, max_examples=many(40, 200))
@given(data=st.data(), exact=st.booleans())
def test_a_plan_gives_what_is_asked_and_asking_twice_changes_nothing(
    key: str, data: st.DataObject, exact: bool
) -> None:
    standing, wants = drawn_standing(data, board(key)), drawn_wants(data, board(key))
    try:
        made = plan(gpu(key), standing, wants, exact=exact)
    except ImpossibleLayout as refused:
        assert refused.fix
        return
    after = [s.place for s in made.keep] + list(made.create)
    assert stands(board(key), after)
    assert {*made.keep, *made.destroy} == set(standing)
    asked = Counter({int(w.profile): 0 for w in wants})
    for want in wants:
        asked[int(want.profile)] += want.count
        if want.start is not None:
            assert Place(int(want.profile), want.start) in after
    there = Counter(p.profile_id for p in after)
    assert not asked - there
    if exact:
        assert there == +asked
    else:
        assert made.destroy == ()
    again = plan(
        gpu(key), [StandingInstance(p, i) for i, p in enumerate(after)], wants, exact=exact
    )
    assert not again.changes


@settings(deadline=None, max_examples=many(60, 300))
@given(data=st.data())
def test_no_smaller_exact_plan_exists(data: st.DataObject) -> None:
    """On an A30, against trying every part of what stands."""
    this = board("A30")
    standing, wants = drawn_standing(data, this), drawn_wants(data, this)
    try:
        made = plan(gpu("A30"), standing, wants, exact=True)
    except ImpossibleLayout:
        return
    for count in range(len(standing) + 1):
        for part in itertools.combinations(standing, count):
            try:
                other = plan(gpu("A30"), part, wants)
            except ImpossibleLayout:
                continue
            after = Counter(s.place.profile_id for s in part)
            after += Counter(p.profile_id for p in other.create)
            asked = sum((Counter({int(w.profile): w.count}) for w in wants), Counter())
            if after != asked:
                continue
            spared = sum(s.busy is not None for s in part)
            ours = sum(s.busy is not None for s in made.keep)
            assert (ours, len(made.keep)) >= (spared, len(part))
