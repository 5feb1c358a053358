"""A change of the layout under way: step by step, undone where one fails, verified at the end."""

from __future__ import annotations

from dataclasses import replace

from launcher.core import event as ev
from launcher.core.action import Action, CarveStep, LookAtLayout
from launcher.core.gpu import Inventory, Placement
from launcher.core.layout import Place
from launcher.core.layoutop import LayoutOp, OpResult, OpState, Step, StepKind
from launcher.core.layouts import plans, steps_of, user_of
from launcher.core.world import World
from launcher.errors import ImpossibleLayout, NoSuchJob, StaleRequest, UserError

INVERSE = {
    StepKind.CREATE: StepKind.DESTROY,
    StepKind.DESTROY: StepKind.CREATE,
    StepKind.MODE_ON: StepKind.MODE_OFF,
    StepKind.MODE_OFF: StepKind.MODE_ON,
}
"""What takes a step back; a completed compute instance may stay."""


def go_on(world: World, now: ev.Now) -> list[Action]:
    """Return what comes next for the change that is under way; nothing while it waits."""
    op = world.layout
    if op is None:
        return []
    world.changes.layouts[op.id] = op
    if op.state is OpState.WAITING:
        op.state = OpState.RUNNING
    todo = op.undo if op.state is OpState.ROLLING_BACK else op.steps
    if todo:
        return [CarveStep(op.id, todo[0])]
    if op.state is OpState.RUNNING:
        op.state = OpState.LOOKING
    return [LookAtLayout(op.id)]


def freed(world: World, now: ev.Now) -> list[Action]:
    """Begin a change that waited, if nobody uses what goes any more."""
    op = world.layout
    if op is None or op.state is not OpState.WAITING:
        return []
    going = [world.slices[uuid] for uuid in op.removing if uuid in world.slices]
    return [] if any(user_of(state) for state in going) else go_on(world, now)


def _current(world: World, op_id: int, step: Step | None) -> LayoutOp | None:
    """Return the change that an event is about, None for a late word of another."""
    op = world.layout
    if op is None or op.id != op_id:
        world.late_events += 1
        return None
    todo = op.undo if op.state is OpState.ROLLING_BACK else op.steps
    if step is not None and (not todo or todo[0] != step):
        world.late_events += 1
        return None
    return op


def step_done(world: World, event: ev.LayoutStepDone, now: ev.Now) -> list[Action]:
    """Take a step off the list, and note how to take it back."""
    op = _current(world, event.op, event.step)
    if op is None:
        return []
    if op.state is OpState.ROLLING_BACK:
        op.undo.pop(0)
        return go_on(world, now)
    step = op.steps.pop(0)
    if event.gi is not None:
        step = replace(step, gi=event.gi)
    op.done.append(step)
    if event.pending is not None:
        # What comes after it has to wait for a reset; what was done before it stays.
        op.message, op.steps, op.later = event.pending, [], ()
    if step.kind is StepKind.CREATE and step.gi is not None and step.placement is not None:
        place = Place(step.profile_id, step.placement.start)
        world.set_made(step.gpu_uuid, step.gi, place)
    return go_on(world, now)


def step_failed(world: World, event: ev.LayoutStepFailed, now: ev.Now) -> list[Action]:
    """Undo what was done, last first; where that fails too, stop and say what stands."""
    op = _current(world, event.op, event.step)
    if op is None:
        return []
    if op.state is OpState.ROLLING_BACK:
        op.message = f"{op.message}; to take it back, {event.step} failed too: {event.message}"
        op.undo = []
        return go_on(world, now)
    return _take_back(world, op, f"{event.step} failed: {event.message}", now)


def _take_back(world: World, op: LayoutOp, why: str, now: ev.Now) -> list[Action]:
    op.message, op.state = why, OpState.ROLLING_BACK
    op.undo = [_back(step) for step in reversed(op.done) if step.kind in INVERSE]
    op.steps, op.later = [], ()
    return go_on(world, now)


def _back(step: Step) -> Step:
    gi = step.gi if step.kind is StepKind.CREATE else None
    return replace(step, kind=INVERSE[step.kind], gi=gi)


