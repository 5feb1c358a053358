"""Who starts now, on what: one pass over the heads of the queue.

Order is priority, then first come first served. A job that cannot be placed keeps the free slices
that it could use (a holdback), so that smaller jobs behind it cannot starve it; the others go on.
``choose`` is also what ``explain`` asks: the rule that refuses a start explains it.
"""

from __future__ import annotations

import heapq

from launcher.core import lifecycle
from launcher.core.action import Action, StartAttempt
from launcher.core.event import Now
from launcher.core.gpu import FULL, Slice, name_gb
from launcher.core.ids import container_name
from launcher.core.job import Job, Need, NeedKind, State
from launcher.core.lease import Attempt, Lease
from launcher.core.world import SliceState, World


def fits(need: Need, what: Slice) -> bool:
    """Whether this slice is of the kind that the need asks for, free or not."""
    match need.kind:
        case NeedKind.PROFILE:
            return what.profile == need.profile
        case NeedKind.MEMORY if need.memory_gb is not None:
            return name_gb(what.profile, what.memory_mib) >= need.memory_gb
        case NeedKind.MEMORY:
            return what.memory_mib >= (need.memory_mib or 0)
        case NeedKind.UUID:
            return what.uuid in need.uuids
        case NeedKind.FULL | NeedKind.ALL:
            return what.profile == FULL
        case NeedKind.NONE:
            return False


def _smallest_first(state: SliceState) -> tuple[int, int, int, str]:
    s = state.slice
    start = s.placement.start if s.placement else 0
    return (s.memory_mib, s.gpu_index, start, s.uuid)


def wanted(world: World, need: Need) -> list[SliceState]:
    """Return every slice that the need could use, free or not, smallest first."""
    return sorted((s for s in world.slices.values() if fits(need, s.slice)), key=_smallest_first)


def slices_wanted(world: World, need: Need) -> int:
    """Return how many slices the need takes at once."""
    match need.kind:
        case NeedKind.NONE:
            return 0
        case NeedKind.UUID:
            return len(need.uuids)
        case NeedKind.ALL:
            full = sum(fits(need, s.slice) for s in world.slices.values())
            return max(1, full)
        case _:
            return need.count


def gate(world: World, need: Need) -> str | None:
    """Return the sentence that keeps every such job from starting, None where nothing does."""
    if world.reconciling or world.engine_down:
        return world.reconciling or world.engine_down
    return None if need.kind is NeedKind.NONE else world.gpu_down or world.gpu_support


def choose(world: World, need: Need, held: set[str]) -> tuple[Slice, ...] | None:
    """Return the slices to lease, or None where the need cannot be met now. All or nothing.

    ``held`` are free slices kept for a job further ahead.
    """
    if gate(world, need):
        return None
    if need.kind is NeedKind.NONE:
        return () if len(world.cpu_running) < world.cpu_slots else None
    free = [s.slice for s in wanted(world, need) if s.free and s.slice.uuid not in held]
    count = slices_wanted(world, need)
    return tuple(free[:count]) if len(free) >= count else None


def holdback(world: World, need: Need, held: set[str]) -> list[str]:
    """Return the free slices that a blocked job keeps from the jobs behind it.

    None where even all slices that could be used would not do: waiting for another layout, or for
    somebody else to go, keeps nobody back.
    """
    usable = [s for s in wanted(world, need) if s.usable]
    count = slices_wanted(world, need)
    if len(usable) < count:
        return []
    return [s.slice.uuid for s in usable if s.free and s.slice.uuid not in held][:count]


def schedule(world: World, now: Now) -> list[Action]:
    """Start every job that can start now; returns the actions, notes the changes."""
    actions: list[Action] = []
    held: set[str] = set()
    heads = world.queue.heads()
    heapq.heapify(heads_by_order := [(order, i) for i, (order, _) in enumerate(heads)])
    while heads_by_order:
        (_, job_id), i = heapq.heappop(heads_by_order)
        need = heads[i][1]
        slices = choose(world, need, held)
        if slices is None:
            held.update(holdback(world, need, held))
            continue
        actions.append(_grant(world, world.jobs[job_id], slices, now))
        if (following := world.queue.head(need)) is not None:
            heapq.heappush(heads_by_order, (following, i))
    return actions


def _grant(world: World, job: Job, slices: tuple[Slice, ...], now: Now) -> StartAttempt:
    lifecycle.check(job, lifecycle.Granted, State.STARTING)
    assert job.image_id is not None, "only pinned jobs are in the queue"
    world.queue.discard(job.id)
    job.attempt += 1
    job.state, job.reason, job.message = State.STARTING, None, None
    job.slices = tuple(s.uuid for s in slices)
    job.container_id = job.started_at = job.ended_at = None
    name = container_name(world.store, job.id, job.attempt)
    attempt = Attempt(job.id, job.attempt, name, job.slices, job.image_id, now.wall)
    world.attempts[job.id] = attempt
    world.changes.attempts[(job.id, job.attempt)] = attempt
    for s in slices:
        world.grant(Lease(job.id, job.attempt, s, now.wall))
    if not slices:
        world.cpu_running.add(job.id)
    world.note(job, now.wall, "granted", f"attempt {job.attempt}: {', '.join(job.slices) or 'CPU'}")
    world.stories.setdefault(job.id, []).append(f"Granted -> STARTING as attempt {job.attempt}")
    return StartAttempt(job.id, job.attempt, name, slices, job.image_id)
