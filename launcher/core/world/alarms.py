"""Times at which time alone changes something: warnings, deadlines, kills, ends of windows."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from launcher.core.model.job import Job
from launcher.core.world.world import World


def due(world: World, boot: float) -> list[Job]:
    """Return the jobs whose warning, deadline or kill is due, each once, earliest first."""
    jobs: dict[int, Job] = {}
    while (at := next_alarm(world)) is not None and at <= boot:
        _, job_id = heapq.heappop(world.alarms)
        jobs[job_id] = world.jobs[job_id]
    return list(jobs.values())


def next_alarm(world: World) -> float | None:
    """Return the earliest warning, deadline or kill to come, in CLOCK_BOOTTIME seconds."""
    while world.alarms:
        at, job_id = world.alarms[0]
        job = world.jobs.get(job_id)
        if job is not None and at in (job.deadline, job.warn_at, job.kill_at):
            return at
        heapq.heappop(world.alarms)
    return None


def boundaries(world: World, wall: float, boot: float) -> Iterator[float]:
    """Yield the times, in seconds since 1970, at which a waiting job may become able to start."""
    for reservation in world.reservations.values():
        yield reservation.end
    for since in world.keeping.values():
        turns = (boot - since) // world.rules.holdback_idle + 1
        yield wall + since + turns * world.rules.holdback_idle - boot
    for job_id in world.preemptible:
        started = world.jobs[job_id].started_wall
        if started is not None:
            yield started + world.rules.preempt_after