def seen(world: World, event: ev.LayoutSeen, now: ev.Now) -> list[Action]:
    """After the steps: plan what had to wait for MIG mode, or compare what stands and end."""
    op = _current(world, event.op, None)
    if op is None:
        return []
    if event.inventory is None:
        op.message = f"{op.message or 'the result could not be verified'}: {event.problem}"
        return _end(world, op, OpResult.FAILED, now)
    if op.state is OpState.ROLLING_BACK:
        return _failed(world, op, op.message or "it failed", event.inventory, now)
    if op.later:
        return _plan_later(world, op, now)
    wrong = _differences(event.inventory, op)
    if wrong:
        return _failed(world, op, op.message or "; ".join(wrong), event.inventory, now)
    return _end(world, op, OpResult.APPLIED, now)


def _failed(
    world: World, op: LayoutOp, why: str, inventory: Inventory, now: ev.Now
) -> list[Action]:
    op.message = f"{why.rstrip('.')}. What stands now: {_stands(inventory, op)}"
    return _end(world, op, OpResult.FAILED, now)


def _plan_later(world: World, op: LayoutOp, now: ev.Now) -> list[Action]:
    wishes, op.later = op.later, ()
    try:
        for wish, one in zip(wishes, plans(world, wishes), strict=True):
            op.steps += steps_of(world.gpus[wish.gpu_uuid], one)
    except (ImpossibleLayout, UserError) as error:
        return _take_back(world, op, ". ".join(filter(None, (error.message, error.fix))), now)
    op.state = OpState.RUNNING
    return go_on(world, now)


def _differences(inventory: Inventory, op: LayoutOp) -> list[str]:
    """Return what NVML shows otherwise than the steps meant it."""
    there = {(i.gpu_uuid, i.profile_id, i.placement) for i in inventory.instances}
    bare = {(i.gpu_uuid, i.profile_id, i.placement) for i in inventory.bare}
    modes = {g.uuid: (g.mig_current, g.mig_pending) for g in inventory.gpus}
    made = {StepKind.CREATE, StepKind.COMPLETE}
    again = {_identity(s) for s in op.done if s.kind in made}
    wrong = []
    for step in op.done:
        identity = _identity(step)
        if step.kind in made and (identity not in there or identity in bare):
            wrong.append(f"{step} is not there")
        if step.kind is StepKind.DESTROY and identity in there and identity not in again:
            wrong.append(f"{step}: it is still there")
        want = {StepKind.MODE_ON: True, StepKind.MODE_OFF: False}.get(step.kind)
        if want is not None and modes.get(step.gpu_uuid) != (want, want):
            wrong.append(f"{step}: it is not so")
    empty = {wish.gpu_uuid for wish in op.wishes if wish.exact and not wish.wants}
    left = [i for i in inventory.instances if i.gpu_uuid in empty]
    return wrong + [f"{i.profile}@{i.placement.start} is still there" for i in left]


def _identity(step: Step) -> tuple[str, int, Placement | None]:
    return (step.gpu_uuid, step.profile_id, step.placement)


def _stands(inventory: Inventory, op: LayoutOp) -> str:
    gpus = {wish.gpu_uuid for wish in op.wishes}
    names = [f"{i.profile}@{i.placement.start}" for i in inventory.instances if i.gpu_uuid in gpus]
    return " ".join(names) or "nothing"


def _end(world: World, op: LayoutOp, result: OpResult, now: ev.Now) -> list[Action]:
    op.state, op.result, op.ended_at = OpState.DONE, result, now.wall
    for state in world.slices.values():
        if state.removing == op.id:
            state.removing = None
    world.layout = None
    world.changes.layouts[op.id] = op
    return []


def cancel(world: World, event: ev.LayoutCancelAsked, now: ev.Now) -> list[Action]:
    """Give up a change that still waits; one that has begun is carried out or undone."""
    op = world.layout
    if op is None or op.id != event.op:
        raise NoSuchJob(f"layout change {event.op} is over")
    if op.state is not OpState.WAITING:
        raise StaleRequest(f"layout change {op.id} has begun; it cannot be cancelled any more")
    op.message = "cancelled before anything was changed"
    return _end(world, op, OpResult.CANCELLED, now)


def interrupted(world: World, op: LayoutOp, now: ev.Now) -> None:
    """End a change that a daemon before this one left open: what stands is for all to see."""
    began = op.state is not OpState.WAITING
    op.message = (
        "the daemon ended in the middle; the same request again completes it"
        if began
        else "the daemon ended before anything was changed"
    )
    world.layout = op
    _end(world, op, OpResult.FAILED, now)
