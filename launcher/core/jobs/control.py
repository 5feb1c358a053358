"""User commands for existing jobs: cancel, requeue, retry, edit, signal."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from launcher.core.jobs import admission, images
from launcher.core.jobs.dependencies import missed_of, take_up
from launcher.core.jobs.submit import check_limit, limit_without
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action, SignalAttempt
from launcher.core.model.job import Job, Outcome, Owner, Reason, State
from launcher.core.model.pieces import PIECE, Pieces
from launcher.core.policy import validate
from launcher.core.policy.policy import MAX_USER_PRIORITY, check_priority
from launcher.core.scheduling import quota
from launcher.core.scheduling.feasibility import check_possible
from launcher.core.world.pending_queue import lane_of
from launcher.core.world.transitions import finish, kill, move, stop
from launcher.core.world.world import World
from launcher.errors import LauncherError, NoSuchJob, NotAllowed, StaleRequest, UserError

MOST_CHANGES = 1000
"""Limits a job's history to what its users need; counted since the daemon's start."""
MOST_ATTEMPTS = 1000
"""Each attempt leaves rows and a log."""


def cancel(world: World, event: ev.CancelAsked, now: ev.Now) -> list[Action]:
    """End a job: a waiting one never starts, a running one is stopped.

    A second request, or one with ``now``, ends the grace period at once.
    """
    job = _live(world, event.job)
    if job.state is State.PENDING:
        images.forget_waiter(world, job)
        job.cancelled_by = event.uid
        finish(world, job, ev.CancelAsked, Outcome.CANCELLED, now)
        return []
    at_once = event.kill or job.cancelled_by is not None
    if job.cancelled_by is None and job.outcome is None:
        job.cancelled_by = event.uid
        job.stop_asked = job.stop_asked or now.wall
        world.note(job, now.wall, "cancel asked", f"by uid {event.uid}")
        if job.state is State.COMPLETING:  # it was going to run again
            job.again, job.message, job.outcome = None, None, Outcome.CANCELLED
            world.ended.append((job.id, Outcome.CANCELLED))
    if job.state not in (State.STARTING, State.RUNNING) or job.kill_now:
        return []
    if job.state is State.RUNNING:
        return kill(world, job, now, "asked") if at_once else stop(world, job, now)
    if at_once:
        job.kill_now = True
        world.note(job, now.wall, "kill asked", f"by uid {event.uid}")
    return []


def signal(world: World, event: ev.SignalAsked, now: ev.Now) -> list[Action]:
    """Send a running job a signal."""
    job = _live(world, event.job)
    if job.state is not State.RUNNING:
        raise StaleRequest(f"job {job.ref} is {job.state.value}, it cannot be signalled")
    name = world.attempts[job.id].container_name
    return [SignalAttempt(job.id, name, event.signal)]


def check_changes(world: World, job_id: int) -> None:
    """Raise ``NotAllowed`` for a job that was changed too often: each change adds a line."""
    job = world.jobs.get(job_id)
    if job is not None and job.changes >= MOST_CHANGES:
        raise NotAllowed(
            f"job {job.ref} was held, released, edited or requeued {MOST_CHANGES} times",
            fix="Cancel it, and submit it again.",
        )


def count_change(world: World, job_id: int) -> None:
    """Count a change that a user made to a job."""
    if job_id in world.jobs:
        world.jobs[job_id].changes += 1


def _live(world: World, job_id: int) -> Job:
    job = world.jobs.get(job_id)
    if job is None:
        raise NoSuchJob(f"job {job_id} is not pending or running")
    return job


def requeue(world: World, event: ev.RequeueAsked, now: ev.Now) -> list[Action]:
    """Stop a job that has started and queue it again, without using up a retry."""
    job = _live(world, event.job)
    if job.state not in (State.STARTING, State.RUNNING) or job.stopping:
        state = "being stopped" if job.stopping else job.state.value
        raise StaleRequest(f"job {job.ref} is {state}: only a running job can be requeued")
    move(world, job, ev.RequeueAsked, job.state, now, f"by uid {event.uid}")
    job.again, job.stop_asked = f"requeued by uid {event.uid}", now.wall
    return stop(world, job, now) if job.state is State.RUNNING else []


def retry(world: World, event: ev.RetryAsked, now: ev.Now) -> Pieces[list[Action]]:
    """In steps: queue ended jobs again; each keeps its id and gets the next attempt.

    Jobs that cannot run again are skipped, unless there is only one. All are reopened before any
    is admitted, because they may depend on each other.
    """
    opened = yield from _that_can(world, event)
    world.groups.update(event.groups)
    theirs: dict[Owner, list[Job]] = defaultdict(list)
    for candidate in opened:
        theirs[candidate.job.owner].append(candidate.job)
    for owner, jobs in theirs.items():
        yield
        kinds, stored_bytes = frozenset(map(lane_of, jobs)), sum(job.kept_bytes for job in jobs)
        more = quota.SubmitSize(
            len(jobs), kinds, stored_bytes, sum(len(job.depends_on) for job in jobs)
        )
        groups = world.groups.get(owner.uid, frozenset())
        quota.check_submit(world, owner, groups, more, admin=event.admin)
    ours = {
        candidate.job.element.array for candidate in opened if candidate.job.element is not None
    }
    for array in event.arrays:
        if array.id in ours:
            world.arrays.setdefault(array.id, array)
    for number, candidate in enumerate(opened):
        _reopen(world, candidate.job, event, now)
        if number % PIECE == 0:
            yield
    actions: list[Action] = []
    for number, candidate in enumerate(opened):
        if number % PIECE == 0:
            yield
        take_up(world, candidate.job, candidate.after, now)
        world.depend(candidate.job)
        actions += admission.admit(world, candidate.job, now)
    return actions


def _that_can(world: World, event: ev.RetryAsked) -> Pieces[list[ev.Retried]]:
    """Return the jobs that can be reopened, without those that depend on one that cannot."""
    arrays = world.arrays.keys() | {array.id for array in event.arrays}
    left = list(event.jobs)
    while True:
        again = {candidate.job.id for candidate in left}
        again |= {
            candidate.job.element.array for candidate in left if candidate.job.element is not None
        }
        retried: list[ev.Retried] = []
        for number, candidate in enumerate(left):
            if number % PIECE == 0:
                yield
            try:
                _check_retry(world, candidate, arrays, again, event.read_at)
                retried.append(candidate)
            except LauncherError:
                if len(event.jobs) == 1:
                    raise
        if not retried:
            raise StaleRequest("none of these jobs can run again")
        if len(retried) == len(left):
            return retried
        left = retried


def _check_retry(
    world: World, candidate: ev.Retried, arrays: set[int], again: set[int], read_at: int
) -> None:
    job = candidate.job
    if world.recent.is_stale(job.id, job.attempt, read_at):
        raise StaleRequest(f"job {job.ref} was just changed or deleted", fix="Try again.")
    if job.id in world.jobs or job.state is not State.DONE or job.outcome is None:
        raise StaleRequest(f"job {job.ref} has not ended: only an ended job can be retried")
    if job.element is not None and job.element.array not in arrays:
        raise StaleRequest(f"job {job.ref}: its array has just ended", fix="Try again.")
    if job.attempt >= MOST_ATTEMPTS:
        raise NotAllowed(
            f"job {job.ref} has had {job.attempt} attempts, {MOST_ATTEMPTS} at most",
            fix="Submit it again.",
        )
    check_possible(world, job.need)
    known = tuple(end for end in candidate.after if end[0].job not in again)
    missed = missed_of(world, known, others=len(known) < len(candidate.after))
    if missed is not None:
        raise StaleRequest(
            f"job {job.ref} cannot run again: job {missed[0].name} is {missed[1].value}, "
            f"{missed[0].after.value} was required",
            fix=f"Retry job {missed[0].name} with it, or submit this one without the dependency.",
        )


def _reopen(world: World, job: Job, event: ev.RetryAsked, now: ev.Now) -> None:
    assert job.outcome is not None, "it has ended"
    if job.element is not None:
        world.arrays[job.element.array].reopen(job.id, job.outcome)
    move(world, job, ev.RetryAsked, State.PENDING, now, f"by uid {event.uid}")
    _reset(job, now)
    if not event.admin:
        job.priority = min(job.priority, MAX_USER_PRIORITY)
    world.changes.reopened.add(job.id)
    world.add(job)


def _reset(job: Job, now: ev.Now) -> None:
    """Clear a job's outcome; the records of its attempts stay."""
    job.outcome = job.reason = job.message = job.held = job.again = None
    if job.attempt or (job.begin or 0.0) <= now.wall:  # not an earlier backoff
        job.begin = None
    job.exit_code = job.cancelled_by = job.container_id = None
    job.started_at = job.ended_at = job.started_wall = None
    job.slices, job.waits_for, job.timed_out, job.stop_asked = (), {}, False, None
    job.never_started = job.retried = job.pulls_failed = 0
    job.kill_now = False


