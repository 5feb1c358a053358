"""The plan for one GPU: what is kept, destroyed, created and refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher.core.mig.planner import GpuPlan, device_name, device_of, plan, profile_id
from launcher.core.model.compute_instances import DeviceKind, StandingInstance
from launcher.core.model.layout_change import Want
from launcher.core.model.packing import Place
from launcher.errors import ImpossibleLayout
from tests.support.boards import gpu

A30 = gpu("A30")
ONE, TWO, FOUR = (profile_id(A30, name) for name in ("1g.6gb", "2g.12gb", "4g.24gb"))


def small(start: int, busy: str | None = None) -> StandingInstance:
    return StandingInstance(Place(ONE, start), start, busy)


def planned(
    *wants: Want, standing: tuple[StandingInstance, ...] = (), exact: bool = False
) -> GpuPlan:
    return plan(A30, standing, wants, exact=exact)


def test_the_present_instances_count_and_asking_twice_changes_nothing() -> None:
    made = planned(Want("1g.6gb", 3), standing=(small(0),))
    assert (len(made.keep), made.destroy, len(made.create)) == (1, (), 2)
    standing = tuple(small(place.start) for place in (Place(ONE, 0), *made.create))
    assert not planned(Want("1g.6gb", 3), standing=standing).changes


def test_what_is_not_asked_for_stays_unless_the_request_is_exact() -> None:
    standing = (small(0), small(1))
    assert planned(Want("2g.12gb"), standing=standing).create == (Place(TWO, 2),)
    exact = planned(Want("2g.12gb", 2), standing=standing, exact=True)
    assert (exact.keep, exact.destroy) == ((), standing)
    assert set(exact.create) == {Place(TWO, 0), Place(TWO, 2)}


def test_an_exact_plan_destroys_unused_instances_before_used_ones() -> None:
    standing = (small(0), small(1), small(2, "job 7"), small(3))
    made = planned(Want("1g.6gb"), Want("2g.12gb"), standing=standing, exact=True)
    assert made.touches_busy == ()
    assert [s.place.start for s in made.keep] == [2]
    assert made.create == (Place(TWO, 0),)


def test_the_users_of_what_would_go_are_told() -> None:
    made = planned(Want("4g.24gb"), standing=(small(0, "job 7"), small(1)), exact=True)
    assert made.touches_busy == ("job 7",)


def test_an_instance_is_created_where_it_was_asked_for() -> None:
    assert planned(Want("1g.6gb", start=2)).create == (Place(ONE, 2),)


def test_compute_instances_fill_a_gpu_instance_and_complete_one_that_lacks_some() -> None:
    assert planned(Want("1c.2g.12gb", 2)).create == (Place(TWO, 0, (1, 1)),)
    standing = (StandingInstance(Place(TWO, 0, (1,)), 1),)
    made = planned(Want("1c.2g.12gb", 2), standing=standing)
    assert (made.create, made.destroy) == ((), ())
    assert [s.place for s in made.complete] == [Place(TWO, 0, (1, 1))]


@pytest.mark.parametrize(
    ("wants", "message", "fix"),
    [
        ((Want("2g.12gb", start=1),), "2g.12gb .* at 1", "0, 2"),
        ((Want("1g.6gb", start=1), Want("1g.6gb", start=1)), "1g.6gb@1 .* twice", "once"),
        ((Want("1c.2g.12gb", 3, start=0),), "at 0 does not fit in one 2g.12gb", "2 compute"),
        ((Want("1g.6gb", 65),), "65 GPU instances", "layout profiles"),
        ((Want("2g.12gb", 3),), "2g.12gb:3 .* together", "2g.12gb:2"),
        ((Want("4g.24gb"), Want("1g.6gb")), "together", "4g.24gb"),
        ((Want("3g.20gb"),), "no profile '3g.20gb'", "1g.6gb"),
    ],
)
def test_what_cannot_stand_is_refused_with_what_could(
    wants: tuple[Want, ...], message: str, fix: str
) -> None:
    with pytest.raises(ImpossibleLayout, match=message) as refused:
        planned(*wants)
    assert fix in (refused.value.fix or "")


def test_where_only_the_present_instances_are_in_the_way_the_exact_request_is_named() -> None:
    with pytest.raises(ImpossibleLayout) as refused:
        planned(Want("4g.24gb"), standing=(small(0),))
    assert "--exact" in (refused.value.fix or "")


def test_without_placements_nothing_is_planned() -> None:
    blind = replace(A30, profiles=tuple(replace(p, placements=None) for p in A30.profiles))
    with pytest.raises(ImpossibleLayout, match="placements"):
        plan(blind, (), (Want("1g.6gb"),))


def test_a_profile_is_named_in_any_case_or_by_its_number() -> None:
    assert [profile_id(A30, text) for text in ("1G.6GB", str(ONE))] == [ONE, ONE]


def test_a_misspelt_profile_is_refused_with_the_nearest() -> None:
    with pytest.raises(ImpossibleLayout) as refused:
        profile_id(A30, "2g.20gb")
    assert "2g.12gb?" in (refused.value.fix or "")


def test_a_device_that_spans_its_gpu_instance_is_that_instance() -> None:
    assert device_of(A30, "2c.2g.12gb") == device_of(A30, "2g.12gb") == DeviceKind(TWO)
    assert device_of(A30, "1c.2g.12gb") == DeviceKind(TWO, 1)
    assert device_name(A30, DeviceKind(TWO, 1)) == "1c.2g.12gb"
    assert device_name(A30, DeviceKind(FOUR)) == "4g.24gb"


def test_a_division_that_nvml_does_not_offer_is_refused_with_those_that_it_does() -> None:
    with pytest.raises(ImpossibleLayout) as refused:
        device_of(A30, "3c.4g.24gb")
    assert "4g.24gb 1c.4g.24gb 2c.4g.24gb" in (refused.value.fix or "")
