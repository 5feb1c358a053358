"""Events in, actions out: ``handle`` changes the world and says what is to be done outside.

An event either raises and changes nothing, or is applied whole. Late events of old attempts are
dropped and counted (I11).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from launcher.core import attempts, gates, images, layoutrun, layouts, policy
from launcher.core import event as ev
from launcher.core.action import Action, SignalAttempt
from launcher.core.explain import check_possible
from launcher.core.job import Dependency, Job, Outcome, Reason, State
from launcher.core.layoutop import LayoutOp
from launcher.core.steps import finish, move, stop
from launcher.core.world import Drain, World
from launcher.errors import LauncherError, NoSuchJob, StaleRequest, UserError

GPU_SUPPORT_RETRY_SECONDS = 10.0


def handle(world: World, event: ev.Event, now: ev.Now) -> list[Action]:
    """Apply one event and return the actions it asks for.

    Raises ``UserError``, ``NotAllowed``, ``NoSuchJob`` or ``StaleRequest`` where the event is a
    request that cannot be granted, ``InvalidTransition`` where it fits no state: then nothing is
    changed.
    """
    return decide(world, event, now)[1]


def decide(world: World, event: ev.Event, now: ev.Now) -> tuple[Any, list[Action]]:
    """As ``handle``, with what whoever asked is answered: jobs, a layout change, or None."""
    answer: Any = None
    match event:
        case ev.Submitted():
            answer, actions = submit(world, event, now)
        case ev.LayoutAsked():
            answer, actions = _layout(world, event, now)
        case _:
            handler: Callable[[World, Any, ev.Now], list[Action]] = _HANDLERS[type(event)]
            actions = handler(world, event, now)
    return answer, actions + gates.settle(world, now) + layoutrun.freed(world, now)


def submit(world: World, event: ev.Submitted, now: ev.Now) -> tuple[list[Job], list[Action]]:
    """Queue all jobs of a submit or none; returns them with the actions.

    With ``dry_run`` everything is checked and the jobs, with id 0, go nowhere.
    """
    for new in event.jobs:
        try:
            policy.check(new.spec, event.owner)
            check_possible(world, new.spec.need)
        except LauncherError as refused:
            if len(event.jobs) > 1:
                refused.message = f"{new.spec.name}: {refused.message}"
            raise
    gates.check_cycles(event.jobs)
    if event.dry_run:
        return [_job(0, new, event.owner, now) for new in event.jobs], []
    made: list[Job] = []
    actions: list[Action] = []
    first = world.next_id
    for new in event.jobs:
        job = _job(world.next_id, new, event.owner, now)
        job.waits_for = _waits_for(world, new, first)
        world.next_id += 1
        world.add(job)
        world.changes.new_jobs.append((job, new.document))
        world.note(job, now.wall, "submitted", f"by {event.owner.name}")
        made.append(job)
    for job, new in zip(made, event.jobs, strict=True):
        missed = _missed(world, new)
        if missed is not None:
            actions += gates.never(world, job, *missed, now)
        else:
            actions += gates.admit(world, job, now)
    return made, actions


def _waits_for(world: World, new: ev.NewJob, first: int) -> tuple[Dependency, ...]:
    """Return what a new job still has to wait for."""
    beside = [Dependency(first + index, after) for index, after in new.beside]
    others = [d for d, ended in new.after if _end_of(world, d, ended) is None]
    return tuple(dict.fromkeys([*beside, *others]))


def _end_of(world: World, dependency: Dependency, told: Outcome | None) -> Outcome | None:
    live = world.jobs.get(dependency.job)
    if live is None and told is None:
        raise StaleRequest(
            f"job {dependency.job} ended just now", fix="Submit again: its end is known then."
        )
    return told if live is None else live.outcome


def _missed(world: World, new: ev.NewJob) -> tuple[Dependency, Outcome] | None:
    """Return a dependency that has ended already, and otherwise than was asked."""
    for dependency, told in new.after:
        outcome = _end_of(world, dependency, told)
        if outcome is not None and not dependency.after.holds(outcome):
            return dependency, outcome
    return None


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
        begin=spec.begin,
        held=Reason.JOB_HELD_USER if spec.hold else None,
    )


def _layout(world: World, event: ev.LayoutAsked, now: ev.Now) -> tuple[LayoutOp, list[Action]]:
    op = layouts.begin(world, event, now)
    actions: list[Action] = []
    if event.busy.cancels:
        leases = (world.slices[uuid].lease for uuid in op.changing)
        for job in sorted({lease.job for lease in leases if lease is not None}):
            actions += _cancel(world, ev.CancelAsked(job, event.owner.uid), now)
    return op, actions


def _drain(world: World, event: ev.DrainAsked, now: ev.Now) -> list[Action]:
    if all(event.uuid not in known for known in (world.slices, world.gpus, world.drains)):
        raise UserError(
            f"there is no slice or GPU {event.uuid}", fix="`launch slices` lists those there are."
        )
    reason, owner = event.reason, event.owner
    drain = None if reason is None else Drain(event.uuid, reason, owner, now.wall)
    world.set_drain(event.uuid, drain)
    what = event.uuid if reason is None else f"{event.uuid}: {reason}"
    layouts.note(world, owner, "undrain" if reason is None else "drain", what, now)
    return []


def _noted(world: World, event: ev.LayoutNoted, now: ev.Now) -> list[Action]:
    layouts.note(world, event.owner, event.verb, event.request, now)
    return []


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
    world.take_inventory(event)
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
    actions: list[Action] = gates.begin(world, now)
    while (at := world.next_deadline()) is not None and at <= now.boot:
        job = next(world.jobs[i] for t, i in world.deadlines if t == at and i in world.jobs)
        job.deadline = None
        if job.state is State.RUNNING and not job.stopping:
            move(world, job, ev.Tick, State.RUNNING, now, f"time limit of {job.time_limit:g} s")
            job.timed_out = True
            actions += stop(world, job)
    return actions


_HANDLERS: dict[type, Callable[[World, Any, ev.Now], list[Action]]] = {
    ev.CancelAsked: _cancel,
    ev.HoldAsked: gates.hold,
    ev.ReleaseAsked: gates.release,
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
    ev.DrainAsked: _drain,
    ev.LayoutNoted: _noted,
    ev.LayoutCancelAsked: layoutrun.cancel,
    ev.LayoutStepDone: layoutrun.step_done,
    ev.LayoutStepFailed: layoutrun.step_failed,
    ev.LayoutSeen: layoutrun.seen,
    ev.Reconciled: _reconciled,
    ev.Tick: _tick,
}


def handles() -> Sequence[type]:
    """Return every event type that ``handle`` knows."""
    return (ev.Submitted, ev.LayoutAsked, *_HANDLERS)
