"""The basic steps of every handler: move a job, end it, find the job of an event."""

from __future__ import annotations

from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action, FollowAttempt, KillAttempt, StopAttempt
from launcher.core.model.job import Job, Outcome, Reason, State
from launcher.core.policy.policy import stop_grace
from launcher.core.world import lifecycle
from launcher.core.world.world import World


def move(world: World, job: Job, event: type, to: State, now: ev.Now, detail: str = "") -> None:
    """Move the job to a state if the table allows it, and record that in its history."""
    story = world.stories.setdefault(job.id, [])
    lifecycle.check(job, event, to, story)
    job.state = to
    story.append(f"{event.__name__} -> {to.value}")
    world.note(job, now.wall, event.__name__, detail)


def finish(
    world: World,
    job: Job,
    event: type,
    outcome: Outcome,
    now: ev.Now,
    reason: Reason | None = None,
    message: str | None = None,
) -> None:
    """End a job that holds no slices."""
    move(world, job, event, State.DONE, now, message or outcome.value)
    job.outcome, job.reason, job.message = outcome, reason, message
    world.ended.append((job.id, outcome))
    world.forget(job)


def stop(world: World, job: Job, now: ev.Now) -> list[Action]:
    """Return the action that stops the job's container, and set the time of its kill.

    An attempt is stopped once: later reasons do not prolong its grace period.
    """
    if job.kill_now:
        return kill(world, job, now, "requested before")
    if job.kill_at is not None:
        return []
    grace = stop_grace(world.rules.policy, job.owner, job.stop_grace)
    world.set_kill(job, now.boot + grace)
    attempt = world.attempts[job.id]
    return [StopAttempt(job.id, job.attempt, attempt.container_name, attempt.container_id)]


def kill(world: World, job: Job, now: ev.Now, why: str) -> list[Action]:
    """Return the action that kills the job's container, which has no grace period left."""
    job.kill_now, job.kill_at = True, None
    world.note(job, now.wall, "killed", why)
    attempt = world.attempts[job.id]
    return [KillAttempt(job.id, job.attempt, attempt.container_name, attempt.container_id)]


def current(world: World, job_id: int, attempt: int, event: type) -> Job | None:
    """Return the job if the event belongs to its live attempt; otherwise count it as late (I11).

    Raises ``InvalidTransition``, before any change, if the pair is not in the table.
    """
    job = world.jobs.get(job_id)
    if job is None or job.attempt != attempt or _is_repeated(job, event):
        world.late_events += 1
        return None
    if not lifecycle.allowed(job.state, event):
        lifecycle.check(job, event, job.state, world.stories.get(job_id, ()))
    return job


def _is_repeated(job: Job, event: type) -> bool:
    """Whether observers may report this twice: a sweep and a wait can observe the same end."""
    if event in (ev.AttemptEnded, ev.AttemptLost):
        return job.state in (State.COMPLETING, State.PENDING)
    return event is ev.AttemptStarted and job.state in (State.RUNNING, State.COMPLETING)


def follow(world: World, job: Job) -> FollowAttempt:
    """Return the action that watches the job's container."""
    attempt = world.attempts[job.id]
    name, container = attempt.container_name, attempt.container_id
    return FollowAttempt(job.id, job.attempt, name, job.slices, container)
