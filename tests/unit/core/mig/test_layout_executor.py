"""A change of the layout, event by event: steps, undoing, users, pending MIG modes, restarts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action, CarveStep, LookAtLayout
from launcher.core.mig.layout_executor import taken_up
from launcher.core.model.gpu import Gpu, Instance, Inventory, Placement, Slice
from launcher.core.model.layout_change import (
    Busy,
    LayoutOp,
    LayoutTarget,
    OpResult,
    OpState,
    StepKind,
    Want,
)
from launcher.core.world.inventory import made_by_us
from launcher.errors import NoSuchJob, StaleRequest
from tests.support.boards import gpu
from tests.support.builders import ROOT, Machine, profile

UUID = "GPU-a"
ONE, TWO = (LayoutTarget(UUID, (Want("1g.6gb", count),)) for count in (1, 2))
FOUR = LayoutTarget(UUID, (Want("4g.24gb"),), exact=True)


class Carver:
    """A machine whose one GPU shows what was carved, as far as it is told."""

    def __init__(self, card: Gpu | None = None) -> None:
        self.card = card or gpu("A30")
        self.machine = Machine(slices=[], gpus=[self.card])
        self.standing: dict[int, Instance] = {}

    def place(self, gi: int, name: str, start: int) -> None:
        offered = next(p for p in self.card.profiles if p.name == name)
        at = Placement(start, offered.slice_count)
        self.standing[gi] = Instance(UUID, gi, name, offered.profile_id, at)

    def show(self, **fields: object) -> None:
        """Let NVML show what stands."""
        slices = tuple(
            Slice(f"MIG-{gi}", UUID, 0, i.profile, i.profile_id, 5952, gi, 0, i.placement)
            for gi, i in self.standing.items()
        )
        inventory = Inventory("580", (self.card,), slices, tuple(self.standing.values()))
        self.machine.tell(ev.InventoryRead(replace(inventory, **fields), ()))  # type: ignore[arg-type]

    def ask(self, wish: LayoutTarget, busy: Busy = Busy.REFUSE) -> LayoutOp:
        """Ask for a change, which begins with a look."""
        event = ev.LayoutAsked(ROOT, "create", "as asked", (wish,), busy)
        self.actions = self.machine.tell(event)
        return list(self.machine.world.layouts.values())[-1]

    def look(self, op: LayoutOp, **fields: str) -> list[Action]:
        """Answer a look; returns what is done next."""
        self.show()
        return self.machine.tell(ev.LayoutSeen(op.id, **fields))

    def done(self, op: LayoutOp, gi: int | None = None, **fields: object) -> list[Action]:
        """Report the step that is under way as done."""
        step = (op.undo if op.state is OpState.ROLLING_BACK else op.steps)[0]
        if step.kind is StepKind.CREATE and gi is not None and step.placement is not None:
            self.place(gi, step.profile, step.placement.start)
        if step.kind is StepKind.DESTROY and step.gi is not None:
            del self.standing[step.gi]
        event = ev.LayoutStepDone(op.id, step, gi, **fields)  # type: ignore[arg-type]
        return self.machine.tell(event)

    def fail(self, op: LayoutOp) -> list[Action]:
        step = (op.undo if op.state is OpState.ROLLING_BACK else op.steps)[0]
        return self.machine.tell(ev.LayoutStepFailed(op.id, step, "no room"))


def kinds(actions: list[Action]) -> list[str]:
    return [a.step.kind.value if isinstance(a, CarveStep) else "look" for a in actions
            if isinstance(a, CarveStep | LookAtLayout)]  # fmt: skip


def test_a_change_is_a_look_its_steps_and_a_look_that_finds_nothing_left() -> None:
    carver = Carver()
    op = carver.ask(TWO)
    assert kinds(carver.actions) == ["look"]
    assert kinds(carver.look(op)) == ["create"]
    assert kinds(carver.done(op, gi=1)) == ["create"]
    assert kinds(carver.done(op, gi=2)) == ["look"]
    assert carver.look(op) == []
    assert (op.state, op.result, op.message) == (OpState.DONE, OpResult.APPLIED, None)
    assert carver.machine.world.layouts == {}
    assert made_by_us(carver.machine.world, UUID, 1)


def test_what_exists_already_needs_no_step() -> None:
    carver = Carver()
    carver.place(1, "1g.6gb", 0)
    carver.show()
    op = carver.ask(ONE)
    assert carver.look(op) == []
    assert op.result is OpResult.APPLIED


def test_a_step_that_fails_undoes_those_before_it_last_first() -> None:
    carver = Carver()
    op = carver.ask(LayoutTarget(UUID, (Want("1g.6gb", 3),)))
    carver.look(op)
    carver.done(op, gi=1)
    carver.done(op, gi=2)
    (undo,) = carver.fail(op)
    assert isinstance(undo, CarveStep)
    assert (undo.step.kind, undo.step.gi) == (StepKind.DESTROY, 2)
    assert kinds(carver.done(op)) == ["destroy"]
    assert kinds(carver.done(op)) == ["look"]
    carver.look(op)
    assert op.result is OpResult.FAILED
    assert "no room" in (op.message or "")
    assert (op.message or "").endswith("nothing")


def test_where_undoing_fails_too_it_stops_and_tells_what_stands() -> None:
    carver = Carver()
    op = carver.ask(TWO)
    carver.look(op)
    carver.done(op, gi=1)
    carver.fail(op)
    assert kinds(carver.fail(op)) == ["look"]
    carver.look(op)
    assert (op.result, op.undo) == (OpResult.FAILED, [])
    assert (op.message or "").count("no room") == 2
    assert "1g.6gb@" in (op.message or "")


def test_an_instance_that_somebody_else_made_meanwhile_is_neither_ours_nor_undone() -> None:
    carver = Carver()
    op = carver.ask(TWO)
    carver.look(op)
    carver.done(op, gi=1, made=False)
    assert kinds(carver.fail(op)) == ["look"]
    assert not made_by_us(carver.machine.world, UUID, 1)


def test_late_events_of_another_change_or_another_step_change_nothing() -> None:
    carver = Carver()
    op = carver.ask(TWO)
    carver.look(op)
    late, steps = carver.machine.world.late_events, list(op.steps)
    other = replace(steps[0], profile="2g.12gb")
    for event in (
        ev.LayoutSeen(op.id + 1),
        ev.LayoutStepDone(op.id + 1, steps[0]),
        ev.LayoutStepDone(op.id, other),
        ev.LayoutStepFailed(op.id, other, "because"),
    ):
        assert carver.machine.tell(event) == []
    assert carver.machine.world.late_events == late + 4
    assert (op.state, op.steps) == (OpState.RUNNING, steps)


def test_a_look_that_fails_ends_the_change_and_tells_whether_something_was_changed() -> None:
    for changed, words in ((False, "nothing was changed"), (True, "could not be verified")):
        carver = Carver()
        op = carver.ask(ONE)
        if changed:
            carver.look(op)
            carver.done(op, gi=1)
        carver.look(op, problem="NVML is away")
        assert op.result is OpResult.FAILED
        assert words in (op.message or "")
        assert (op.message or "").endswith("NVML is away")


def test_a_layout_that_is_not_as_requested_after_the_steps_has_failed() -> None:
    carver = Carver()
    op = carver.ask(ONE)
    carver.look(op)
    carver.done(op)
    assert carver.look(op) == []
    assert op.result is OpResult.FAILED
    assert "still missing" in (op.message or "")


def in_use() -> Carver:
    """A GPU with one slice, which a job has."""
    carver = Carver()
    carver.place(1, "1g.6gb", 0)
    carver.show()
    (job,) = carver.machine.submit(profile())
    carver.machine.run(job)
    assert job.slices == ("MIG-1",)
    return carver


def test_a_change_that_may_wait_begins_once_the_slices_that_go_are_unused() -> None:
    carver = in_use()
    op = carver.ask(FOUR, Busy.WAIT)
    assert (op.state, kinds(carver.actions)) == (OpState.WAITING, [])
    assert "used by job 1" in (op.message or "")
    actions = carver.machine.end(carver.machine.world.jobs[1])
    assert (op.state, kinds(actions)) == (OpState.LOOKING, ["look"])
    assert kinds(carver.look(op)) == ["destroy"]


def test_a_change_that_may_not_wait_is_refused_by_the_look_that_finds_a_user() -> None:
    """Somebody started a program on the slice between the request and the look."""
    carver = Carver()
    carver.place(1, "1g.6gb", 0)
    carver.show()
    op = carver.ask(FOUR)
    carver.machine.tell(ev.LayoutSeen(op.id, blind="Docker is away"))
    assert (op.result, carver.machine.world.engine_down) == (OpResult.FAILED, "Docker is away")
    assert (op.message or "").endswith("Nothing was changed")
    assert carver.machine.world.slices["MIG-1"].changing is None


def test_only_a_change_that_waits_can_be_cancelled() -> None:
    carver = in_use()
    waits = carver.ask(FOUR, Busy.WAIT)
    carver.machine.tell(ev.LayoutCancelAsked(waits.id))
    assert waits.result is OpResult.CANCELLED
    with pytest.raises(NoSuchJob):
        carver.machine.tell(ev.LayoutCancelAsked(waits.id))
    begun = carver.ask(TWO)
    with pytest.raises(StaleRequest):
        carver.machine.tell(ev.LayoutCancelAsked(begun.id))


def without_mig() -> tuple[Carver, LayoutOp]:
    """A change whose MIG mode takes effect after a reboot only."""
    carver = Carver(gpu("A30", mig=False))
    carver.machine.world.boot = "first"
    op = carver.ask(LayoutTarget(UUID, (Want("1g.6gb"),), mode=True))
    assert kinds(carver.look(op)) == ["mode-on"]
    assert kinds(carver.done(op, pending="after a reboot")) == ["look"]
    carver.card = replace(carver.card, mig_pending=True)
    assert carver.look(op) == []
    assert (op.state, op.message, op.pending) == (OpState.PENDING, "after a reboot", (UUID,))
    return carver, op


def test_a_change_goes_on_by_itself_once_mig_mode_has_taken_effect() -> None:
    carver, op = without_mig()
    carver.show()
    assert op.state is OpState.PENDING
    carver.card = gpu("A30")
    carver.show()
    assert op.state is OpState.LOOKING
    assert kinds(carver.look(op)) == ["create"]


def test_a_mode_that_a_reboot_did_not_bring_is_a_failure() -> None:
    carver, op = without_mig()
    carver.machine.world.boot = "second"
    carver.show()
    assert op.result is OpResult.FAILED
    assert "after the reboot" in (op.message or "")


def test_a_mode_that_another_program_set_back_cancels_the_change() -> None:
    carver, op = without_mig()
    carver.card = replace(carver.card, mig_pending=False)
    carver.show()
    assert op.result is OpResult.CANCELLED


def test_a_pending_change_waits_while_its_gpu_does_not_answer() -> None:
    carver, op = without_mig()
    carver.machine.world.boot = "second"
    carver.show(silent=((UUID, "it does not answer"),))
    assert (op.state, op.message) == (OpState.PENDING, "waits: it does not answer")


def test_after_a_restart_a_change_that_had_changed_nothing_goes_on_and_any_other_is_over() -> None:
    for steps, state in ((0, OpState.WAITING), (1, OpState.DONE)):
        carver = Carver()
        op = carver.ask(TWO)
        for gi in range(steps):
            carver.look(op)
            carver.done(op, gi=gi)
        taken_up(carver.machine.world, carver.machine.time)
        assert op.state is state
        assert (op.result is OpResult.FAILED) == bool(steps)


def test_a_second_answer_to_a_look_is_late_and_no_step_is_carried_out_twice() -> None:
    carver = Carver()
    op = carver.ask(TWO)
    assert kinds(carver.look(op)) == ["create"]
    assert carver.look(op) == []
    assert carver.machine.world.late_events == 1


def test_a_change_that_waits_goes_on_waiting_while_its_gpu_does_not_answer() -> None:
    carver = in_use()
    op = carver.ask(FOUR, Busy.WAIT)
    carver.show(silent=((UUID, "GPU 0 does not answer"),))
    carver.machine.end(carver.machine.world.jobs[1])
    assert (op.state, op.message) == (OpState.WAITING, "waits: GPU 0 does not answer")
    carver.show()
    assert (op.state, op.message) == (OpState.LOOKING, None)


def test_a_change_that_waits_goes_on_waiting_while_nvml_is_away() -> None:
    carver = in_use()
    op = carver.ask(FOUR, Busy.WAIT)
    carver.machine.end(carver.machine.world.jobs[1])
    assert op.state is OpState.LOOKING
    carver.machine.tell(ev.InventoryFailed("NVML is away"), ev.LayoutSeen(op.id, "NVML is away"))
    assert (op.state, op.message) == (OpState.WAITING, "waits: NVML is away")
    carver.show()
    assert op.state is OpState.LOOKING


def test_a_gpu_that_does_not_answer_before_anything_was_changed_is_told_so() -> None:
    carver = Carver()
    op = carver.ask(ONE)
    carver.show(silent=((UUID, "GPU 0 does not answer"),))
    carver.machine.tell(ev.LayoutSeen(op.id))
    assert op.message == "nothing was changed: GPU 0 does not answer"


def test_a_slice_that_is_made_again_while_a_change_waits_to_destroy_it_stays_barred() -> None:
    carver = in_use()
    carver.place(2, "1g.6gb", 1)
    carver.show()
    op = carver.ask(FOUR, Busy.WAIT)
    again = carver.standing.pop(2)
    carver.show()
    carver.standing[2] = again
    carver.show()
    assert carver.machine.world.slices["MIG-2"].changing == op.id


def test_a_pending_change_of_a_gpu_that_is_gone_ends_after_the_reboot() -> None:
    carver, op = without_mig()
    away = ev.InventoryRead(Inventory("580", (), (), ()), ())
    carver.machine.tell(away)
    assert op.state is OpState.PENDING
    carver.machine.world.boot = "second"
    carver.machine.tell(away)
    assert op.message == f"after the reboot NVML does not report GPU {UUID}"
    assert (op.result, carver.machine.world.layouts) == (OpResult.FAILED, {})


def test_a_change_of_no_gpu_is_over_at_once_and_waits_for_no_other() -> None:
    carver = Carver()
    carver.ask(ONE)
    event = ev.LayoutAsked(ROOT, "clear", "--all", ())
    assert carver.machine.tell(event) == []
    (active,) = carver.machine.world.layouts.values()
    assert active.gpus == (UUID,)


def test_a_mode_does_not_change_under_a_job_whose_slice_is_gone() -> None:
    carver = Carver()
    carver.place(3, "1g.6gb", 0)
    carver.show()
    (job,) = carver.machine.submit(profile("1g.6gb"))
    carver.machine.run(job)
    del carver.standing[3]
    carver.show()
    with pytest.raises(StaleRequest, match="MIG-3 is used by job"):
        carver.ask(LayoutTarget(UUID, None, mode=False))
    op = carver.ask(LayoutTarget(UUID, (Want("1g.6gb"),), mode=False), Busy.WAIT)
    assert op.wishes == (LayoutTarget(UUID, (), exact=True, mode=False),), "none can stay"
    assert op.state is OpState.WAITING


def test_a_gpu_that_goes_away_with_its_mode_pending_does_not_stop_other_gpus() -> None:
    off = replace(gpu("A30", "GPU-b", mig=False), index=1)
    machine = Machine(slices=[], gpus=[gpu("A30", UUID), off])
    wishes = (LayoutTarget(UUID, (Want("1g.6gb"),)), LayoutTarget("GPU-b", None, mode=True))
    machine.tell(ev.LayoutAsked(ROOT, "apply", "as asked", wishes, Busy.REFUSE))
    (op,) = machine.world.layouts.values()
    machine.tell(ev.LayoutSeen(op.id))
    (step,) = op.steps
    machine.tell(ev.LayoutStepDone(op.id, step, pending="after a reboot"))
    machine.tell(ev.InventoryRead(Inventory("580", (gpu("A30", UUID),), (), ()), ()))
    assert kinds(machine.tell(ev.LayoutSeen(op.id))) == ["create"]
