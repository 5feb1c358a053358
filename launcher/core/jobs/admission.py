"""The conditions for a pending job to enter the queue: holds, a start time, other jobs' ends.

A job that is blocked individually costs the scheduler nothing, and its image is not looked for
before it could start.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from launcher.core.jobs import images
from launcher.core.jobs.images import is_open
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action
from launcher.core.model.job import MOST_TOLD, After, Dependency, Job, Outcome, Reason, State
from launcher.core.model.pieces import PIECE, Pieces
from launcher.core.world import lifecycle
from launcher.core.world.transitions import finish, move
from launcher.core.world.world import World
from launcher.errors import NotAllowed, StaleRequest, UserError
from launcher.spec.job_spec import HOST


def admit(world: World, job: Job, now: ev.Now, *, look_again: bool = False) -> list[Action]:
    """Put a pending job into the queue, or record what blocks it.

    ``look_again``: its local image has disappeared.
    """
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


def settle(world: World, now: ev.Now) -> list[Action]:
    """Pass new ends on to the dependents; ends may cause ends."""
    actions: list[Action] = []
    while world.ended:
        ended, outcome = world.ended.pop(0)
        for job_id in sorted(world.dependents.pop(ended, ())):
            job = world.jobs.get(job_id)
            if job is not None and job.state is State.PENDING:
                actions += _pass_on(world, job, ended, outcome, now)
    return actions + make_room(world, now)


def _pass_on(world: World, job: Job, ended: int, outcome: Outcome, now: ev.Now) -> list[Action]:
    matching = [d for d in (Dependency(ended, after) for after in After) if d in job.waits_for]
    missed = [d for d in matching if not d.after.holds(outcome)]
    if missed:
        return never(world, job, missed[0], outcome, now)
    for dependency in matching:
        del job.waits_for[dependency]
    if job.waits_for and len(job.depends_on) > MOST_TOLD:
        world.changes.jobs[job.id] = job  # thousands of history lines would be too many
        return []
    move(world, job, lifecycle.Settled, State.PENDING, now, f"job {ended} is {outcome.value}")
    return admit(world, job, now)


def never(
    world: World, job: Job, missed: Dependency, outcome: Outcome, now: ev.Now
) -> list[Action]:
    """End, or hold, a job whose dependency can never be satisfied."""
    message = f"job {missed.job} is {outcome.value}, {missed.after.value} was required"
    reason = Reason.DEPENDENCY_NEVER_SATISFIED
    if world.rules.unsatisfied_dependency == "hold":
        job.waits_for.pop(missed, None)
        held_by_admin = job.held is Reason.JOB_HELD_ADMIN
        job.held, job.message = job.held if held_by_admin else reason, message
        move(world, job, lifecycle.Settled, State.PENDING, now, message)
        return []
    finish(world, job, lifecycle.Settled, Outcome.CANCELLED, now, reason, message)
    return []


def check_cycles(jobs: Sequence[ev.NewJob]) -> Pieces[None]:
    """In steps: raise ``UserError`` naming the cycle if jobs wait for each other."""
    done: set[int] = set()
    for start in range(len(jobs)):
        if start % PIECE == 0:
            yield
        path: list[int] = []
        todo = [(start, iter(jobs[start].beside))]
        on_path = {start}
        path.append(start)
        while todo:
            index, left = todo[-1]
            step = next(left, None)
            if step is None:
                todo.pop()
                on_path.discard(path.pop())
                done.add(index)
            elif step[0] in on_path:
                names = [jobs[i].spec.name for i in (*path[path.index(step[0]) :], step[0])]
                raise UserError(f"depends_on: {' -> '.join(names)} is a cycle")
            elif step[0] not in done:
                todo.append((step[0], iter(jobs[step[0]].beside)))
                path.append(step[0])
                on_path.add(step[0])
