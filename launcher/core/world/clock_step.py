"""Steps of the wall clock: recorded times are shifted along, so that durations stay correct.

Limits, backoffs and use are stored in seconds since 1970, because they outlive a boot;
CLOCK_BOOTTIME shows by how much the wall clock was set meanwhile. Times that users chose by the
wall clock (a start time in the future, a reservation) are not shifted.
"""

from __future__ import annotations

import dataclasses
import heapq

from launcher.core.messages.events import Now
from launcher.core.model.job import Job, State
from launcher.core.model.use import weight
from launcher.core.world.world import World

STEP_SECONDS = 2.0
"""A smaller step is a slow correction of the clock, or the rounding of a long replay."""


def keep_pace(world: World, now: Now) -> None:
    """Shift the records if the wall clock was set since the last call."""
    clock = now.wall - now.boot
    if world.clock is None:
        world.clock = world.changes.clock = clock
        return
    step = clock - world.clock
    if abs(step) < STEP_SECONDS:
        return
    world.clock = world.changes.clock = clock
    world.changes.clock_step += step
    for job in world.jobs.values():
        _move_job(world, job, step, now)
    waiting = {job_id for _, job_id in world.begins}
    world.begins = [
        (job.begin, job.id)
        for job in world.jobs.values()
        if job.state is State.PENDING
        and job.begin is not None
        and (job.begin > now.wall or job.id in waiting)
    ]
    heapq.heapify(world.begins)
    half_life = world.rules.fair_share.half_life
    for uid, use in world.uses.items():
        world.uses[uid] = moved = dataclasses.replace(use, at=use.at + step)
        world.changes.uses[uid] = moved
        world.weights[uid] = weight(moved, half_life)


def _move_job(world: World, job: Job, step: float, now: Now) -> None:
    if job.state is State.PENDING:
        if job.begin is not None and (_backs_off(job) or job.begin <= now.wall - step):
            job.begin += step
            world.changes.jobs[job.id] = job
        return
    job.started_wall = _moved(job.started_wall, step)
    job.stop_asked = _moved(job.stop_asked, step)
    job.begin = _moved(job.begin, step)
    world.changes.jobs[job.id] = job
    attempt = world.attempts[job.id]
    attempt.granted_at += step
    world.changes.attempts[(job.id, attempt.number)] = attempt
    for lease in world.leases.get(job.id, ()):
        lease.granted_at += step
        world.changes.leases[(lease.job, lease.attempt, lease.slice.uuid)] = lease


def _backs_off(job: Job) -> bool:
    """Whether a pending job's start time is a backoff, not its user's choice."""
    return job.attempt > 0 or job.pulls_failed > 0


def _moved(at: float | None, step: float) -> float | None:
    return None if at is None else at + step
