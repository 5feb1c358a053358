"""Time limits, their warnings, idle timeouts, and the ends of grace periods."""

from __future__ import annotations

from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action, SignalAttempt
from launcher.core.model.job import Job, State
from launcher.core.world.alarms import due
from launcher.core.world.transitions import kill, move, stop
from launcher.core.world.world import World


def tick(world: World, now: ev.Now) -> list[Action]:
    """Warn, stop and kill the running jobs that are due."""
    actions: list[Action] = []
    for job in due(world, now.boot):
        if job.state is not State.RUNNING:
            continue
        if job.kill_at is not None and job.kill_at <= now.boot:
            actions += kill(world, job, now, "its grace period is over")
        if job.cancelled_by is not None or job.timed_out:
            continue
        if job.warn_at is not None and job.warn_at <= now.boot:
            job.warn_at = None
            actions += warn(world, job, now)
        if job.deadline is not None and job.deadline <= now.boot:
            job.deadline = None
            actions += stop(world, job, now) if job.again else _over(world, job, now, _limit(job))
    return actions


def _limit(job: Job) -> str:
    return f"time limit of {job.time_limit:g} s"


def _over(world: World, job: Job, now: ev.Now, why: str) -> list[Action]:
    move(world, job, ev.Tick, State.RUNNING, now, why)
    job.timed_out, job.message, job.stop_asked = True, why, now.wall
    return stop(world, job, now)


def warn(world: World, job: Job, now: ev.Now) -> list[Action]:
    """Send a job the signal that it requested before it is stopped."""
    if job.warn is None:
        return []
    world.note(job, now.wall, "warned", job.warn.name)
    name = world.attempts[job.id].container_name
    return [SignalAttempt(job.id, name, job.warn.name)]


def idle(world: World, seen_idle: frozenset[str], now: ev.Now) -> list[Action]:
    """Stop the jobs that had no process on any of their slices for their idle timeout."""
    actions: list[Action] = []
    for job_id, leases in list(world.leases.items()):
        job = world.jobs[job_id]
        if job.idle_timeout is None or job.state is not State.RUNNING or job.stopping:
            continue
        if not leases or any(lease.slice.uuid not in seen_idle for lease in leases):
            job.idle_since = None
        elif job.idle_since is None:
            job.idle_since = now.boot
        elif now.boot - job.idle_since >= job.idle_timeout:
            why = f"no process on its slices for {job.idle_timeout:g} s"
            actions += _over(world, job, now, why)
    return actions
