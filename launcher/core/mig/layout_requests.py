"""Requested changes of the layout: planned, refused, or started.

Slices in use are not touched: a change waits, cancels their jobs if requested, or is refused
before anything is changed. Slices to destroy take no new lease from the request on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from launcher.core.messages import events as ev
from launcher.core.mig.planner import GpuPlan, device_of, name_of, plan
from launcher.core.model.compute_instances import WHOLE, DeviceKind, StandingInstance
from launcher.core.model.gpu import Gpu, Placement
from launcher.core.model.job import Owner
from launcher.core.model.layout_change import (
    Busy,
    LayoutOp,
    LayoutTarget,
    OpResult,
    OpState,
    Step,
    StepKind,
    Want,
)
from launcher.core.model.packing import Place, board_of
from launcher.core.model.slice_state import SliceState
from launcher.core.world.world import World
from launcher.errors import ImpossibleLayout, StaleRequest, UserError


def plans(world: World, targets: Sequence[LayoutTarget]) -> list[GpuPlan]:
    """Return the plans for the requests; raises ``ImpossibleLayout``, changes nothing."""
    return [_plan(world, resolved(world, target)) for target in targets]


def _plan(world: World, target: LayoutTarget) -> GpuPlan:
    gpu = _gpu(world, target.gpu_uuid)
    if gpu.mig_current and gpu.uuid in world.hidden:
        raise ImpossibleLayout(
            f"GPU {gpu.index}: NVML does not report its GPU instances",
            fix="The daemon must run as root.",
        )
    standing = standing_on(world, gpu.uuid)
    if target.wants is None or _must_wait_for_mode(gpu, target):
        gone = tuple(s for s in standing if (s.gi, s.place.whole) in target.drop)
        return GpuPlan(gpu.uuid, tuple(s for s in standing if s not in gone), gone, ())
    if target.exact and not target.wants:
        return GpuPlan(gpu.uuid, (), tuple(standing), ())
    _needs_mode(gpu, target)
    return plan(gpu, standing, target.wants, exact=target.exact)


def _needs_mode(gpu: Gpu, target: LayoutTarget) -> None:
    if not gpu.mig_current and not target.mode:
        raise ImpossibleLayout(
            f"GPU {gpu.index}: MIG mode is off", fix="`launch layout enable` switches it on."
        )


def resolved(world: World, target: LayoutTarget) -> LayoutTarget:
    """Convert a request for more devices to one for the total, so that it can be planned again.

    Instances without a compute instance do not count: they are completed first. MIG mode cannot go
    off while instances exist, so all of them go with it.
    """
    if target.mode is False:
        return LayoutTarget(target.gpu_uuid, (), exact=True, mode=False)
    if not target.add or target.wants is None:
        return target
    gpu = _gpu(world, target.gpu_uuid)
    _needs_mode(gpu, target)
    standing = standing_on(world, gpu.uuid)
    total = replace(target, wants=tuple(_total(gpu, standing, w) for w in target.wants), add=False)
    _has_room(world, gpu, target, total)
    return total


def _total(gpu: Gpu, standing: Sequence[StandingInstance], more: Want) -> Want:
    """Return the total for a request for more devices of a kind."""
    wanted = device_of(gpu, more.profile)
    present: Counter[DeviceKind] = Counter()
    for s in standing:
        if more.start is None or s.place.whole == Place(wanted.profile_id, more.start):
            present += Counter({DeviceKind(s.place.profile_id, c): n for c, n in s.devices.items()})
    if more.start is not None and wanted.compute == WHOLE and present:
        raise ImpossibleLayout(
            f"GPU {gpu.index}: {more.profile}@{more.start} exists already",
            fix="Omit the place to add one anywhere.",
        )
    return replace(more, count=more.count + present[wanted])


def _has_room(world: World, gpu: Gpu, more: LayoutTarget, total: LayoutTarget) -> None:
    """Report what does not fit as it was requested, not as the total."""
    try:
        _plan(world, total)
    except ImpossibleLayout as error:
        if not standing_on(world, gpu.uuid):
            raise
        requested = " ".join(want.profile for want in more.wants or ())
        raise ImpossibleLayout(
            f"GPU {gpu.index}: there is no room for {requested} beside the present instances",
            fix="`launch layout profiles` shows how many more of each fit now.",
        ) from error


def _must_wait_for_mode(gpu: Gpu, target: LayoutTarget) -> bool:
    """Whether planning needs MIG mode on, because NVML reports no placements before."""
    unplanned = target.wants is not None and not gpu.mig_current
    return bool(target.mode and unplanned and board_of(gpu.profiles) is None)


def _gpu(world: World, uuid: str) -> Gpu:
    gpu = world.gpus.get(uuid)
    if gpu is None:
        raise UserError(f"GPU {uuid} does not exist", fix="`launch layout show` lists them.")
    if not gpu.mig_capable:
        raise UserError(f"GPU {gpu.index} ({gpu.name}) does not support MIG")
    if (silent := world.why_silent(uuid)) is not None:
        raise StaleRequest(silent, fix="Change its layout when it answers again.")
    return gpu


def standing_on(world: World, gpu_uuid: str) -> list[StandingInstance]:
    """Return the GPU instances of a GPU with their users."""
    standing_instances = []
    for (uuid, gi), instance in world.instances.items():
        if uuid == gpu_uuid:
            on = [s for s in world.slices.values() if (s.slice.gpu_uuid, s.slice.gi) == (uuid, gi)]
            busy = next((text for s in on if (text := user_of(world, s)) is not None), None)
            cut = world.cuts.get((uuid, gi))
            place = Place(instance.profile_id, instance.placement.start, cut or ())
            standing_instances.append(StandingInstance(place, gi, busy, bare=cut is None))
    return sorted(standing_instances, key=lambda s: (s.place.start, s.gi))


def user_of(world: World, state: SliceState) -> str | None:
    """Return a slice's user as half a sentence, None if it is unused."""
    if state.lease is not None:
        return f"{state.slice.uuid} is used by job {world.ref(state.lease.job)}"
    return f"{state.slice.uuid} {state.foreign}" if state.foreign else None


