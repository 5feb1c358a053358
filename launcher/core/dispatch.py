"""Events in, actions out: ``handle`` changes the world and says what is to be done outside.

An event either raises and changes nothing, or is applied whole. Late events of old attempts are
dropped and counted (I11).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from launcher.core.jobs import (
    admission,
    attempts,
    control,
    dependencies,
    disk_use,
    images,
    interactive,
    notifications,
    own_images,
    pruning,
    pulled_images,
    xids,
)
from launcher.core.jobs.submit import submit_in_pieces
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action
from launcher.core.messages.changes import Drain
from launcher.core.mig import layout_executor, layout_requests
from launcher.core.model.layout_change import LayoutOp
from launcher.core.model.pieces import Pieces, whole
from launcher.core.scheduling import reservation_windows, time_limits
from launcher.core.scheduling.preemption import preempt
from launcher.core.scheduling.scheduler import schedule
from launcher.core.world.clock_step import keep_pace
from launcher.core.world.inventory import take_inventory
from launcher.core.world.usage import record_capacity
from launcher.core.world.world import World
from launcher.errors import UserError


def handle(world: World, event: ev.Event, now: ev.Now) -> list[Action]:
    """Apply one event and return the actions it asks for.

    Raises ``UserError``, ``NotAllowed``, ``NoSuchJob`` or ``StaleRequest`` where the event is a
    request that cannot be granted, ``InvalidTransition`` where it fits no state: then nothing is
    changed.
    """
    return decide(world, event, now)[1]


def decide(world: World, event: ev.Event, now: ev.Now) -> tuple[Any, list[Action]]:
    """As ``handle``, with the reply to the caller: jobs, a layout change, or None."""
    return whole(decide_in_pieces(world, event, now))


def decide_in_pieces(
    world: World, event: ev.Event, now: ev.Now
) -> Pieces[tuple[Any, list[Action]]]:
    """As ``decide``; what means many jobs comes in pieces. Nothing else is decided meanwhile."""
    answer: Any = None
    keep_pace(world, now)
    match event:
        case ev.Submitted():
            answer, actions = yield from submit_in_pieces(world, event, now)
        case ev.RetryAsked():
            actions = yield from control.retry(world, event, now)
        case ev.ImagesMeasured():
            answer, actions = pulled_images.expired(world, event, now), []
        case ev.PruneAsked():
            answer, actions = pruning.prune(world, event, now), []
        case ev.LayoutAsked():
            answer, actions = _layout(world, event, now)
        case ev.HoldAsked() | ev.ReleaseAsked() | ev.EditAsked() | ev.RequeueAsked():
            control.check_changes(world, event.job)
            actions = _HANDLERS[type(event)](world, event, now)
            control.count_change(world, event.job)
        case _:
            handler: Callable[[World, Any, ev.Now], list[Action]] = _HANDLERS[type(event)]
            actions = handler(world, event, now)
    return answer, actions + dependencies.settle(world, now) + layout_executor.freed(world, now)


def serve(world: World, now: ev.Now) -> list[Action]:
    """Start what can start now, and let what is in the way of others give way."""
    keep_pace(world, now)
    return schedule(world, now) + preempt(world, now)


def _layout(world: World, event: ev.LayoutAsked, now: ev.Now) -> tuple[LayoutOp, list[Action]]:
    op = layout_requests.start(world, event, now)
    actions: list[Action] = []
    if event.busy.cancels:
        leases = (world.slices[uuid].lease for uuid in op.changing)
        for job in sorted({lease.job for lease in leases if lease is not None}):
            actions += control.cancel(world, ev.CancelAsked(job, event.owner.uid), now)
    return op, actions


def _drain(world: World, event: ev.DrainAsked, now: ev.Now) -> list[Action]:
    if all(event.uuid not in known for known in (world.slices, world.gpus, world.drains)):
        raise UserError(
            f"there is no slice or GPU {event.uuid}", fix="`launch slices` lists those there are."
        )
    reason, owner = event.reason, event.owner
    drain = None if reason is None else Drain(event.uuid, reason, owner, now.wall)
    world.set_drain(event.uuid, drain)
    request = event.uuid if reason is None else f"{event.uuid}: {reason}"
    layout_requests.note(world, owner, "undrain" if reason is None else "drain", request, now)
    return []


def _noted(world: World, event: ev.LayoutNoted, now: ev.Now) -> list[Action]:
    layout_requests.note(world, event.owner, event.verb, event.request, now)
    return []


def _inventory(world: World, event: ev.InventoryRead, now: ev.Now) -> list[Action]:
    world.gpu_down = None
    take_inventory(world, event)
    record_capacity(world, now)
    layout_executor.arrived(world, now)
    return time_limits.idle(world, event.idle, now)


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
        world.clear_quarantine(event.uuid)
    return []


def _ids_seen(world: World, event: ev.IdsSeen, now: ev.Now) -> list[Action]:
    world.next_id = max(world.next_id, event.highest + 1)
    return []


def _reconciled(world: World, event: ev.Reconciled, now: ev.Now) -> list[Action]:
    world.reconciling = None
    return []


def _drained(world: World, event: ev.DaemonDrained, now: ev.Now) -> list[Action]:
    world.draining = "the daemon is draining: what runs goes on, nothing new starts"
    return []


def _tick(world: World, event: ev.Tick, now: ev.Now) -> list[Action]:
    if world.gpu_support and now.boot >= world.gpu_support_again:
        world.gpu_support = None
    return admission.admit_due(world, now) + time_limits.tick(world, now)


_HANDLERS: dict[type, Callable[[World, Any, ev.Now], list[Action]]] = {
    ev.CancelAsked: control.cancel,
    ev.RequeueAsked: control.requeue,
    ev.EditAsked: control.edit,
    ev.HoldAsked: admission.hold,
    ev.ReleaseAsked: admission.release,
    ev.SignalAsked: control.signal,
    ev.ImageResolved: images.resolved,
    ev.PullSettled: images.settled,
    ev.ImagesPublished: images.published,
    ev.ImagesGone: images.forget,
    ev.ImageMissing: images.missing,
    ev.ImageFailed: images.failed,
    ev.CredentialsMissing: images.without_credentials,
    ev.CredentialsGiven: images.with_credentials,
    ev.AttemptStarted: attempts.started,
    ev.StartFailed: attempts.start_failed,
    ev.AttemptEnded: attempts.ended,
    ev.AttemptLost: attempts.lost,
    ev.SlicesIdle: attempts.idle,
    ev.SliceStuck: attempts.stuck,
    ev.InventoryRead: _inventory,
    ev.InventoryFailed: _inventory_failed,
    ev.XidSeen: xids.seen,
    ev.EngineUp: _engine_up,
    ev.EngineDown: _engine_down,
    ev.QuarantineCleared: _clear_quarantine,
    ev.DrainAsked: _drain,
    ev.ReserveAsked: reservation_windows.reserve,
    ev.UnreserveAsked: reservation_windows.unreserve,
    ev.LayoutNoted: _noted,
    ev.LayoutCancelAsked: layout_executor.cancel,
    ev.LayoutStepDone: layout_executor.step_done,
    ev.LayoutStepFailed: layout_executor.step_failed,
    ev.LayoutSeen: layout_executor.seen,
    ev.IdsSeen: _ids_seen,
    ev.Reconciled: _reconciled,
    ev.DaemonDrained: _drained,
    ev.Tick: _tick,
    ev.DiskJudged: disk_use.judged,
    ev.TerminalsSeen: interactive.unused,
    ev.ImageRemoved: pulled_images.removed,
    ev.OwnImageLoaded: own_images.loaded,
    ev.OwnImageRemoved: own_images.removed,
    ev.NotifyAsked: notifications.set_targets,
    ev.NotifyTestAsked: notifications.test,
    ev.NotifyReported: notifications.failed,
}


def handles() -> Sequence[type]:
    """Return every event type that ``handle`` knows."""
    return (ev.Submitted, ev.RetryAsked, ev.PruneAsked, ev.LayoutAsked, *_HANDLERS)
