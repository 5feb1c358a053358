"""The effects of an attempt's events on its job: started, refused, ended, lost, proven free."""

from __future__ import annotations

from launcher.core.jobs import admission, failing_slices, retries
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action, ProveIdle, RemoveContainer
from launcher.core.messages.events import StartFailure
from launcher.core.messages.published import EventType
from launcher.core.model.job import Job, Outcome, Reason, State, short_id, wall_of
from launcher.core.world.publishing import publish_job
from launcher.core.world.transitions import current, follow, move, stop
from launcher.core.world.world import FIRST_WAIT_SECONDS, World

MAX_STARTS_NEVER_STARTED = 3
"""A job is held after this many refused starts; faults of the whole machine do not count."""
LONGEST_WAIT_SECONDS = 300.0
"""The maximum interval between tests of whether Docker provides GPUs again."""


def started(world: World, event: ev.AttemptStarted, now: ev.Now) -> list[Action]:
    """Follow a running container, and stop it if a stop was requested meanwhile."""
    job = current(world, event.job, event.attempt, ev.AttemptStarted)
    if job is None:
        return []
    move(world, job, ev.AttemptStarted, State.RUNNING, now, short_id(event.container_id))
    job.container_id, job.started_at, job.started_wall = (
        event.container_id,
        event.started_at,
        now.wall,
    )
    world.started.append(job.id)
    job.idle_since = job.deadline = job.warn_at = job.kill_at = None
    attempt = world.attempts[job.id]
    attempt.container_id, attempt.started_at = event.container_id, event.started_at
    attempt.boot = world.boot
    world.changes.attempts[(job.id, attempt.number)] = attempt
    if job.time_limit is not None:
        world.set_deadline(job, now.boot + job.time_limit)
    if world.leases.get(job.id):
        world.gpu_support_wait = FIRST_WAIT_SECONDS
        failing_slices.worked(world, job.slices)
    actions: list[Action] = [follow(world, job)]
    return actions + stop(world, job, now) if job.stopping else actions


def start_failed(world: World, event: ev.StartFailed, now: ev.Now) -> list[Action]:
    """Handle a start without a container: a user's error ends the job, others queue it again."""
    job = current(world, event.job, event.attempt, ev.StartFailed)
    if job is None:
        return []
    failing_slices.failed(world, event, now)
    attempt = world.attempts[job.id]
    attempt.cause, attempt.exit_code = event.message, event.exit_code
    world.changes.attempts[(job.id, attempt.number)] = attempt
    remove = RemoveContainer(job.id, job.attempt, attempt.container_name)
    if job.cancelled_by is not None:
        return _complete(world, job, ev.StartFailed, Outcome.CANCELLED, now, event.message)
    match event.failure:
        case StartFailure.USER:
            job.exit_code = event.exit_code
            return _complete(world, job, ev.StartFailed, Outcome.FAILED, now, event.message)
        case StartFailure.TAMPERED:
            actions = _complete(world, job, ev.StartFailed, Outcome.LOST, now, event.message)
            for lease in list(world.leases.get(job.id, ())):
                world.release(lease, now.wall, quarantine=event.message, lasting=True)
            actions += _leave_if_free(world, job, ev.SliceStuck, now)
            return [a for a in actions if not isinstance(a, ProveIdle)]
    _close_gate(world, event, now)
    return [remove, *_requeue(world, job, event, now)]


def _close_gate(world: World, event: ev.StartFailed, now: ev.Now) -> None:
    """Prevent the same failure for the next job."""
    match event.failure:
        case StartFailure.ENGINE_AWAY:
            world.engine_down = event.message
        case StartFailure.NO_GPU_SUPPORT:
            world.gpu_support = event.message
            world.gpu_support_again = now.boot + world.gpu_support_wait
            world.gpu_support_wait = min(2 * world.gpu_support_wait, LONGEST_WAIT_SECONDS)
        case StartFailure.GPU_AWAY if event.slice in world.slices:
            world.slices[event.slice].silent = event.message  # until the next observation
        case StartFailure.SLICE_CHANGED if event.slice in world.slices:
            world.slices[event.slice].lost = True
        case StartFailure.FOREIGN if event.slice in world.slices:
            world.slices[event.slice].foreign = event.message


