"""A running change of the layout: read NVML, carry out the steps, read again until nothing is left.

Steps are always planned from the current layout, never from that at the request. The last read is
the proof: the change is applied if nothing is left to do.
"""

from __future__ import annotations

from dataclasses import replace

from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action, CarveStep, LookAtLayout
from launcher.core.mig.layout_requests import (
    bar,
    end,
    going,
    plans,
    steps_for,
    under_way,
    unknown_users,
    users_of,
)
from launcher.core.model.compute_instances import specs
from launcher.core.model.layout_change import LayoutOp, OpResult, OpState, Step, StepKind
from launcher.core.model.packing import Place
from launcher.core.model.slice_state import SliceState
from launcher.core.world.world import World
from launcher.errors import ImpossibleLayout, NoSuchJob, StaleRequest, UserError

INVERSE = {
    StepKind.CREATE: StepKind.DESTROY,
    StepKind.DESTROY: StepKind.CREATE,
    StepKind.MODE_ON: StepKind.MODE_OFF,
    StepKind.MODE_OFF: StepKind.MODE_ON,
}
"""The inverse of each step; a completed compute instance may stay."""


def freed(world: World, now: ev.Now) -> list[Action]:
    """Start the first waiting change that can start, if none is active: read NVML.

    The others say what they wait for.
    """
    actions: list[Action] = []
    for op in [op for op in world.layouts.values() if op.state is OpState.WAITING]:
        reasons = _reasons_to_wait(world, op)
        if not reasons:
            op.message = None
            actions += _look(world, op)
        elif op.message != (message := f"waits: {'; '.join(reasons)}"):
            op.message = message
            world.changes.layouts[op.id] = op
    return actions


def _reasons_to_wait(world: World, op: LayoutOp) -> list[str]:
    """Return why a change cannot start yet.

    One that does not wait for users starts in spite of them: the read of NVML refuses it.
    """
    states = [world.slices[uuid] for uuid in op.changing if uuid in world.slices]
    waits_for = [s for s in states if op.busy.waits or (op.busy.cancels and s.lease is not None)]
    reasons = users_of(world, waits_for)
    if states and world.engine_down:
        reasons.append(unknown_users(world.engine_down))
    if op.busy.waits and (unknown := _unknown(world, op)) is not None:
        reasons.append(unknown)
    if (active := world.active_layout) is not None:
        reasons.append(under_way(active))
    return reasons


def _unknown(world: World, op: LayoutOp) -> str | None:
    """Return why NVML does not report the GPUs of a change, None if it does."""
    silent = next(filter(None, (world.why_silent(w.gpu_uuid) for w in op.wishes)), None)
    return world.gpu_down or silent


def arrived(world: World, now: ev.Now) -> None:
    """Go on with the changes whose pending MIG mode has taken effect, as NVML reports now.

    After a reboot in which it did not, and after another program has set the mode back, the change
    ends. While a GPU does not answer, it stays pending.
    """
    for op in [op for op in world.layouts.values() if op.state is OpState.PENDING]:
        waiting = [t for t in op.wishes if t.gpu_uuid in op.pending]
        if not all(_reported(world, t.gpu_uuid) for t in waiting):
            _absent(world, op, now)
            continue
        modes = [(world.gpus[t.gpu_uuid], bool(t.mode)) for t in waiting]
        late = [(gpu, mode) for gpu, mode in modes if bool(gpu.mig_current) is not mode]
        if not late:
            op.state, op.pending, op.done = OpState.WAITING, (), []
            op.message = None
            world.changes.layouts[op.id] = op
            continue
        gpu, mode = late[0]
        is_now = "off" if mode else "on"
        if world.boot != op.boot:
            op.message = f"after the reboot MIG mode of GPU {gpu.index} is still {is_now}"
            end(world, op, OpResult.FAILED, now)
        elif bool(gpu.mig_pending) is not mode:
            op.message = f"another program set MIG mode of GPU {gpu.index} back: it stays {is_now}"
            end(world, op, OpResult.CANCELLED, now)


def _reported(world: World, gpu_uuid: str) -> bool:
    return gpu_uuid in world.gpus and world.why_silent(gpu_uuid) is None