def users_of(world: World, states: Sequence[SliceState]) -> list[str]:
    """Return the users of these slices, as half sentences."""
    return [text for state in states if (text := user_of(world, state)) is not None]


def under_way(op: LayoutOp) -> str:
    """Return why other changes wait for an active one."""
    return f"layout change {op.id} ({op.verb}) is under way"


def unknown_users(why: str) -> str:
    """Return why a change cannot start while Docker does not answer."""
    return f"unknown which containers use the affected slices: {why}"


def start(world: World, event: ev.LayoutAsked, now: ev.Now) -> LayoutOp:
    """Record a change, or refuse it before anything is changed.

    Raises ``ImpossibleLayout`` or ``UserError`` if it is impossible, ``StaleRequest`` if another
    change is under way or a slice to destroy is in use.
    """
    for target in event.wishes:
        if target.gpu_uuid in world.not_ours:
            raise StaleRequest(
                world.not_ours[target.gpu_uuid],
                fix="Use that daemon, or stop it first.",
            )
    targets = tuple(resolved(world, target) for target in event.wishes)
    states = going(world, plans(world, targets), targets)
    _check_users(world, states, event.busy)
    earlier = _superseded(world, event)
    op = LayoutOp(
        world.next_layout, event.verb, event.request, event.owner, now.wall, targets, event.busy
    )
    reasons = users_of(world, states)
    if (active := world.active_layout) is not None:
        reasons.append(under_way(active))
    op.message = f"waits: {'; '.join(reasons)}" if reasons else None
    world.next_layout += 1
    for other in earlier:
        supersede(world, other, op, now)
    if not targets:  # it can wait for nothing
        end(world, op, OpResult.APPLIED, now)
        return op
    op.replaces = tuple(other.id for other in earlier)
    world.layouts[op.id] = world.changes.layouts[op.id] = op
    bar(world, op, states)
    return op


def _superseded(world: World, event: ev.LayoutAsked) -> list[LayoutOp]:
    """Return the open changes of these GPUs that a new change replaces.

    A change that is pending until a reboot is replaced by any other, one that waits by ``clear``
    alone: the clean-up before the machine stops must not wait. Raises ``StaleRequest`` for others.
    """
    open_changes = {op.id: op for t in event.wishes if (op := world.layout_of(t.gpu_uuid))}
    for op in open_changes.values():
        if op.state is OpState.PENDING or (op.state is OpState.WAITING and event.verb == "clear"):
            continue
        indexes = ", ".join(str(world.gpus[uuid].index) for uuid in op.gpus if uuid in world.gpus)
        title = f"layout change {op.id} ({op.verb} by {op.owner.name}) of GPU {indexes}"
        if op.state is OpState.WAITING:
            raise StaleRequest(
                f"{title} {op.message or 'waits'}",
                fix=f"`launch layout cancel {op.id}` gives it up.",
            )
        raise StaleRequest(
            f"{title} is under way",
            fix=f"Try again when it has ended: `launch layout changes` shows change {op.id}.",
        )
    return list(open_changes.values())


def supersede(world: World, earlier: LayoutOp, op: LayoutOp, now: ev.Now) -> None:
    """Take the GPUs of a new change out of an earlier one, which ends if it has no other."""
    mine = set(op.gpus)
    left = tuple(target for target in earlier.wishes if target.gpu_uuid not in mine)
    pending = tuple(uuid for uuid in earlier.pending if uuid not in mine)
    if left and (pending or earlier.state is OpState.WAITING):
        earlier.wishes, earlier.pending = left, pending
        states = [s for s in world.slices.values() if s.changing == earlier.id]
        bar(world, earlier, [s for s in states if s.slice.gpu_uuid not in mine])
        if earlier.state is OpState.PENDING:
            earlier.message = f"{earlier.message}; layout change {op.id} replaced a part of it"
        world.changes.layouts[earlier.id] = earlier
        return
    earlier.message = f"replaced by layout change {op.id} ({op.verb} by {op.owner.name})"
    earlier.replaces = ()
    end(world, earlier, OpResult.CANCELLED, now)