def _requeue(world: World, job: Job, event: ev.StartFailed, now: ev.Now) -> list[Action]:
    detail = f"{event.failure.value}: {event.message}"
    move(world, job, ev.StartFailed, State.PENDING, now, detail)
    for lease in list(world.leases.get(job.id, ())):
        world.release(lease, now.wall)
    world.release_cpu(job, now.wall)
    world.deactivate(job)
    job.slices, job.message, job.again, job.stop_asked = (), event.message, None, None
    publish_job(world, EventType.JOB_REQUEUED, job, now.wall)
    job.kill_now = False
    if event.failure in (StartFailure.INFRA, StartFailure.SLICE_CHANGED):
        job.never_started += 1
        if job.never_started >= MAX_STARTS_NEVER_STARTED:
            job.held = Reason.NEVER_STARTED
    return admission.admit(world, job, now, look_again=event.failure is StartFailure.IMAGE_GONE)


def _outcome(job: Job, exit_code: int, oom: bool) -> Outcome:
    if job.cancelled_by is not None:
        return Outcome.CANCELLED
    if job.timed_out:
        return Outcome.TIMEOUT
    return _own_outcome(exit_code, oom)


def _ended_by_itself(job: Job, ended_at: str | None) -> bool:
    """Whether the container had ended, by Docker's clock, before a stop was requested."""
    ended = wall_of(ended_at)
    return job.stop_asked is not None and ended is not None and ended < job.stop_asked


def _own_outcome(exit_code: int, oom: bool) -> Outcome:
    if exit_code == 0:
        return Outcome.COMPLETED
    return Outcome.OUT_OF_MEMORY if oom else Outcome.FAILED


def ended(world: World, event: ev.AttemptEnded, now: ev.Now) -> list[Action]:
    """Record outcome and exit code of a container that was inspected as stopped."""
    job = current(world, event.job, event.attempt, ev.AttemptEnded)
    if job is None:
        return []
    attempt = world.attempts[job.id]
    attempt.exit_code, attempt.oom = event.exit_code, event.oom
    attempt.ended_at, attempt.measured = event.ended_at, event.measured
    attempt.started_at = event.started_at or attempt.started_at
    job.exit_code, job.ended_at = event.exit_code, event.ended_at
    job.started_at = event.started_at or job.started_at
    if _ended_by_itself(job, event.ended_at):
        job.timed_out, job.again, job.message = False, None, None
        outcome = _own_outcome(event.exit_code, event.oom)
    else:
        outcome = _outcome(job, event.exit_code, event.oom)
    message = event.message or _killed_by_others(job, event)
    actions = _complete(world, job, ev.AttemptEnded, outcome, now, message)
    return _prove(world, job, actions, event.idle, now)


def _killed_by_others(job: Job, event: ev.AttemptEnded) -> str | None:
    """Return a message if a signal that the launcher did not send ended a job."""
    signal = {137: "SIGKILL", 143: "SIGTERM"}.get(event.exit_code)
    if signal is None or event.oom or job.stopping:
        return None
    return f"it ended as by {signal}, which the launcher did not send (docker kill, or the program)"


def lost(world: World, event: ev.AttemptLost, now: ev.Now) -> list[Action]:
    """Mark a job with an unknown end as LOST; its slices still need their proof."""
    job = current(world, event.job, event.attempt, ev.AttemptLost)
    if job is None:
        return []
    attempt = world.attempts[job.id]
    attempt.cause, attempt.measured = event.message, event.measured
    attempt.container_id = attempt.container_id or event.container_id
    if job.state is State.STARTING:  # it may have started in this boot, whenever it was granted
        attempt.boot = world.boot
    attempt.started_at = event.started_at or attempt.started_at
    job.started_at = event.started_at or job.started_at
    attempt.ended_at = job.ended_at = event.ended_at
    outcome = Outcome.TIMEOUT if job.timed_out else Outcome.LOST
    if job.cancelled_by is not None:
        outcome = Outcome.CANCELLED
    actions = _complete(world, job, ev.AttemptLost, outcome, now, event.message)
    return _prove(world, job, actions, event.idle, now)


