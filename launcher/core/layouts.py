"""Changes of the layout as they are asked for: planned, refused, or begun.

Nothing in use is touched: a change waits for it, cancels it if told so, or is refused before
anything was changed. What goes takes no new lease from the moment it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from launcher.core import event as ev
from launcher.core.gpu import Gpu, Placement
from launcher.core.job import Owner
from launcher.core.layout import Place, board_of
from launcher.core.layoutop import Busy, LayoutOp, OpResult, OpState, Step, StepKind, Wish
from launcher.core.plan import GpuPlan, Standing, Want, name_of, plan
from launcher.core.world import SliceState, World
from launcher.errors import ImpossibleLayout, StaleRequest, UserError


def plans(world: World, wishes: Sequence[Wish]) -> list[GpuPlan]:
    """Return what would be done for wishes; raises ``ImpossibleLayout``, changes nothing."""
    return [_plan(world, wish) for wish in wishes]


def _plan(world: World, wish: Wish) -> GpuPlan:
    gpu = _gpu(world, wish.gpu_uuid)
    standing = standing_on(world, gpu.uuid)
    if wish.wants is None or _must_wait_for_mode(gpu, wish):
        keep = tuple(s for s in standing if s.gi not in wish.drop)
        gone = tuple(s for s in standing if s.gi in wish.drop)
        return GpuPlan(gpu.uuid, keep, gone, ())
    if not gpu.mig_current and wish.mode is not False:
        raise ImpossibleLayout(
            f"GPU {gpu.index}: MIG mode is off", fix="`launch layout enable` switches it on."
        )
    if wish.exact and not wish.wants:
        return GpuPlan(gpu.uuid, (), tuple(standing), ())
    wants = wish.wants
    if wish.add:
        wants = (*wants, *(Want(str(s.place.profile_id), 1, s.place.start) for s in standing))
    return plan(gpu, standing, wants, exact=wish.exact)


def _must_wait_for_mode(gpu: Gpu, wish: Wish) -> bool:
    """Whether a layout can be planned only once MIG mode is on: NVML tells no placements before."""
    return bool(wish.mode and wish.wants and not gpu.mig_current and board_of(gpu.profiles) is None)


def _gpu(world: World, uuid: str) -> Gpu:
    gpu = world.gpus.get(uuid)
    if gpu is None:
        raise UserError(f"there is no GPU {uuid}", fix="`launch layout show` lists them.")
    if not gpu.mig_capable:
        raise UserError(f"GPU {gpu.index} ({gpu.name}) cannot do MIG")
    return gpu


def standing_on(world: World, gpu_uuid: str) -> list[Standing]:
    """Return the GPU instances of a GPU with who uses them."""
    found = []
    for (uuid, gi), instance in world.instances.items():
        if uuid == gpu_uuid:
            on = [s for s in world.slices.values() if (s.slice.gpu_uuid, s.slice.gi) == (uuid, gi)]
            busy = next((text for s in on if (text := user_of(s)) is not None), None)
            place = Place(instance.profile_id, instance.placement.start)
            found.append(Standing(place, gi, busy, bare=not on))
    return sorted(found, key=lambda s: (s.place.start, s.gi))


def user_of(state: SliceState) -> str | None:
    """Return who uses a slice as half a sentence, None for nobody."""
    if state.lease is not None:
        return f"{state.slice.uuid} is used by job {state.lease.job}"
    return f"{state.slice.uuid} {state.foreign}" if state.foreign else None


def begin(world: World, event: ev.LayoutAsked, now: ev.Now) -> LayoutOp:
    """Record a change, or refuse it before anything is changed.

    Raises ``ImpossibleLayout`` or ``UserError`` for what cannot be, ``StaleRequest`` where another
    change is under way or somebody uses what would go.
    """
    if world.layout is not None:
        raise StaleRequest(
            f"layout change {world.layout.id} ({world.layout.verb} by {world.layout.owner.name}) "
            "is under way",
            fix="Only one is made at a time: try again when it is over.",
        )
    for wish in event.wishes:
        if wish.gpu_uuid in world.not_ours:
            raise StaleRequest(
                world.not_ours[wish.gpu_uuid],
                fix="Ask that daemon, or stop it first.",
            )
    made = plans(world, event.wishes)
    going = [state for p in made for state in _going(world, p, event.wishes)]
    users = [text for state in going if (text := user_of(state)) is not None]
    if going and world.engine_down:
        raise StaleRequest(
            f"nobody can tell which containers use what would go: {world.engine_down}",
            fix="Start Docker, then try again.",
        )
    if users and event.busy is Busy.REFUSE:
        raise StaleRequest(
            f"{'; '.join(users)}: nothing was changed",
            fix="--wait waits until it is free, --cancel-jobs cancels the launcher's own jobs.",
        )
    op = _op(world, event, made, now)
    world.next_layout += 1
    world.layout = op
    op.removing = tuple(state.slice.uuid for state in going)
    for state in going:
        state.removing = op.id
    op.state = OpState.WAITING
    return op


def note(world: World, owner: Owner, verb: str, request: str, now: ev.Now) -> None:
    """Put on record what an admin did, where there is nothing to carry out."""
    op = LayoutOp(world.next_layout, verb, request, owner, now.wall)
    op.state, op.result, op.ended_at = OpState.DONE, OpResult.APPLIED, now.wall
    world.next_layout += 1
    world.changes.layouts[op.id] = op


def _op(world: World, event: ev.LayoutAsked, made: Sequence[GpuPlan], now: ev.Now) -> LayoutOp:
    steps: list[Step] = []
    later: list[Wish] = []
    for wish, one in zip(event.wishes, made, strict=True):
        gpu = world.gpus[one.gpu_uuid]
        if wish.mode and not gpu.mig_current:
            steps.append(Step(StepKind.MODE_ON, gpu.uuid, gpu.index))
        if _must_wait_for_mode(gpu, wish):
            later.append(wish)
        steps += steps_of(gpu, one)
        if wish.mode is False and (gpu.mig_current or gpu.mig_pending):
            steps.append(Step(StepKind.MODE_OFF, gpu.uuid, gpu.index))
    return LayoutOp(
        world.next_layout,
        event.verb,
        event.request,
        event.owner,
        now.wall,
        event.wishes,
        event.busy,
        steps,
        later=tuple(later),
    )


def steps_of(gpu: Gpu, one: GpuPlan) -> list[Step]:
    """Return the steps of a plan: what goes first, then what lacks something, then what comes."""
    gone = [_step(StepKind.DESTROY, gpu, s.place, s.gi) for s in one.destroy]
    lacking = [_step(StepKind.COMPLETE, gpu, s.place, s.gi) for s in one.complete]
    return [*gone, *lacking, *(_step(StepKind.CREATE, gpu, place) for place in one.create)]


def _step(kind: StepKind, gpu: Gpu, place: Place, gi: int | None = None) -> Step:
    board = board_of(gpu.profiles)
    size = board.shape(place.profile_id).size if board and board.offers(place.profile_id) else 0
    name = name_of(gpu, place.profile_id)
    return Step(kind, gpu.uuid, gpu.index, name, place.profile_id, Placement(place.start, size), gi)


def _going(world: World, one: GpuPlan, wishes: Sequence[Wish]) -> list[SliceState]:
    """Return the slices that go: those of destroyed instances, all of a GPU that changes mode."""
    gpu = world.gpus[one.gpu_uuid]
    mode = next((w.mode for w in wishes if w.gpu_uuid == gpu.uuid), None)
    all_go = mode is not None and mode != gpu.mig_current
    gone = {s.gi for s in one.destroy}
    return [
        state
        for state in world.slices.values()
        if state.slice.gpu_uuid == gpu.uuid and not state.lost
        and (all_go or state.slice.gi in gone)
    ]  # fmt: skip
