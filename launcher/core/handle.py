"""Events in, actions out: ``handle`` changes the world and says what is to be done outside.

An event either raises and changes nothing, or is applied whole. Late events of old attempts are
dropped and counted (I11).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from launcher.core import attempts, images, policy
from launcher.core import event as ev
from launcher.core.action import Action, SignalAttempt
from launcher.core.explain import check_possible
from launcher.core.job import Job, Outcome, State
from launcher.core.steps import finish, move, stop
from launcher.core.world import World
from launcher.errors import NoSuchJob, StaleRequest

GPU_SUPPORT_RETRY_SECONDS = 60.0


def handle(world: World, event: ev.Event, now: ev.Now) -> list[Action]:
    """Apply one event and return the actions it asks for.

    Raises ``UserError``, ``NotAllowed``, ``NoSuchJob`` or ``StaleRequest`` where the event is a
    request that cannot be granted, ``InvalidTransition`` where it fits no state: then nothing is
    changed.
    """
    handler: Callable[[World, Any, ev.Now], list[Action]] = _HANDLERS[type(event)]
    return handler(world, event, now)


def submit(world: World, event: ev.Submitted, now: ev.Now) -> tuple[list[Job], list[Action]]:
    """Queue all jobs of a submit or none; returns them with the actions.

    With ``dry_run`` everything is checked and the jobs, with id 0, go nowhere.
    """
    for new in event.jobs:
        policy.check(new.spec, event.owner)
        check_possible(world, new.spec.need)
    if event.dry_run:
        return [_job(0, new, event.owner, now) for new in event.jobs], []
    made: list[Job] = []
    actions: list[Action] = []
    for new in event.jobs:
        job = _job(world.next_id, new, event.owner, now)
        world.next_id += 1
        world.add(job)
        world.changes.new_jobs.append((job, new.document))
        world.note(job, now.wall, "submitted", f"by {event.owner.name}")
        actions += images.want(world, job)
        made.append(job)
    return made, actions


def _job(job_id: int, new: ev.NewJob, owner: Any, now: ev.Now) -> Job:
    spec = new.spec
    return Job(
        id=job_id,
        owner=owner,
        name=spec.name,
        need=spec.need,
        image=new.image,
        priority=spec.priority,
        submitted_at=now.wall,
        time_limit=spec.time_limit,
        stop_grace=spec.stop_grace,
    )


def _submitted(world: World, event: ev.Submitted, now: ev.Now) -> list[Action]:
    return submit(world, event, now)[1]


def _cancel(world: World, event: ev.CancelAsked, now: ev.Now) -> list[Action]:
    job = _live(world, event.job)
    if job.state is State.PENDING:
        images.forget_waiter(world, job)
        job.cancelled_by = event.uid
        finish(world, job, ev.CancelAsked, Outcome.CANCELLED, now)
        return []
    if job.cancelled_by is None and job.state is not State.COMPLETING:
        job.cancelled_by = event.uid
        world.note(job, now.wall, "cancel asked", f"by uid {event.uid}")
    return stop(world, job) if job.state is State.RUNNING else []


def _signal(world: World, event: ev.SignalAsked, now: ev.Now) -> list[Action]:
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


def _inventory(world: World, event: ev.InventoryRead, now: ev.Now) -> list[Action]:
    world.gpu_down = None
    world.take_inventory(event.inventory, dict(event.foreign))
    return []


def _inventory_failed(world: World, event: ev.InventoryFailed, now: ev.Now) -> list[Action]:
    world.gpu_down = event.message
    return []


def _engine_up(world: World, event: ev.EngineUp, now: ev.Now) -> list[Action]:
    world.engine_down = None
    world.gpu_support = None
    return []


def _engine_down(world: World, event: ev.EngineDown, now: ev.Now) -> list[Action]:
    world.engine_down = event.message
    return []


def _clear_quarantine(world: World, event: ev.QuarantineCleared, now: ev.Now) -> list[Action]:
    if event.uuid in world.slices:
        world.set_quarantine(event.uuid, None)
    return []


def _reconciled(world: World, event: ev.Reconciled, now: ev.Now) -> list[Action]:
    world.reconciling = None
    return []


def _tick(world: World, event: ev.Tick, now: ev.Now) -> list[Action]:
    if world.gpu_support and now.boot - world.gpu_support_at > GPU_SUPPORT_RETRY_SECONDS:
        world.gpu_support = None
    actions: list[Action] = []
    while (at := world.next_deadline()) is not None and at <= now.boot:
        job = next(world.jobs[i] for t, i in world.deadlines if t == at and i in world.jobs)
        job.deadline = None
        if job.state is State.RUNNING and not job.stopping:
            move(world, job, ev.Tick, State.RUNNING, now, f"time limit of {job.time_limit:g} s")
            job.timed_out = True
            actions += stop(world, job)
    return actions


_HANDLERS: dict[type, Callable[[World, Any, ev.Now], list[Action]]] = {
    ev.Submitted: _submitted,
    ev.CancelAsked: _cancel,
    ev.SignalAsked: _signal,
    ev.ImageResolved: images.resolved,
    ev.ImageMissing: images.missing,
    ev.ImageFailed: images.failed,
    ev.AttemptStarted: attempts.started,
    ev.StartFailed: attempts.start_failed,
    ev.AttemptEnded: attempts.ended,
    ev.AttemptLost: attempts.lost,
    ev.SlicesIdle: attempts.idle,
    ev.SliceStuck: attempts.stuck,
    ev.InventoryRead: _inventory,
    ev.InventoryFailed: _inventory_failed,
    ev.EngineUp: _engine_up,
    ev.EngineDown: _engine_down,
    ev.QuarantineCleared: _clear_quarantine,
    ev.Reconciled: _reconciled,
    ev.Tick: _tick,
}


def handles() -> Sequence[type]:
    """Return every event type that ``handle`` knows."""
    return tuple(_HANDLERS)
