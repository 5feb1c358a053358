"""A world from a backup: unfinished jobs are held, because their outcome is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from launcher.core.messages import events as ev
from launcher.core.model.job import Job, Reason, State
from launcher.core.model.layout_change import OpResult, OpState
from launcher.core.world.world import World

CAUSE = "its outcome is unknown: the database was restored from a backup"


@dataclass(slots=True)
class RestoredJobs:
    """The ids of the jobs that wait, had started, or had ended and only held their slices."""

    waiting: list[int] = field(default_factory=list)
    started: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)


def restore(
    world: World, now: ev.Now, made_at: str, started_attempts: Mapping[int, int]
) -> RestoredJobs:
    """Hold every unfinished job, and end all leases; the changes must be committed.

    ``started_attempts`` has each job's highest attempt with a log: no later attempt may reuse its
    number. Running containers belong to another store, so their slices count as in use.
    """
    restored_jobs = RestoredJobs()
    for job in list(world.jobs.values()):
        _end_attempt(world, job, now)
        if job.state is State.COMPLETING and job.outcome is not None:
            job.state = State.DONE
            restored_jobs.ended.append(job.id)
            world.note(job, now.wall, "restored", "it had ended")
            continue
        (restored_jobs.waiting if job.state is State.PENDING else restored_jobs.started).append(
            job.id
        )
        _hold(job, made_at)
        job.attempt = max(job.attempt, started_attempts.get(job.id, 0))
        world.note(job, now.wall, "restored", f"held: its state since {made_at} is unknown")
    _end_layout_changes(world, now)
    return restored_jobs


def _end_attempt(world: World, job: Job, now: ev.Now) -> None:
    for lease in world.leases.get(job.id, ()):
        lease.released_at = now.wall
        world.changes.leases[(lease.job, lease.attempt, lease.slice.uuid)] = lease
    attempt = world.attempts.get(job.id)
    if attempt is not None:
        attempt.boot, attempt.cause = None, attempt.cause or CAUSE
        world.changes.attempts[(job.id, attempt.number)] = attempt


def _hold(job: Job, made_at: str) -> None:
    job.state, job.outcome, job.again = State.PENDING, None, None
    if job.held is not Reason.JOB_HELD_ADMIN:
        job.held = Reason.RESTORED
    job.reason = job.held
    job.message = f"restored from a backup of {made_at}; release it to run it, or cancel it"
    job.exit_code = job.cancelled_by = job.container_id = job.stop_asked = None
    job.started_at = job.ended_at = job.started_wall = None
    job.slices, job.timed_out, job.kill_now = (), False, False


def _end_layout_changes(world: World, now: ev.Now) -> None:
    message = "the database was restored from a backup meanwhile"
    for op in world.layouts.values():
        over = replace(
            op, state=OpState.DONE, result=OpResult.FAILED, ended_at=now.wall, message=message
        )
        world.changes.layouts[over.id] = over