def _absent(world: World, op: LayoutOp, now: ev.Now) -> None:
    """After a reboot, say which GPU does not answer; a change of a GPU that is gone ends."""
    if world.boot == op.boot:
        return
    silent = next(filter(None, map(world.why_silent, op.pending)), None)
    if silent is None:
        gone = ", ".join(uuid for uuid in op.pending if uuid not in world.gpus)
        op.message = f"after the reboot NVML does not report GPU {gone}"
        end(world, op, OpResult.FAILED, now)
    elif op.message != (message := f"waits: {silent}"):
        op.message = message
        world.changes.layouts[op.id] = op


def _look(world: World, op: LayoutOp) -> list[Action]:
    rolling_back = op.state is OpState.ROLLING_BACK
    if not rolling_back:
        op.state = OpState.LOOKING
    world.changes.layouts[op.id] = op
    return [LookAtLayout(op.id, changed=rolling_back or bool(op.done))]


def _go_on(world: World, op: LayoutOp) -> list[Action]:
    """Return the next step, or the read of NVML after the last."""
    world.changes.layouts[op.id] = op
    todo = op.undo if op.state is OpState.ROLLING_BACK else op.steps
    return [CarveStep(op.id, todo[0])] if todo else _look(world, op)


def _current(world: World, op_id: int, step: Step | None) -> LayoutOp | None:
    """Return the change that an event belongs to, None if it is late."""
    op = world.layouts.get(op_id)
    if op is None or not op.is_active:
        world.late_events += 1
        return None
    todo = op.undo if op.state is OpState.ROLLING_BACK else op.steps
    if (todo[0] if todo else None) != step:
        world.late_events += 1
        return None
    return op


def step_done(world: World, event: ev.LayoutStepDone, now: ev.Now) -> list[Action]:
    """Record a finished step, and the step that undoes it."""
    op = _current(world, event.op, event.step)
    if op is None:
        return []
    if op.state is OpState.ROLLING_BACK:
        op.undo.pop(0)
        return _go_on(world, op)
    step = replace(op.steps.pop(0), gi=event.gi if event.gi is not None else event.step.gi)
    if step.kind is StepKind.CREATE and not event.made:
        # It existed before: it belongs to others, so it is neither ours nor undone.
        step = replace(step, kind=StepKind.COMPLETE)
    op.done.append(step)
    if event.pending is not None:
        op.message = "; ".join(filter(None, (op.message, event.pending)))
        op.pending = (*op.pending, step.gpu_uuid)
    if step.kind is StepKind.CREATE and step.gi is not None and step.placement is not None:
        place = Place(step.profile_id, step.placement.start)
        world.set_made(step.gpu_uuid, step.gi, place)
    return _go_on(world, op)


def step_failed(world: World, event: ev.LayoutStepFailed, now: ev.Now) -> list[Action]:
    """Undo the finished steps, last first; if that fails too, stop and report the layout."""
    op = _current(world, event.op, event.step)
    if op is None:
        return []
    if op.state is OpState.ROLLING_BACK:
        op.message = f"{op.message}; undoing it failed too: {event.step}: {event.message}"
        op.undo = []
        return _go_on(world, op)
    return _take_back(world, op, f"{event.step} failed: {event.message}")


def _take_back(world: World, op: LayoutOp, why: str) -> list[Action]:
    op.message, op.state = why, OpState.ROLLING_BACK
    op.undo = [_back(step) for step in reversed(op.done) if step.kind in INVERSE]
    op.steps = []
    return _go_on(world, op)


def _back(step: Step) -> Step:
    gi = step.gi if step.kind is StepKind.CREATE else None
    return replace(step, kind=INVERSE[step.kind], gi=gi)


def seen(world: World, event: ev.LayoutSeen, now: ev.Now) -> list[Action]:
    """Compare the current layout with the request: continue, end, or undo."""
    op = _current(world, event.op, None)
    if op is None:
        return []
    if event.problem is not None or _unknown(world, op) is not None:
        return _unread(world, op, event.problem, now)
    if op.state is OpState.ROLLING_BACK:
        return _failed(world, op, op.message or "it failed", now)
    targets = tuple(w for w in op.wishes if w.gpu_uuid not in op.pending)
    try:
        gpu_plans = plans(world, targets)
        steps = steps_for(world, targets, gpu_plans)
    except (ImpossibleLayout, UserError) as error:
        why = error.message if not error.fix else f"{error.message.rstrip('.')}. {error.fix}"
        return _take_back(world, op, why) if op.done else _refused(world, op, why, now)
    if steps:
        return _next_round(world, op, going(world, gpu_plans, targets), steps, event.blind, now)
    if op.pending:
        return _pending(world, op)
    return _end(world, op, OpResult.APPLIED, now)