def edit(world: World, event: ev.EditAsked, now: ev.Now) -> list[Action]:
    """Change a pending job, or the time limit of a running one."""
    job = _live(world, event.job)
    validate.check_edit(job, event.need or job.need, event.time_limit or None)
    limit = _limit_asked(world, job, event)
    if event.priority is not None:
        validate.check_priority(event.priority)
        check_priority(event.priority, admin=event.admin)
    if event.need is not None:
        check_possible(world, event.need)
    validate.check_edit(job, event.need or job.need, limit)
    if job.state is State.RUNNING and not job.stopping:
        return _edit_running(world, job, event, limit, now)
    if job.state is not State.PENDING:
        raise StaleRequest(f"job {job.ref} is {job.state.value}: it cannot be edited now")
    if event.hold is False:
        admission.check_release(job, admin=event.admin)
    _check_kind(world, job, event, limit)
    move(world, job, ev.EditAsked, State.PENDING, now, _changes_text(event, limit))
    admission.leave(world, job)
    job.priority = job.priority if event.priority is None else event.priority
    world.count_kind(job, -1)
    job.need, job.time_limit = event.need or job.need, limit
    world.count_kind(job, 1)
    world.set_aside(job)
    if event.hold:
        job.held = job.held or Reason.JOB_HELD_USER
    elif event.hold is False:
        admission.let_go(job)
    return admission.admit(world, job, now)


