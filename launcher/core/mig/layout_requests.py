"""Changes of the layout as they are asked for: planned, refused, or begun.

Nothing in use is touched: a change waits for it, cancels it if told so, or is refused before
anything was changed. What goes takes no new lease from the moment it is asked.
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
    OpResult,
    OpState,
    Step,
    StepKind,
    Want,
    Wish,
)
from launcher.core.model.packing import Place, board_of
from launcher.core.model.slice_state import SliceState
from launcher.core.world.world import World
from launcher.errors import ImpossibleLayout, StaleRequest, UserError


def plans(world: World, wishes: Sequence[Wish]) -> list[GpuPlan]:
    """Return what would be done for wishes; raises ``ImpossibleLayout``, changes nothing."""
    return [_plan(world, resolved(world, wish)) for wish in wishes]


def _plan(world: World, wish: Wish) -> GpuPlan:
    gpu = _gpu(world, wish.gpu_uuid)
    if gpu.mig_current and gpu.uuid in world.hidden:
        raise ImpossibleLayout(
            f"GPU {gpu.index}: NVML does not tell which GPU instances stand on it",
            fix="The daemon must run as root.",
        )
    standing = standing_on(world, gpu.uuid)
    if wish.wants is None or _must_wait_for_mode(gpu, wish):
        gone = tuple(s for s in standing if (s.gi, s.place.whole) in wish.drop)
        return GpuPlan(gpu.uuid, tuple(s for s in standing if s not in gone), gone, ())
    if wish.exact and not wish.wants:
        return GpuPlan(gpu.uuid, (), tuple(standing), ())
    _needs_mode(gpu, wish)
    return plan(gpu, standing, wish.wants, exact=wish.exact)


def _needs_mode(gpu: Gpu, wish: Wish) -> None:
    if not gpu.mig_current and not wish.mode:
        raise ImpossibleLayout(
            f"GPU {gpu.index}: MIG mode is off", fix="`launch layout enable` switches it on."
        )


def resolved(world: World, wish: Wish) -> Wish:
    """Return a wish for more as the total that it comes to, so that it can be planned twice.

    What stands without a compute instance does not count: it is completed first.
    """
    if not wish.add or wish.wants is None:
        return wish
    gpu = _gpu(world, wish.gpu_uuid)
    _needs_mode(gpu, wish)
    standing = standing_on(world, gpu.uuid)
    total = replace(wish, wants=tuple(_total(gpu, standing, w) for w in wish.wants), add=False)
    _has_room(world, gpu, wish, total)
    return total


def _total(gpu: Gpu, standing: Sequence[StandingInstance], more: Want) -> Want:
    """Return a want for more as the total that it comes to."""
    wanted = device_of(gpu, more.profile)
    there: Counter[DeviceKind] = Counter()
    for s in standing:
        if more.start is None or s.place.whole == Place(wanted.profile_id, more.start):
            there += Counter({DeviceKind(s.place.profile_id, c): n for c, n in s.devices.items()})
    if more.start is not None and wanted.compute == WHOLE and there:
        raise ImpossibleLayout(
            f"GPU {gpu.index}: {more.profile}@{more.start} stands already",
            fix="Leave the place out for one more of them anywhere.",
        )
    return replace(more, count=more.count + there[wanted])


def _has_room(world: World, gpu: Gpu, more: Wish, total: Wish) -> None:
    """Say what has no room in the words that it was asked for, not as the total."""
    try:
        _plan(world, total)
    except ImpossibleLayout as error:
        if not standing_on(world, gpu.uuid):
            raise
        asked = " ".join(want.profile for want in more.wants or ())
        raise ImpossibleLayout(
            f"GPU {gpu.index}: there is no room for {asked} beside what stands",
            fix="`launch layout profiles` shows how many more of each fit now.",
        ) from error


def _must_wait_for_mode(gpu: Gpu, wish: Wish) -> bool:
    """Whether a layout can be planned only once MIG mode is on: NVML tells no placements before."""
    return bool(wish.mode and wish.wants and not gpu.mig_current and board_of(gpu.profiles) is None)


def _gpu(world: World, uuid: str) -> Gpu:
    gpu = world.gpus.get(uuid)
    if gpu is None:
        raise UserError(f"there is no GPU {uuid}", fix="`launch layout show` lists them.")
    if not gpu.mig_capable:
        raise UserError(f"GPU {gpu.index} ({gpu.name}) cannot do MIG")
    if (silent := world.why_silent(uuid)) is not None:
        raise StaleRequest(silent, fix="Its layout can be changed when it answers again.")
    return gpu


def standing_on(world: World, gpu_uuid: str) -> list[StandingInstance]:
    """Return the GPU instances of a GPU with who uses them."""
    standing_instances = []
    for (uuid, gi), instance in world.instances.items():
        if uuid == gpu_uuid:
            on = [s for s in world.slices.values() if (s.slice.gpu_uuid, s.slice.gi) == (uuid, gi)]
            busy = next((text for s in on if (text := user_of(s)) is not None), None)
            cut = world.cuts.get((uuid, gi))
            place = Place(instance.profile_id, instance.placement.start, cut or ())
            standing_instances.append(StandingInstance(place, gi, busy, bare=cut is None))
    return sorted(standing_instances, key=lambda s: (s.place.start, s.gi))


def user_of(state: SliceState) -> str | None:
    """Return who uses a slice as half a sentence, None for nobody."""
    if state.lease is not None:
        return f"{state.slice.uuid} is used by job {state.lease.job}"
    return f"{state.slice.uuid} {state.foreign}" if state.foreign else None


def users_of(states: Sequence[SliceState]) -> list[str]:
    """Return who uses these slices, as half sentences."""
    return [text for state in states if (text := user_of(state)) is not None]


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
    wishes = tuple(resolved(world, wish) for wish in event.wishes)
    states = going(world, plans(world, wishes), wishes)
    _check_users(world, states, event.busy)
    op = LayoutOp(
        world.next_layout, event.verb, event.request, event.owner, now.wall, wishes, event.busy
    )
    users = users_of(states)
    op.message = f"waits: {'; '.join(users)}" if users else None
    world.next_layout += 1
    world.layout = world.changes.layouts[op.id] = op
    bar(world, op, states)
    return op


def _check_users(world: World, states: Sequence[SliceState], busy: Busy) -> None:
    """Refuse to wait for what nobody said to wait for; raises ``StaleRequest``."""
    if states and world.engine_down:
        raise StaleRequest(
            f"nobody can tell which containers use what would go: {world.engine_down}",
            fix="Start Docker, then try again.",
        )
    ours = [state for state in states if state.lease is not None]
    others = [state for state in states if state.lease is None]
    in_the_way = users_of([*([] if busy.cancels else ours), *others])
    if in_the_way and not busy.waits:
        raise StaleRequest(
            f"{'; '.join(in_the_way)}: nothing was changed",
            fix="--wait waits until it is free, --cancel-jobs cancels the launcher's own jobs.",
        )


def bar(world: World, op: LayoutOp, states: Sequence[SliceState]) -> None:
    """Keep everybody from the slices that go, and let go of those that do not any more."""
    op.changing = tuple(state.slice.uuid for state in states)
    for state in world.slices.values():
        if state.slice.uuid in op.changing:
            state.changing = op.id
        elif state.changing == op.id and not op.done:
            state.changing = None


def note(world: World, owner: Owner, verb: str, request: str, now: ev.Now) -> None:
    """Put on record what an admin did, where there is nothing to carry out."""
    op = LayoutOp(world.next_layout, verb, request, owner, now.wall)
    op.state, op.result, op.ended_at = OpState.DONE, OpResult.APPLIED, now.wall
    world.next_layout += 1
    world.changes.layouts[op.id] = op


def steps_for(world: World, wishes: Sequence[Wish], made: Sequence[GpuPlan]) -> list[Step]:
    """Return what is left to do for wishes; MIG mode comes on before anything else is planned."""
    on: list[Step] = []
    steps: list[Step] = []
    for wish, one in zip(wishes, made, strict=True):
        gpu = world.gpus[one.gpu_uuid]
        if wish.mode and not (gpu.mig_current and gpu.mig_pending):
            on.append(Step(StepKind.MODE_ON, gpu.uuid, gpu.index))
        steps += _steps_of(gpu, one)
        if wish.mode is False and (gpu.mig_current or gpu.mig_pending):
            steps.append(Step(StepKind.MODE_OFF, gpu.uuid, gpu.index))
    return on or steps


def _steps_of(gpu: Gpu, one: GpuPlan) -> list[Step]:
    """Return a plan as steps: what goes first, then what lacks something, then what comes."""
    gone = [_step(StepKind.DESTROY, gpu, s.place, s.gi) for s in one.destroy]
    lacking = [_step(StepKind.COMPLETE, gpu, s.place, s.gi) for s in one.complete]
    return [*gone, *lacking, *(_step(StepKind.CREATE, gpu, place) for place in one.create)]


def _step(kind: StepKind, gpu: Gpu, place: Place, gi: int | None = None) -> Step:
    board = board_of(gpu.profiles)
    size = board.shape(place.profile_id).size if board and board.offers(place.profile_id) else 0
    name = name_of(gpu, place.profile_id)
    at = Placement(place.start, size)
    return Step(kind, gpu.uuid, gpu.index, name, place.profile_id, at, gi, place.cut)


def going(world: World, made: Sequence[GpuPlan], wishes: Sequence[Wish]) -> list[SliceState]:
    """Return the slices that go: those of destroyed instances, all of a GPU that changes mode."""
    modes = {w.gpu_uuid: w.mode for w in wishes if w.mode is not None}
    all_go = {uuid for uuid, mode in modes.items() if mode != world.gpus[uuid].mig_current}
    gone = {(one.gpu_uuid, s.gi) for one in made for s in one.destroy}
    return [
        state
        for state in world.slices.values()
        if not state.lost
        and (state.slice.gpu_uuid in all_go or (state.slice.gpu_uuid, state.slice.gi) in gone)
    ]