def _complete(
    world: World, job: Job, event: type, outcome: Outcome, now: ev.Now, message: str | None
) -> list[Action]:
    """Enter COMPLETING; return the actions that prove the slices free and remove the container."""
    used = job.retried
    job.again = retries.again(job, outcome, job.exit_code)
    if job.retries is not None and job.retried > used:
        job.begin = now.wall + retries.delay(job.retries, job.retried)
    limit = job.message if job.stopping else None
    job.message = job.again or message or limit
    job.deadline = job.warn_at = job.kill_at = None
    code = "" if job.exit_code is None else f" exit {job.exit_code}"
    move(world, job, event, State.COMPLETING, now, f"{outcome.value}{code}")
    if job.again is None:
        job.outcome = outcome
        world.ended.append((job.id, outcome))
    attempt = world.attempts[job.id]
    attempt.cause = attempt.cause or job.again or (None if job.outcome else message)
    world.changes.attempts[(job.id, attempt.number)] = attempt
    name = attempt.container_name
    actions: list[Action] = [RemoveContainer(job.id, job.attempt, name)]
    if leases := world.leases.get(job.id):
        uuids = tuple(lease.slice.uuid for lease in leases)
        actions.append(ProveIdle(job.id, job.attempt, name, attempt.container_id, uuids, job.ref))
    else:
        world.release_cpu(job, now.wall)
        actions += _leave_if_free(world, job, ev.SlicesIdle, now)
    return actions


def _prove(
    world: World, job: Job, actions: list[Action], proven: tuple[str, ...], now: ev.Now
) -> list[Action]:
    """Use the proof that came with the end, and request only what is missing."""
    if proven and job.id in world.jobs:
        actions = actions + idle(world, ev.SlicesIdle(job.id, job.attempt, proven), now)
        if not world.leases.get(job.id):
            return [a for a in actions if not isinstance(a, ProveIdle)]
    return actions


def idle(world: World, event: ev.SlicesIdle, now: ev.Now) -> list[Action]:
    """Release the slices that are proven free: stopped by inspect, and without a process (I2)."""
    job = current(world, event.job, event.attempt, ev.SlicesIdle)
    if job is None:
        return []
    for lease in list(world.leases.get(job.id, ())):
        if lease.slice.uuid in event.uuids:
            world.release(lease, now.wall)
    return _leave_if_free(world, job, ev.SlicesIdle, now)


def stuck(world: World, event: ev.SliceStuck, now: ev.Now) -> list[Action]:
    """Quarantine a slice that could not be proven free; the job itself has ended."""
    job = current(world, event.job, event.attempt, ev.SliceStuck)
    if job is None:
        return []
    for lease in list(world.leases.get(job.id, ())):
        if lease.slice.uuid == event.uuid:
            world.release(lease, now.wall, quarantine=event.why)
    return _leave_if_free(world, job, ev.SliceStuck, now)


def _leave_if_free(world: World, job: Job, event: type, now: ev.Now) -> list[Action]:
    """Finish a job without leases: it is done, or queued again."""
    if job.state is not State.COMPLETING or world.leases.get(job.id):
        return []
    if job.again is not None:
        return _queue_again(world, job, event, now)
    move(world, job, event, State.DONE, now)
    world.forget(job)
    return []


def _queue_again(world: World, job: Job, event: type, now: ev.Now) -> list[Action]:
    """Make a job pending for its next attempt, after its backoff if it was a retry."""
    why, job.again = job.again, None
    move(world, job, event, State.PENDING, now, why or "")
    world.deactivate(job)
    job.slices, job.container_id, job.exit_code = (), None, None
    job.started_at = job.ended_at = job.started_wall = job.idle_since = None
    job.timed_out, job.stop_asked, job.kill_now = False, None, False
    publish_job(world, EventType.JOB_REQUEUED, job, now.wall)
    return admission.admit(world, job, now)