def _unread(world: World, op: LayoutOp, problem: str | None, now: ev.Now) -> list[Action]:
    """End a change whose GPUs NVML does not report now, or let it wait if it may."""
    unknown = _unknown(world, op)
    if unknown is not None and op.busy.waits and not op.done:
        op.state = OpState.WAITING
        world.changes.layouts[op.id] = op
        return []
    done = "the result could not be verified" if op.done else "nothing was changed"
    op.message = f"{op.message or done}: {problem or unknown}"
    return _end(world, op, OpResult.FAILED, now)


def _next_round(
    world: World,
    op: LayoutOp,
    states: list[SliceState],
    steps: list[Step],
    blind: str | None,
    now: ev.Now,
) -> list[Action]:
    """Start the steps, unless a slice that goes is in use, or the steps were done before."""
    if op.done and not all(s.kind is StepKind.MODE_ON for s in op.done):
        left = ", ".join(map(str, steps))
        return _failed(world, op, f"it does not match the request: {left} is still missing", now)
    if {(s.kind, s.gpu_uuid) for s in op.done} & {(s.kind, s.gpu_uuid) for s in steps}:
        return _failed(world, op, "MIG mode was not switched on", now)
    users = users_of(world, states)
    if states and blind is not None:
        world.engine_down = blind
        users.append(unknown_users(blind))
    bar(world, op, states)
    if users and op.busy.waits and not op.done:
        op.state, op.message = OpState.WAITING, f"waits: {'; '.join(users)}"
        world.changes.layouts[op.id] = op
        return []
    if users:
        why = "; ".join(users)
        return _take_back(world, op, why) if op.done else _refused(world, op, why, now)
    op.steps, op.state = steps, OpState.RUNNING
    return _go_on(world, op)


def _pending(world: World, op: LayoutOp) -> list[Action]:
    """Keep a change until MIG mode has taken effect; its slices may be leased meanwhile."""
    op.state, op.boot = OpState.PENDING, world.boot
    bar(world, op, [])
    for state in world.slices.values():
        if state.changing == op.id:
            state.changing = None
    world.changes.layouts[op.id] = op
    return []


def _refused(world: World, op: LayoutOp, why: str, now: ev.Now) -> list[Action]:
    op.message = f"{why.rstrip('.')}. Nothing was changed"
    return _end(world, op, OpResult.FAILED, now)


def _failed(world: World, op: LayoutOp, why: str, now: ev.Now) -> list[Action]:
    op.message = f"{why.rstrip('.')}. The layout now: {_stands(world, op)}"
    return _end(world, op, OpResult.FAILED, now)


def _stands(world: World, op: LayoutOp) -> str:
    gpus = {target.gpu_uuid for target in op.wishes}
    on = sorted(
        (i for i in world.instances.values() if i.gpu_uuid in gpus),
        key=lambda i: (world.gpus[i.gpu_uuid].index, i.placement.start),
    )
    names = []
    for i in on:
        cut = world.cuts.get((i.gpu_uuid, i.gi), ())
        layout = " ".join(specs(i.profile, cut, i.placement.start))
        names.append(f"{layout} on GPU {world.gpus[i.gpu_uuid].index}")
    return ", ".join(names) or "nothing"


def _end(world: World, op: LayoutOp, result: OpResult, now: ev.Now) -> list[Action]:
    end(world, op, result, now)
    return []


def cancel(world: World, event: ev.LayoutCancelAsked, now: ev.Now) -> list[Action]:
    """Cancel a change that still waits; a started one is carried out or undone."""
    op = world.layouts.get(event.op)
    if op is None:
        raise NoSuchJob(f"layout change {event.op} is over")
    if op.is_active:
        raise StaleRequest(f"layout change {op.id} has started; it cannot be cancelled")
    if op.state is OpState.PENDING:
        op.message = f"cancelled, but {op.message or 'MIG mode changes at the next reboot'}"
    else:
        op.message = "cancelled before anything was changed"
    return _end(world, op, OpResult.CANCELLED, now)


def taken_up(world: World, now: ev.Now) -> None:
    """After a restart, keep changes that wait or are pending; end any other, with a message.

    Repeating the request completes it.
    """
    for op in list(world.layouts.values()):
        if op.state is OpState.PENDING:
            continue
        if not op.done and op.state in (OpState.WAITING, OpState.LOOKING):
            op.state = OpState.WAITING
            continue
        op.message = "the daemon ended during the change; repeat the request to complete it"
        _end(world, op, OpResult.FAILED, now)
