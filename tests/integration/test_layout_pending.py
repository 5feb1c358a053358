"""MIG modes that take effect after a reboot, and changes that wait while others are made."""

from __future__ import annotations

import pytest

from launcher.core.dispatch import decide
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action
from launcher.core.model.layout_change import Busy, LayoutOp, LayoutTarget, OpResult, OpState, Want
from launcher.daemon.api.handlers import saved_layouts
from launcher.errors import NoSuchJob, StaleRequest
from tests.support.carving import NOW, ROOT, Changer, MakeChanger, changer
from tests.support.machines import build_directory, make_machine

__all__ = ["build_directory", "changer", "make_machine"]


def pending(one: Changer, *wants: Want) -> LayoutOp:
    """Switch MIG mode on where that needs a reboot."""
    one.world.boot = "first"
    one.machine.set_reset_works(one.gpu, works=False)
    op = one.ask(LayoutTarget(one.gpu, wants or None, mode=True))
    assert (op.state, op.result, op.boot) == (OpState.PENDING, None, "first")
    return op


def boot(one: Changer) -> None:
    one.machine.reboot()
    one.reader.close()
    one.world.boot = "second"
    one.carry_out(one.look())


def test_a_layout_is_completed_after_the_reboot_that_its_mode_waits_for(
    changer: MakeChanger,
) -> None:
    one = changer("A30")
    op = pending(one, Want("1g.6gb", 2))
    assert one.standing() == []
    boot(one)
    assert (op.state, op.result, op.message) == (OpState.DONE, OpResult.APPLIED, None)
    assert [profile for profile, _, _ in one.standing()] == ["1g.6gb", "1g.6gb"]
    assert one.world.layouts == {}


def test_a_reset_by_hand_completes_it_as_a_reboot_does(changer: MakeChanger) -> None:
    one = changer("A30")
    op = pending(one, Want("2g.12gb"))
    one.machine.reset_gpu(one.gpu)
    one.carry_out(one.look())
    assert op.result is OpResult.APPLIED
    assert [profile for profile, _, _ in one.standing()] == ["2g.12gb"]


def test_a_mode_that_is_not_on_after_the_reboot_fails_the_change(changer: MakeChanger) -> None:
    one = changer("A30")
    op = pending(one)
    one.world.boot = "second"
    one.carry_out(one.look())
    assert op.result is OpResult.FAILED
    assert op.message == "after the reboot MIG mode of GPU 0 is still off"


def test_a_mode_that_another_program_sets_back_ends_the_change(changer: MakeChanger) -> None:
    one = changer("A30")
    op = pending(one)
    one.machine.set_mig_mode(one.gpu, on=False, pending_only=True)
    one.carry_out(one.look())
    assert op.result is OpResult.CANCELLED
    assert "another program set MIG mode of GPU 0 back" in (op.message or "")


def test_any_later_change_of_the_gpu_replaces_a_pending_one(changer: MakeChanger) -> None:
    one = changer("A30")
    op = pending(one, Want("1g.6gb", 4))
    off = one.ask(LayoutTarget(one.gpu, (), exact=True, mode=False), verb="disable")
    assert (off.result, op.result) == (OpResult.APPLIED, OpResult.CANCELLED)
    assert op.message == f"replaced by layout change {off.id} (disable by root)"
    boot(one)
    assert one.standing() == []


def test_a_change_of_one_gpu_leaves_the_rest_of_a_pending_one(changer: MakeChanger) -> None:
    one = changer("A30, A30")
    first, second = one.machine.gpu_uuids()
    one.world.boot = "first"
    for gpu in (first, second):
        one.machine.set_reset_works(gpu, works=False)
    op = one.ask(*(LayoutTarget(gpu, (Want("1g.6gb"),), mode=True) for gpu in (first, second)))
    one.ask(LayoutTarget(first, (), exact=True, mode=False), verb="disable")
    assert (op.state, op.gpus, op.pending) == (OpState.PENDING, (second,), (second,))
    boot(one)
    assert op.result is OpResult.APPLIED
    assert [i.gpu_uuid for i in one.world.instances.values()] == [second]


def test_a_pending_change_can_be_cancelled_and_says_what_still_happens(
    changer: MakeChanger,
) -> None:
    one = changer("A30")
    op = pending(one)
    one.tell(ev.LayoutCancelAsked(op.id))
    assert op.result is OpResult.CANCELLED
    assert "cancelled, but MIG mode on of GPU 0 takes effect after a reboot" in (op.message or "")
    with pytest.raises(NoSuchJob):
        one.tell(ev.LayoutCancelAsked(op.id))


def test_what_is_saved_while_a_mode_is_pending_is_what_is_wanted(changer: MakeChanger) -> None:
    one = changer("A30")
    pending(one, Want("1g.6gb", 2), Want("2g.12gb", 1, 2))
    (layout,) = saved_layouts.wanted(one.world)
    specs = [(spec.profile, spec.count, spec.start) for spec in layout.places]
    assert (layout.mode, specs) == (True, [("1g.6gb", 2, None), ("2g.12gb", 1, 2)])


def test_a_mode_that_another_program_left_pending_is_saved_too(changer: MakeChanger) -> None:
    one = changer("A30")
    one.machine.set_mig_mode(one.gpu, on=True, pending_only=True)
    one.look()
    (layout,) = saved_layouts.wanted(one.world)
    assert (layout.mode, layout.places) == (True, [])


def waiting(one: Changer) -> LayoutOp:
    """Have a change of the first GPU wait for somebody's process."""
    one.look({one.machine.mig_uuids()[0]: "is used by the container c"})
    op = one.ask(LayoutTarget(one.gpu, (), exact=True), busy=Busy.WAIT)
    assert op.state is OpState.WAITING
    return op


