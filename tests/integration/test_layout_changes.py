"""Whole changes of the layout on every board: applied and verified, or refused before the first."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from launcher.core.dispatch import decide
from launcher.core.messages import events as ev
from launcher.core.messages.actions import LookAtLayout
from launcher.core.model.layout_change import Busy, LayoutTarget, OpResult, OpState, Want
from launcher.core.model.packing import Place
from launcher.core.world.inventory import made_by_us
from launcher.daemon.loop.health import Health
from launcher.daemon.machine.layout_steps import LayoutRunner
from launcher.errors import ImpossibleLayout, StaleRequest
from launcher.fakegpu.script import CODES
from launcher.gpu import Carver
from tests.property.test_layouts import feasible_cached
from tests.support.boards import MIG_BOARDS, board
from tests.support.carving import NOW, ROOT, Changer, MakeChanger, changer
from tests.support.machines import build_directory, make_machine

__all__ = ["build_directory", "changer", "make_machine"]

CHANGING = (
    "nvmlDeviceCreateGpuInstanceWithPlacement",
    "nvmlGpuInstanceCreateComputeInstance",
    "nvmlComputeInstanceDestroy",
    "nvmlGpuInstanceDestroy",
)


def changes_made(changer: Changer) -> int:
    return sum(changer.machine.calls(name) for name in CHANGING)


@pytest.mark.parametrize("key", MIG_BOARDS)
def test_every_layout_that_can_stand_is_applied_and_verified(
    changer: MakeChanger, key: str
) -> None:
    one = changer(f"{key}:")
    for kept in sorted(feasible_cached(key), key=sorted):
        op = one.ask(one.wish(*(Want(str(i), n) for i, n in kept), exact=True))
        assert op.result is OpResult.APPLIED, op.message
        there = Counter(i.profile_id for i in one.world.instances.values())
        assert there == Counter(dict(kept))
        assert all(devices == 1 for _, _, devices in one.standing())
        assert one.world.layouts == {}


@pytest.mark.parametrize("key", MIG_BOARDS)
def test_one_instance_more_than_can_stand_is_refused_before_the_first_change(
    changer: MakeChanger, key: str
) -> None:
    one = changer(f"{key}:")
    can = feasible_cached(key)
    refused = 0
    for kept in sorted(can, key=sorted)[:: max(1, len(can) // 40)]:
        for shape in board(key).shapes:
            more = Counter(dict(kept)) + Counter({shape.profile_id: 1})
            if frozenset(more.items()) not in can:
                with pytest.raises(ImpossibleLayout) as caught:
                    one.ask(one.wish(*(Want(str(i), n) for i, n in more.items()), exact=True))
                assert "largest part that fits" in (caught.value.fix or "")
                refused += 1
    assert refused > 10
    assert changes_made(one) == 0


def test_what_fits_already_is_kept_untouched(changer: MakeChanger) -> None:
    one = changer("A100-40GB:1g.5gb*3/3g.20gb")
    before = {i.gi: i.uuids for i in one.machine.instances()}
    one.ask(one.wish(Want("1g.5gb", 1), Want("3g.20gb", 1), Want("2g.10gb", 1), exact=True))
    after = {i.gi: i.uuids for i in one.machine.instances()}
    assert sum(before.get(gi) == uuids for gi, uuids in after.items()) == 2
    assert [told.split()[0] for told in one.told] == ["destroy", "destroy", "create"]


def test_without_exact_nothing_that_stands_ever_goes(changer: MakeChanger) -> None:
    one = changer("A30:1g.6gb*2")
    with pytest.raises(ImpossibleLayout, match="beside the present instances"):
        one.ask(one.wish(Want("4g.24gb")))
    one.ask(one.wish(Want("2g.12gb")))
    assert [profile for profile, _, _ in one.standing()] == ["1g.6gb", "1g.6gb", "2g.12gb"]
    assert changes_made(one) == 2


def test_a_3g_is_not_placed_by_its_slices_where_placements_forbid_it(changer: MakeChanger) -> None:
    """Three compute slices are free, and no four memory units side by side."""
    one = changer("A100-40GB:")
    one.ask(one.wish(Want("1g.5gb", 1, 2), Want("1g.5gb", 1, 5)))
    with pytest.raises(ImpossibleLayout):
        one.ask(one.wish(Want("3g.20gb")))


def test_the_rtx_pro_has_twelve_units_and_all_media_engines_go_once(changer: MakeChanger) -> None:
    one = changer("RTX-PRO-6000:")
    one.ask(one.wish(Want("1g.24gb+me.all"), Want("1g.24gb-me", 3)))
    assert sorted(start for _, start, _ in one.standing()) == [0, 3, 6, 9]
    one.ask(one.wish(exact=True))
    with pytest.raises(ImpossibleLayout, match="do not fit together"):
        one.ask(one.wish(Want("1g.24gb+me.all"), Want("1g.24gb")))


def test_a_profile_is_named_by_its_id_and_never_by_nvmls_enum(changer: MakeChanger) -> None:
    one = changer("A30:")
    one.ask(one.wish(Want("14", 1)))
    assert one.standing() == [("1g.6gb", 0, 1)]
    with pytest.raises(ImpossibleLayout, match="has no profile '1'"):
        one.ask(one.wish(Want("1", 1)))


def test_two_changes_at_once_are_one_too_many(changer: MakeChanger) -> None:
    one = changer("A30:1g.6gb*4")
    one.look({one.machine.mig_uuids()[0]: "is used by the container c"})
    op = one.ask(one.wish(exact=True), verb="clear", busy=Busy.WAIT)
    assert op.state is OpState.WAITING
    with pytest.raises(StaleRequest, match=r"layout change 1 \(clear by root\) of GPU 0 waits"):
        one.ask(one.wish(Want("1g.6gb", 4)))


def test_a_foreign_slice_is_never_destroyed_and_waiting_for_it_works(changer: MakeChanger) -> None:
    one = changer("A30:1g.6gb*4")
    used = one.machine.mig_uuids()[0]
    one.look({used: "is used by the container c"})
    with pytest.raises(StaleRequest, match="is used by the container c: nothing was changed"):
        one.ask(one.wish(exact=True))
    op = one.ask(one.wish(Want("2g.12gb", 2), exact=True), busy=Busy.WAIT)
    assert (op.state, changes_made(one)) == (OpState.WAITING, 0)
    assert {s.changing for s in one.world.slices.values()} == {op.id}, "nobody may get them now"
    one.carry_out(one.look())
    assert op.result is OpResult.APPLIED
    assert [p for p, _, _ in one.standing()] == ["2g.12gb", "2g.12gb"]


def test_a_process_that_nobody_saw_coming_stops_the_change_and_all_is_put_back(
    changer: MakeChanger,
) -> None:
    one = changer("A30:1g.6gb*4")
    before = one.standing()
    one.machine.add_process(one.machine.mig_uuids()[2], 1)
    op = one.ask(one.wish(exact=True), verb="clear")
    assert op.result is OpResult.FAILED
    assert "is in use: process 1" in (op.message or "")
    assert one.standing() == before


@pytest.mark.parametrize("code", ["IN_USE", "INSUFFICIENT_RESOURCES", "UNKNOWN", "NO_PERMISSION"])
@pytest.mark.parametrize("function", CHANGING)
def test_an_error_at_any_step_leaves_the_old_layout_or_a_recorded_one_that_apply_completes(
    changer: MakeChanger, function: str, code: str
) -> None:
    one = changer("A30:1g.6gb*4")
    old = one.standing()
    wanted = one.wish(Want("2g.12gb", 1), Want("1g.6gb", 2), exact=True)
    for at in (1, 2):
        one.machine.fail(function, code, at=at)
        op = one.ask(wanted)
        one.machine.clear_faults()
        if op.result is OpResult.APPLIED:
            assert code == "IN_USE" or at == 2, "only that passes by itself"
        else:
            assert one.standing() == old, op.message
            assert op.message
        assert one.ask(wanted).result is OpResult.APPLIED
        assert one.ask(one.wish(Want("1g.6gb", 4), exact=True)).result is OpResult.APPLIED


def test_an_error_at_every_single_nvml_call_of_an_apply_is_survived(changer: MakeChanger) -> None:
    """Whatever call it is that fails: what stands is one of the two, or told and completed."""
    one = changer("A30:1g.6gb*2")
    old, at, applied = one.standing(), 0, 0
    wanted = one.wish(Want("2g.12gb", 1), exact=True)
    while applied < 3:
        at += 1
        one.machine.fail("*", CODES["UNKNOWN"], at=at, times=3)
        op = one.ask(wanted)
        one.machine.clear_faults()
        applied = applied + 1 if op.result is OpResult.APPLIED else 0
        if one.standing() not in (old, [("2g.12gb", 0, 1)]):
            assert op.result is OpResult.FAILED
            assert op.message
        one.look()
        assert one.ask(wanted).result is OpResult.APPLIED, at
        assert one.standing() == [("2g.12gb", 0, 1)]
        assert one.ask(one.wish(Want("1g.6gb", 2), exact=True)).result is OpResult.APPLIED
        assert one.standing() == old
    assert at > 20


def test_a_bare_instance_is_completed_or_removed(changer: MakeChanger) -> None:
    one = changer("A30:")
    one.machine.add_instance(one.gpu, "2g.12gb", 0, bare=True)
    one.look()
    assert one.ask(one.wish(Want("2g.12gb"))).result is OpResult.APPLIED
    assert one.standing() == [("2g.12gb", 0, 1)]
    one.machine.add_instance(one.gpu, "1g.6gb", 3, bare=True)
    one.look()
    bare = one.machine.instances()[-1].gi
    place = Place(one.world.instances[one.gpu, bare].profile_id, 3)
    op = one.ask(LayoutTarget(one.gpu, drop=frozenset({(bare, place)})), verb="destroy")
    assert op.result is OpResult.APPLIED
    assert one.standing() == [("2g.12gb", 0, 1)]


@pytest.mark.parametrize("key", MIG_BOARDS)
def test_mode_and_layout_come_together_and_go_together(changer: MakeChanger, key: str) -> None:
    one = changer(key)
    smallest = one_profile(key)
    op = one.ask(one.wish(Want(smallest, 2), mode=True))
    assert op.result is OpResult.APPLIED, op.message
    assert [p for p, _, _ in one.standing()] == [smallest] * 2
    off = LayoutTarget(one.gpu, (), exact=True, mode=False)
    assert one.ask(off, verb="clear").result is OpResult.APPLIED
    assert one.machine.mig_mode(one.gpu) == (False, False)


def one_profile(key: str) -> str:
    from tests.support.boards import profiles

    return max(profiles(key), key=lambda p: p.max_instances).name


def test_a_layout_that_cannot_stand_after_the_mode_came_on_switches_it_off_again(
    changer: MakeChanger,
) -> None:
    one = changer("A30")
    op = one.ask(one.wish(Want("4g.24gb", 2), mode=True))
    assert op.result is OpResult.FAILED
    assert "do not fit together" in (op.message or "")
    assert one.machine.mig_mode(one.gpu) == (False, False)


def test_a_mode_that_is_only_pending_is_an_outcome_of_its_own_and_nothing_is_put_back(
    changer: MakeChanger,
) -> None:
    one = changer("A30:1g.6gb*2")
    one.machine.set_reset_works(one.gpu, works=False)
    op = one.ask(LayoutTarget(one.gpu, (), exact=True, mode=False), verb="clear")
    assert (op.state, op.result) == (OpState.PENDING, None)
    assert "takes effect after a reboot" in (op.message or "")
    assert one.standing() == []
    assert one.machine.mig_mode(one.gpu) == (True, False)


def test_who_made_an_instance_is_known_as_long_as_it_stands(changer: MakeChanger) -> None:
    one = changer("A30:1g.6gb")
    one.ask(one.wish(Want("2g.12gb", 1, 2)))
    made = {gi: made_by_us(one.world, gpu, gi) for gpu, gi in one.world.instances}
    assert sorted(made.values()) == [False, True]
    ours = next(gi for gi, by_us in made.items() if by_us)
    one.machine.remove_instance(one.gpu, ours)
    one.look()
    one.machine.add_instance(one.gpu, "1g.6gb", 3)
    one.look()
    assert not any(made_by_us(one.world, gpu, gi) for gpu, gi in one.world.instances)


def two_more(one: Changer) -> ev.LayoutAsked:
    return ev.LayoutAsked(ROOT, "apply", "", (one.wish(Want("1g.6gb", 2)),))


def test_what_stood_there_already_is_neither_ours_nor_taken_back(changer: MakeChanger) -> None:
    """Somebody makes the very instance between the look and the step."""
    one = changer("A30:")
    op, actions = decide(one.world, two_more(one), NOW)
    (carve_first,) = one.tell(asyncio.run(one.runner.look(actions[0])))
    one.machine.add_instance(one.gpu, "1g.6gb", carve_first.step.placement.start)
    one.machine.fail("nvmlDeviceCreateGpuInstanceWithPlacement", "UNKNOWN", times=None)
    one.carry_out([carve_first])
    assert op.result is OpResult.FAILED
    assert [p for p, _, _ in one.standing()] == ["1g.6gb"], "theirs stays"
    assert not any(made_by_us(one.world, gpu, gi) for gpu, gi in one.world.instances)


def test_nobody_gets_a_new_slice_before_the_change_is_over(changer: MakeChanger) -> None:
    one = changer("A30:")
    _, actions = decide(one.world, two_more(one), NOW)
    (step,) = one.tell(asyncio.run(one.runner.look(actions[0])))
    more = one.tell(asyncio.run(one.runner.carve(step)))
    one.look()
    assert len(one.world.slices) == 1
    assert not any(state.free for state in one.world.slices.values())
    one.carry_out(more)
    assert [state.free for state in one.world.slices.values()] == [True, True]


def test_where_nvml_hides_the_instances_nothing_is_changed_and_the_error_says_why(
    changer: MakeChanger,
) -> None:
    one = changer("A30:1g.6gb*2")
    one.machine.fail("nvmlDeviceGetGpuInstances", "NO_PERMISSION", times=None)
    one.look()
    for wish in (one.wish(exact=True), one.wish(Want("1g.6gb", 4))):
        with pytest.raises(ImpossibleLayout, match="does not report its GPU instances"):
            one.ask(wish)
    assert changes_made(one) == 0


def test_somebody_who_came_after_the_asking_is_seen_before_the_first_step(
    changer: MakeChanger,
) -> None:
    one = changer("A30:1g.6gb*4")
    _, actions = decide(one.world, ev.LayoutAsked(ROOT, "clear", "", (one.wish(exact=True),)), NOW)
    (op,) = one.world.layouts.values()
    one.look({one.machine.mig_uuids()[0]: "is used by the container c"})
    one.tell(ev.LayoutSeen(op.id))
    assert (op.result, changes_made(one)) == (OpResult.FAILED, 0)
    assert op.message == (
        f"{one.machine.mig_uuids()[0]} is used by the container c. Nothing was changed"
    )
    assert {s.changing for s in one.world.slices.values()} == {None}
    assert isinstance(actions[0], LookAtLayout)


def test_while_docker_does_not_tell_a_change_that_removes_waits_or_is_refused(
    changer: MakeChanger,
) -> None:
    one = changer("A30:1g.6gb*4")
    for busy, state in ((Busy.REFUSE, OpState.DONE), (Busy.WAIT, OpState.WAITING)):
        asked = ev.LayoutAsked(ROOT, "clear", "", (one.wish(exact=True),), busy)
        op, _ = decide(one.world, asked, NOW)
        more = one.tell(ev.LayoutSeen(op.id, blind="Docker is away"))
        assert (op.state, more) == (state, [])
        assert "Docker is away" in (op.message or "")
        one.world.engine_down = None
    one.carry_out(one.tell(ev.EngineUp()))
    assert op.result is OpResult.APPLIED


def test_to_clear_all_gpus_one_with_mig_mode_off_is_clean_already(changer: MakeChanger) -> None:
    one = changer("A30:1g.6gb, A30")
    op = one.ask(
        *(LayoutTarget(uuid, (), exact=True) for uuid in one.machine.gpu_uuids()), verb="clear"
    )
    assert op.result is OpResult.APPLIED
    assert one.standing() == []


def test_what_another_left_bare_is_completed_only_if_it_is_asked_for(changer: MakeChanger) -> None:
    one = changer("A30:")
    one.machine.add_instance(one.gpu, "2g.12gb", 0, bare=True)
    one.look()
    assert one.ask(one.wish(Want("1g.6gb"))).result is OpResult.APPLIED
    assert one.standing() == [("1g.6gb", 2, 1), ("2g.12gb", 0, 0)]


def test_one_more_is_one_more_and_a_taken_place_is_told(changer: MakeChanger) -> None:
    one = changer("A30:1g.6gb*2")
    assert one.ask(one.wish(Want("1g.6gb"), add=True)).result is OpResult.APPLIED
    assert len(one.standing()) == 3
    with pytest.raises(ImpossibleLayout, match=r"1g\.6gb@0 exists already"):
        one.ask(one.wish(Want("1g.6gb", 1, 0), add=True))
    one.ask(one.wish(Want("1g.6gb"), add=True))
    with pytest.raises(ImpossibleLayout, match=r"no room for 1g\.6gb beside the present"):
        one.ask(one.wish(Want("1g.6gb"), add=True))


def test_one_gpu_that_needs_a_reset_does_not_hold_up_the_other(changer: MakeChanger) -> None:
    one = changer("A30, A30")
    first, second = one.machine.gpu_uuids()
    one.machine.set_reset_works(first, works=False)
    op = one.ask(*(LayoutTarget(gpu, (Want("1g.6gb", 2),), mode=True) for gpu in (first, second)))
    assert (op.state, op.pending) == (OpState.PENDING, (first,))
    assert "takes effect after a reboot" in (op.message or "")
    assert [p for p, _, _ in one.standing()] == ["1g.6gb", "1g.6gb"]


def test_jobs_are_cancelled_and_strangers_are_not_waited_for_unless_that_is_asked(
    changer: MakeChanger,
) -> None:
    one = changer("A30:1g.6gb*4")
    one.look({one.machine.mig_uuids()[0]: "is used by the container c"})
    with pytest.raises(StaleRequest, match="is used by the container c: nothing was changed"):
        one.ask(one.wish(exact=True), busy=Busy.CANCEL)
    op = one.ask(one.wish(exact=True), busy=Busy.CANCEL_AND_WAIT)
    assert op.state is OpState.WAITING
    assert "waits: " in (op.message or "")


def test_device_nodes_and_cdi_follow_once_and_only_what_was_changed(changer: MakeChanger) -> None:
    one = changer("A30:")
    refreshed: list[int] = []
    one.runner = LayoutRunner(
        Carver(one.reader), Health(), one._look, lambda: refreshed.append(1) or []
    )
    assert one.ask(one.wish(Want("1g.6gb"))).result is OpResult.APPLIED
    assert one.ask(one.wish(Want("1g.6gb"))).result is OpResult.APPLIED
    assert refreshed == [1]
