"""The conditions for a pending job to enter the queue: holds, a start time, other jobs' ends.

A job that is blocked individually costs the scheduler nothing, and its image is not looked for
before it could start.
"""

from __future__ import annotations

import heapq

from launcher.core.jobs import images
from launcher.core.jobs.images import is_open
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action
from launcher.core.model.job import ALONE, Job, Reason, State
from launcher.core.world.namesakes import wait_alone
from launcher.core.world.transitions import move
from launcher.core.world.world import World
from launcher.errors import NotAllowed, StaleRequest
from launcher.spec.job_spec import HOST


def admit(world: World, job: Job, now: ev.Now, *, look_again: bool = False) -> list[Action]:
    """Put a pending job into the queue, or record what blocks it.

    ``look_again``: its local image has disappeared.
    """
    if ALONE in job.waits_for and not wait_alone(world, job):
        del job.waits_for[ALONE]
        world.changes.jobs[job.id] = job
    if not is_open(job, now):
        if job.begin is not None and job.begin > now.wall:
            heapq.heappush(world.begins, (job.begin, job.id))
        return []
    if job.on_host:
        job.image_id = HOST
    if job.image_id is None or look_again:
        return images.want(world, job)
    images.enqueue(world, job)
    return []


def admit_due(world: World, now: ev.Now) -> list[Action]:
    """Admit every job whose start time has come."""
    actions: list[Action] = []
    while world.begins and world.begins[0][0] <= now.wall:
        _, job_id = heapq.heappop(world.begins)
        job = world.jobs.get(job_id)
        if job is not None and job.state is State.PENDING and job_id not in world.queue:
            actions += admit(world, job, now)
    return actions


def make_room(world: World, now: ev.Now) -> list[Action]:
    """Admit the elements of arrays whose turn has come."""
    actions: list[Action] = []
    while world.room:
        array = world.arrays.get(world.room.pop())
        while array is not None and (job_id := array.next()) is not None:
            job = world.jobs.get(job_id)
            if job is not None and job.state is State.PENDING:
                actions += admit(world, job, now)
    return actions


def leave(world: World, job: Job) -> None:
    """Remove a pending job from the queue."""
    world.queue.discard(job.id)
    world.keeping.pop(job.id, None)
    world.deactivate(job)
    images.forget_waiter(world, job)


def hold(world: World, event: ev.HoldAsked, now: ev.Now) -> list[Action]:
    """Hold a pending job, so that it does not start."""
    job = _pending(world, event.job, "held")
    move(world, job, ev.HoldAsked, State.PENDING, now, f"by uid {event.uid}")
    reason = Reason.JOB_HELD_ADMIN if event.admin else Reason.JOB_HELD_USER
    job.held = reason if event.admin else job.held or reason
    leave(world, job)
    return []


def release(world: World, event: ev.ReleaseAsked, now: ev.Now) -> list[Action]:
    """Release a held job; one that is not held stays as it is."""
    job = _pending(world, event.job, "released")
    if job.held is None:
        return []
    check_release(job, admin=event.admin)
    move(world, job, ev.ReleaseAsked, State.PENDING, now, f"by uid {event.uid}")
    let_go(job)
    return admit(world, job, now)


def let_go(job: Job) -> None:
    """Clear a job's hold, and the failures that led to it."""
    job.held, job.never_started, job.pulls_failed = None, 0, 0


def check_release(job: Job, *, admin: bool) -> None:
    """Raise ``NotAllowed`` if an admin holds a job and another user releases it."""
    if job.held is Reason.JOB_HELD_ADMIN and not admin:
        raise NotAllowed(f"job {job.ref} is held by an admin", fix="Only an admin may release it.")


def _pending(world: World, job_id: int, verb: str) -> Job:
    job = world.jobs.get(job_id)
    if job is None or job.state is not State.PENDING:
        state = "is over" if job is None else f"is {job.state.value}"
        raise StaleRequest(f"job {world.ref(job_id)} {state}: only a pending job can be {verb}")
    return job