def test_a_change_that_waits_holds_up_no_other_gpu(changer: MakeChanger) -> None:
    one = changer("A30:1g.6gb*4, A30:")
    op = waiting(one)
    other = one.machine.gpu_uuids()[1]
    assert one.ask(LayoutTarget(other, (Want("2g.12gb"),))).result is OpResult.APPLIED
    assert one.world.layouts == {op.id: op}


def test_a_change_of_the_same_gpu_names_the_way_out(changer: MakeChanger) -> None:
    one = changer("A30:1g.6gb*4")
    op = waiting(one)
    with pytest.raises(StaleRequest, match=rf"layout change {op.id} .* of GPU 0 waits") as refused:
        one.ask(one.wish(Want("1g.6gb", 4)))
    assert refused.value.fix == f"`launch layout cancel {op.id}` gives it up."


def test_the_clean_up_before_the_machine_stops_replaces_a_change_that_waits(
    changer: MakeChanger,
) -> None:
    one = changer("A30:1g.6gb*4")
    op = waiting(one)
    off = LayoutTarget(one.gpu, (), exact=True, mode=False)
    clear = one.ask(off, verb="clear", busy=Busy.WAIT)
    assert (clear.state, op.result) == (OpState.WAITING, OpResult.CANCELLED)
    one.carry_out(one.look())
    assert clear.result is OpResult.APPLIED
    assert "replaced by layout change" in (op.message or "")
    assert all(state.changing is None for state in one.world.slices.values())


def test_a_change_asked_for_while_another_is_carried_out_comes_after_it(
    changer: MakeChanger,
) -> None:
    one = changer("A30:, A30:")
    first, second = one.machine.gpu_uuids()
    ops, todo = [], []
    for gpu in (first, second):
        event = ev.LayoutAsked(ROOT, "apply", "x", (wish(gpu),))
        op, actions = decide(one.world, event, NOW)
        ops.append(op)
        todo += actions
    assert [op.state for op in ops] == [OpState.LOOKING, OpState.WAITING]
    assert ops[1].message == f"waits: layout change {ops[0].id} (apply) is under way"
    one.carry_out(todo)
    assert [op.result for op in ops] == [OpResult.APPLIED, OpResult.APPLIED]


def behind_another(one: Changer, busy: Busy) -> tuple[LayoutOp, list[Action]]:
    """Have a change of the first GPU wait for one of the second; its slice is used meanwhile."""
    first, second = one.machine.gpu_uuids()
    _, todo = decide(one.world, ev.LayoutAsked(ROOT, "apply", "x", (wish(second),)), NOW)
    clear = ev.LayoutAsked(ROOT, "apply", "x", (LayoutTarget(first, (), exact=True),), busy)
    op, more = decide(one.world, clear, NOW)
    assert (op.state, more) == (OpState.WAITING, [])
    one.look({one.machine.mig_uuids()[0]: "is used by the container c"})
    return op, todo


def test_a_change_that_may_not_wait_for_users_is_refused_when_its_turn_comes(
    changer: MakeChanger,
) -> None:
    one = changer("A30:1g.6gb*4, A30:")
    op, todo = behind_another(one, Busy.REFUSE)
    one.carry_out(todo)
    assert op.result is OpResult.FAILED
    assert "is used by the container c. Nothing was changed" in (op.message or "")
    assert one.world.layouts == {}


def test_a_change_that_waits_always_says_what_for(changer: MakeChanger) -> None:
    one = changer("A30:1g.6gb*4, A30:")
    op, todo = behind_another(one, Busy.WAIT)
    assert "is used by the container c; layout change 1 (apply) is under" in (op.message or "")
    one.carry_out(todo)
    used = f"waits: {one.machine.mig_uuids()[0]} is used by the container c"
    assert (op.state, op.message) == (OpState.WAITING, used)
    one.tell(ev.EngineDown("Docker is away"))
    unknown = "unknown which containers use the affected slices: Docker is away"
    assert op.message == f"{used}; {unknown}"


def test_a_change_that_fails_names_the_pending_one_that_it_had_replaced(
    changer: MakeChanger,
) -> None:
    one = changer("A30, A30")
    for gpu in one.machine.gpu_uuids():
        one.machine.set_reset_works(gpu, works=False)
    op = one.ask(*(LayoutTarget(gpu, (), mode=True) for gpu in one.machine.gpu_uuids()))
    one.machine.fail("nvmlDeviceSetMigMode", "NO_PERMISSION")
    off = one.ask(LayoutTarget(one.gpu, (), exact=True, mode=False), verb="disable")
    assert off.result is OpResult.FAILED
    assert (off.message or "").endswith(
        f"It had replaced layout change {op.id}: request that again"
    )
    assert (op.message or "").endswith(f"; layout change {off.id} replaced a part of it")


@pytest.mark.parametrize("verb", ["clear", "apply"])
def test_a_change_that_is_refused_leaves_the_one_that_it_would_replace(
    changer: MakeChanger, verb: str
) -> None:
    one = changer("A30:1g.6gb*4")
    op = waiting(one)
    with pytest.raises(StaleRequest):
        one.ask(LayoutTarget(one.gpu, (), exact=True), verb=verb)
    assert (one.world.layouts, op.state) == ({op.id: op}, OpState.WAITING)
    assert {s.changing for s in one.world.slices.values()} == {op.id}


def wish(gpu: str) -> LayoutTarget:
    return LayoutTarget(gpu, (Want("1g.6gb", 2),))