def _check_kind(world: World, job: Job, event: ev.EditAsked, limit: float | None) -> None:
    """Raise ``NotAllowed`` if the changed job would exceed the allowed number of kinds."""
    need = event.need or job.need
    kind = lane_of(replace(job, need=need, time_limit=limit))
    groups = world.groups.get(job.owner.uid, frozenset())
    quota.check_kinds(world, job.owner, groups, {kind}, admin=event.admin, instead_of=lane_of(job))


def _limit_asked(world: World, job: Job, event: ev.EditAsked) -> float | None:
    """Return the job's new time limit; raises if it is not allowed."""
    if event.time_limit is None:
        return job.time_limit
    if event.time_limit:
        check_limit(world, event.time_limit, admin=event.admin, interactive=job.interactive)
        return event.time_limit
    least = None if event.admin else limit_without(world, admin=False, interactive=job.interactive)
    if least is not None:
        raise NotAllowed(
            f"time_limit: jobs must have one here, by default {least:g} s",
            fix="Request another one, or have an admin remove it.",
        )
    return None


def _edit_running(
    world: World, job: Job, event: ev.EditAsked, limit: float | None, now: ev.Now
) -> list[Action]:
    if (event.priority, event.need, event.hold) != (None, None, None):
        raise StaleRequest(f"job {job.ref} is RUNNING: only its time limit can be changed")
    before = job.time_limit
    longer = before is not None and (limit is None or limit > before)
    if longer and not event.admin:
        raise NotAllowed(
            f"job {job.ref} runs with a limit of {before:g} s: its owner may only shorten it",
            fix="Ask an admin to extend it.",
        )
    move(world, job, ev.EditAsked, State.RUNNING, now, _changes_text(event, limit))
    world.count_kind(job, -1)
    job.time_limit = limit
    world.count_kind(job, 1)
    job.deadline = job.warn_at = None
    if limit is not None:
        ran = now.wall - (job.started_wall or now.wall)
        world.set_deadline(job, now.boot + limit - ran)
    return []


def _changes_text(event: ev.EditAsked, limit: float | None) -> str:
    values = {
        "priority": event.priority,
        "gpus": event.need,
        "hold": event.hold,
    }
    changes = [f"{name} {value}" for name, value in values.items() if value is not None]
    if event.time_limit is not None:
        changes.append("no time limit" if limit is None else f"time limit {limit:g} s")
    if not changes:
        raise UserError("nothing to change", fix="Use --priority, --time, --gpus or --hold.")
    return f"{', '.join(changes)} (by {event.owner.name})"
