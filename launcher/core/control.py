"""What people do to jobs that exist: cancel, requeue, retry, edit, signal."""

from __future__ import annotations

from launcher.core import event as ev
from launcher.core import gates, images
from launcher.core.action import Action, SignalAttempt
from launcher.core.job import Job, Outcome, Reason, State
from launcher.core.policy import check_priority
from launcher.core.possible import check_possible
from launcher.core.steps import finish, move, stop
from launcher.core.submit import check_limit, end_of, missed_of
from launcher.core.world import World
from launcher.errors import NoSuchJob, NotAllowed, StaleRequest, UserError


def cancel(world: World, event: ev.CancelAsked, now: ev.Now) -> list[Action]:
    """End a job: one that waits never starts, one that runs is stopped."""
    job = _live(world, event.job)
    if job.state is State.PENDING:
        images.forget_waiter(world, job)
        job.cancelled_by = event.uid
        finish(world, job, ev.CancelAsked, Outcome.CANCELLED, now)
        return []
    if job.cancelled_by is None and job.outcome is None:
        job.cancelled_by = event.uid
        job.stop_asked = job.stop_asked or now.wall
        world.note(job, now.wall, "cancel asked", f"by uid {event.uid}")
        if job.state is State.COMPLETING:  # it was to run again
            job.again, job.message, job.outcome = None, None, Outcome.CANCELLED
            world.ended.append((job.id, Outcome.CANCELLED))
    return stop(world, job) if job.state is State.RUNNING else []


def signal(world: World, event: ev.SignalAsked, now: ev.Now) -> list[Action]:
    """Send a running job a signal."""
    job = _live(world, event.job)
    if job.state is not State.RUNNING:
        raise StaleRequest(f"job {job.id} is {job.state.value}, it gets no signals")
    name = world.attempts[job.id].container_name
    return [SignalAttempt(job.id, name, event.signal)]


def _live(world: World, job_id: int) -> Job:
    job = world.jobs.get(job_id)
    if job is None:
        raise NoSuchJob(f"job {job_id} is not pending or running")
    return job


def requeue(world: World, event: ev.RequeueAsked, now: ev.Now) -> list[Action]:
    """Stop a job that has begun and queue it again; it costs no retry."""
    job = _live(world, event.job)
    if job.state not in (State.STARTING, State.RUNNING) or job.stopping:
        state = "being stopped" if job.stopping else job.state.value
        raise StaleRequest(f"job {job.id} is {state}: only a running job can be requeued")
    move(world, job, ev.RequeueAsked, job.state, now, f"by uid {event.uid}")
    job.again, job.stop_asked = f"requeued by uid {event.uid}", now.wall
    return stop(world, job) if job.state is State.RUNNING else []


def retry(world: World, event: ev.RetryAsked, now: ev.Now) -> list[Action]:
    """Queue an ended job again; it keeps its id and takes the next attempt."""
    job = event.job
    if job.id in world.jobs or job.state is not State.DONE or job.outcome is None:
        raise StaleRequest(f"job {job.id} has not ended: only an ended job can be retried")
    check_possible(world, job.need)
    missed = missed_of(world, event.after)
    if missed is not None:
        raise StaleRequest(
            f"job {job.id} cannot run again: job {missed[0].job} is {missed[1].value}, "
            f"{missed[0].after.value} was asked",
            fix=f"Retry job {missed[0].job} first, or submit this one without the dependency.",
        )
    waits_for = tuple(d for d, told in event.after if end_of(world, d, told) is None)
    if job.element is not None:
        if event.array is not None:
            world.arrays.setdefault(job.element.array, event.array)
        world.arrays[job.element.array].reopen(job.id, job.outcome)
    move(world, job, ev.RetryAsked, State.PENDING, now, f"by uid {event.uid}")
    _reset(job)
    job.waits_for = waits_for
    world.changes.reopened.add(job.id)
    world.add(job)
    return gates.admit(world, job, now)


def _reset(job: Job) -> None:
    """Forget how a job ended; its attempts stay on record."""
    job.outcome = job.reason = job.message = job.held = job.again = job.begin = None
    job.exit_code = job.cancelled_by = job.container_id = None
    job.started_at = job.ended_at = job.started_wall = None
    job.slices, job.timed_out, job.stop_asked = (), False, None
    job.never_started = job.retried = job.pulls_failed = 0


def edit(world: World, event: ev.EditAsked, now: ev.Now) -> list[Action]:
    """Change a pending job, or the time limit of a running one."""
    job = _live(world, event.job)
    if event.priority is not None:
        check_priority(event.priority, admin=event.admin)
    if event.time_limit:
        check_limit(world, event.time_limit, event.admin)
    if event.need is not None:
        check_possible(world, event.need)
    if job.state is State.RUNNING and not job.stopping:
        return _edit_running(world, job, event, now)
    if job.state is not State.PENDING:
        raise StaleRequest(f"job {job.id} is {job.state.value}: it cannot be edited now")
    move(world, job, ev.EditAsked, State.PENDING, now, _told(event))
    gates.leave(world, job)
    job.priority = job.priority if event.priority is None else event.priority
    job.need = event.need or job.need
    if event.time_limit is not None:
        job.time_limit = event.time_limit or world.rules.default_time_limit
    if event.hold is not None:
        job.held = (job.held or Reason.JOB_HELD_USER) if event.hold else None
    return gates.admit(world, job, now)


def _edit_running(world: World, job: Job, event: ev.EditAsked, now: ev.Now) -> list[Action]:
    if (event.priority, event.need, event.hold) != (None, None, None):
        raise StaleRequest(f"job {job.id} is RUNNING: only its time limit can be changed")
    if event.time_limit is None:
        return []
    before, after = job.time_limit, event.time_limit or world.rules.default_time_limit
    longer = before is not None and (after is None or after > before)
    if longer and not event.admin:
        raise NotAllowed(
            f"job {job.id} runs with a limit of {before:g} s: its owner may shorten that only",
            fix="Ask an admin to extend it.",
        )
    move(world, job, ev.EditAsked, State.RUNNING, now, _told(event))
    job.time_limit = after
    job.deadline = job.warn_at = None
    if after is not None:
        ran = now.wall - (job.started_wall or now.wall)
        world.set_deadline(job, now.boot + after - ran)
    return []


def _told(event: ev.EditAsked) -> str:
    said = {
        "priority": event.priority,
        "time limit": None if event.time_limit is None else f"{event.time_limit:g} s",
        "gpus": event.need,
        "hold": event.hold,
    }
    changes = ", ".join(f"{name} {value}" for name, value in said.items() if value is not None)
    if not changes:
        raise UserError("nothing to change", fix="Name what: --priority, --time, --gpus, --hold.")
    return f"{changes} (by {event.owner.name})"