def end(world: World, op: LayoutOp, result: OpResult, now: ev.Now) -> None:
    """Close a change: its slices may be leased again."""
    op.state, op.result, op.ended_at = OpState.DONE, result, now.wall
    op.steps, op.undo = [], []
    if op.replaces and result is not OpResult.APPLIED:
        replaced = ", ".join(map(str, op.replaces))
        op.message = f"{op.message}. It had replaced layout change {replaced}: request that again"
    for state in world.slices.values():
        if state.changing == op.id:
            state.changing = None
    world.layouts.pop(op.id, None)
    world.changes.layouts[op.id] = op


def _check_users(world: World, states: Sequence[SliceState], busy: Busy) -> None:
    """Raise ``StaleRequest`` for users that the request does not wait for."""
    if states and world.engine_down:
        raise StaleRequest(
            unknown_users(world.engine_down),
            fix="Start Docker, then try again.",
        )
    ours = [state for state in states if state.lease is not None]
    others = [state for state in states if state.lease is None]
    in_the_way = users_of(world, [*([] if busy.cancels else ours), *others])
    if in_the_way and not busy.waits:
        raise StaleRequest(
            f"{'; '.join(in_the_way)}: nothing was changed",
            fix="--wait waits until it is free, --cancel-jobs cancels the launcher's own jobs.",
        )


def bar(world: World, op: LayoutOp, states: Sequence[SliceState]) -> None:
    """Bar the slices to destroy from new leases, and release those no longer affected."""
    op.changing = tuple(state.slice.uuid for state in states)
    for state in world.slices.values():
        if state.slice.uuid in op.changing:
            state.changing = op.id
        elif state.changing == op.id and not op.done:
            state.changing = None


def note(world: World, owner: Owner, verb: str, request: str, now: ev.Now) -> None:
    """Record an admin's operation that has no steps."""
    op = LayoutOp(world.next_layout, verb, request, owner, now.wall)
    op.state, op.result, op.ended_at = OpState.DONE, OpResult.APPLIED, now.wall
    world.next_layout += 1
    world.changes.layouts[op.id] = op


def steps_for(
    world: World, targets: Sequence[LayoutTarget], gpu_plans: Sequence[GpuPlan]
) -> list[Step]:
    """Return the remaining steps; MIG mode is switched on before anything else is planned."""
    on: list[Step] = []
    steps: list[Step] = []
    for target, gpu_plan in zip(targets, gpu_plans, strict=True):
        gpu = world.gpus[gpu_plan.gpu_uuid]
        if target.mode and not (gpu.mig_current and gpu.mig_pending):
            on.append(Step(StepKind.MODE_ON, gpu.uuid, gpu.index))
        steps += _steps_of(gpu, gpu_plan)
        if target.mode is False and (gpu.mig_current or gpu.mig_pending):
            steps.append(Step(StepKind.MODE_OFF, gpu.uuid, gpu.index))
    return on or steps


def _steps_of(gpu: Gpu, gpu_plan: GpuPlan) -> list[Step]:
    """Return a plan as steps: first destroy, then complete, then create."""
    gone = [_step(StepKind.DESTROY, gpu, s.place, s.gi) for s in gpu_plan.destroy]
    lacking = [_step(StepKind.COMPLETE, gpu, s.place, s.gi) for s in gpu_plan.complete]
    return [*gone, *lacking, *(_step(StepKind.CREATE, gpu, place) for place in gpu_plan.create)]


def _step(kind: StepKind, gpu: Gpu, place: Place, gi: int | None = None) -> Step:
    board = board_of(gpu.profiles)
    size = board.shape(place.profile_id).size if board and board.offers(place.profile_id) else 0
    name = name_of(gpu, place.profile_id)
    at = Placement(place.start, size)
    return Step(kind, gpu.uuid, gpu.index, name, place.profile_id, at, gi, place.cut)


def going(
    world: World, gpu_plans: Sequence[GpuPlan], targets: Sequence[LayoutTarget]
) -> list[SliceState]:
    """Return the affected slices: of destroyed instances, and all of a GPU that changes mode.

    A slice that is gone counts while a job has it: its processes may still run on the GPU.
    """
    modes = {w.gpu_uuid: w.mode for w in targets if w.mode is not None}
    all_go = {uuid for uuid, mode in modes.items() if mode != world.gpus[uuid].mig_current}
    gone = {(gpu_plan.gpu_uuid, s.gi) for gpu_plan in gpu_plans for s in gpu_plan.destroy}
    return [
        state
        for state in world.slices.values()
        if not (state.lost and state.lease is None)
        and (state.slice.gpu_uuid in all_go or (state.slice.gpu_uuid, state.slice.gi) in gone)
    ]
