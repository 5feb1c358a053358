"""Preemption: a job of higher priority gets missing slices from preemptible jobs.

A preempted job gets its warning signal if it has one, is stopped with its grace period, and is
queued again under its id, without using up a retry.
"""

from __future__ import annotations

from launcher.core.messages.actions import Action
from launcher.core.messages.events import Now
from launcher.core.model.job import Job, State
from launcher.core.model.slice_state import SliceState
from launcher.core.scheduling import quota, reservation_windows, time_limits
from launcher.core.scheduling.matching import slices_wanted, wanted
from launcher.core.scheduling.scheduler import QueueWalk, gate, settled
from launcher.core.world.lifecycle import Preempted
from launcher.core.world.transitions import move, stop
from launcher.core.world.world import World

LONGEST_NOTICE_SECONDS = 300.0
"""The maximum time between a preempted job's warning and its end."""


def preempt(world: World, now: Now) -> list[Action]:
    """Preempt jobs for those in front that lack slices; at most one such job per pass.

    The slices of a job that is being preempted are not free yet. Until they are, no further job
    is preempted for the same one.
    """
    if not any(_may_go(world, world.jobs[i], now) for i in world.preemptible):
        return []
    walk = settled(world, now)
    heads = (world.queue.head(lane) for lane in world.queue.lanes())
    for job in sorted((world.jobs[h[1]] for h in heads if h is not None), key=walk.key):
        victims = _victims(walk, job)
        if victims:
            return [action for v in victims for action in _give_way(world, v, job, now)]
    return []


def _may_go(world: World, job: Job, now: Now) -> bool:
    if job.state is not State.RUNNING or job.stopping or job.started_wall is None:
        return False
    return now.wall - job.started_wall >= world.rules.preempt_after


def _victims(walk: QueueWalk, job: Job) -> list[Job]:
    """Return the jobs to preempt so that this one can start; none if they are not enough."""
    world, now = walk.world, walk.now
    if gate(world, job.need, on_host=job.on_host) or quota.exceeded(world, job, None) is not None:
        return []
    lacking = slices_wanted(world, job.need)
    candidates: dict[int, int] = {}
    for state in wanted(world, job.need):
        if _coming(walk, job, state):
            lacking -= 1
        elif (victim := _victim(world, job, state, now)) is not None:
            candidates[victim.id] = candidates.get(victim.id, 0) + 1
    jobs: list[Job] = []
    for job_id in sorted(candidates, key=lambda i: _least_missed(world.jobs[i])):
        if lacking <= 0:
            break
        jobs.append(world.jobs[job_id])
        lacking -= candidates[job_id]
    return jobs if lacking <= 0 else []


def _coming(walk: QueueWalk, job: Job, state: SliceState) -> bool:
    """Whether a slice is free for the job, or its user is being stopped."""
    if state.lease is None:
        return walk.open(job, state)
    holder = walk.world.jobs[state.lease.job]
    return state.usable and (holder.stopping or holder.state is State.COMPLETING)


def _victim(world: World, job: Job, state: SliceState, now: Now) -> Job | None:
    if state.lease is None or not state.usable:
        return None
    holder = world.jobs[state.lease.job]
    gives = holder.gives_way_to(job) and _may_go(world, holder, now)
    barred = reservation_windows.barring(world, job, state.slice.uuid, now) is not None
    return holder if gives and not barred else None


def _least_missed(job: Job) -> tuple[int, float]:
    """Sort lowest priority first, then by the least lost work."""
    return (job.priority, -(job.started_wall or 0.0))


def _give_way(world: World, victim: Job, job: Job, now: Now) -> list[Action]:
    why = f"gave way to job {job.ref}"
    move(world, victim, Preempted, State.RUNNING, now, why)
    victim.again, victim.message, victim.stop_asked = why, why, now.wall
    if victim.warn is None:
        return stop(world, victim, now)
    before = min(victim.warn.before, LONGEST_NOTICE_SECONDS)
    if victim.deadline is not None:
        before = min(before, max(0.0, victim.deadline - now.boot))
    actions = time_limits.warn(world, victim, now)
    world.set_deadline(victim, now.boot + before)
    victim.warn_at = None
    return actions
