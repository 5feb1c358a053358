"""The handlers of the API for layouts, drains and quarantines."""

from __future__ import annotations

import asyncio
import functools

from launcher import wire
from launcher.core.messages import events as ev
from launcher.core.mig.layout_requests import plans
from launcher.core.model.layout_change import Busy, LayoutOp, OpState
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.handlers.layout_requests import also_gone, find_gpu, target_layouts
from launcher.daemon.api.views.layout_views import change_view, gpu_views, plan_view, profile_views
from launcher.daemon.api.views.slice_use import with_use
from launcher.daemon.loop import audit_log
from launcher.daemon.machine.contained import must_be_able_to_change_layouts
from launcher.daemon.users.identity import Caller
from launcher.errors import NoSuchJob, StaleRequest
from launcher.store import Reader

PENDING_SECONDS = 1.0
"""The pause between two answers to a client that goes on waiting for a pending change."""


async def show(context: Context, caller: Caller) -> list[wire.GpuView]:
    """Return every GPU with its instances."""
    return gpu_views(context.world)


async def profiles(context: Context, caller: Caller, *, gpu: str | None) -> list[wire.ProfileView]:
    """Return the profiles that the GPUs offer, with how many more of each fit now."""
    world = context.world
    chosen = [find_gpu(world, gpu)] if gpu else [g for g in world.gpus.values() if g.mig_capable]
    result: list[wire.ProfileView] = []
    for gpu_ in sorted(chosen, key=lambda g: g.index):
        capacity = functools.partial(context.gpu.capacity, gpu_.uuid)
        fit = await context.users.run(caller.uid, capacity) if gpu_.mig_current else {}
        result += profile_views(gpu_, fit)
    return result


async def plan(context: Context, caller: Caller, request: wire.LayoutRequest) -> wire.LayoutPlan:
    """Return the steps of a change, without changing anything."""
    targets = target_layouts(context.world, request)
    return plan_view(context.world, targets, plans(context.world, targets))


def is_empty(planned: wire.LayoutPlan) -> bool:
    """Return whether a change has nothing to do."""
    todo = (planned.destroy, planned.create, planned.complete, planned.modes)
    return not any(todo)


async def change(
    context: Context, caller: Caller, request: wire.LayoutRequest
) -> wire.LayoutChange:
    """Start a change; it continues even if no client waits for it."""
    audit_log.about(detail=request.request)
    must_be_able_to_change_layouts(context.container, fake_gpu=context.health.fake_gpu)
    targets = target_layouts(context.world, request)
    description = request.request + also_gone(context.world, request)
    event = ev.LayoutAsked(caller.owner, request.verb, description, targets, Busy(request.busy))
    return change_view(await context.event_loop.request(event))


async def changes(context: Context, caller: Caller, *, most: int) -> list[wire.LayoutChange]:
    """Return the last changes, newest first."""
    layout_changes = await context.committer.read(Reader.layouts, most)
    return [change_view(op, context.health.unrefreshed(op.id)) for op in layout_changes]


async def wait_for_change(
    context: Context, caller: Caller, op_id: int, *, seconds: float
) -> wire.LayoutChange:
    """Return a change when it has ended or waits for a reboot, or its state after the time.

    One that waited for a reboot already is returned after a moment: clients of version 0.1.0 know
    no such state, and would ask again at once.
    """
    loop = asyncio.get_running_loop()
    was_pending = (await _find(context, op_id)).state is OpState.PENDING
    until = loop.time() + (min(seconds, PENDING_SECONDS) if was_pending else seconds)
    while True:
        changed = context.subscriptions.layout_changed
        op = await _find(context, op_id)
        left = until - loop.time()
        over = op.state is OpState.DONE or (op.state is OpState.PENDING and not was_pending)
        if over or left <= 0:
            return change_view(op, context.health.unrefreshed(op.id))
        try:
            async with asyncio.timeout(left):
                await changed.wait()
        except TimeoutError:
            continue


async def _find(context: Context, op_id: int) -> LayoutOp:
    if (now := context.world.layouts.get(op_id)) is not None:
        return now
    layout_op = await context.committer.read(Reader.layout, op_id)
    if layout_op is None:
        raise NoSuchJob(f"layout change {op_id} does not exist")
    return layout_op


async def cancel(context: Context, caller: Caller, op_id: int) -> wire.LayoutChange:
    """Cancel a change that still waits."""
    audit_log.about(detail=f"change {op_id}")
    await _find(context, op_id)
    await context.event_loop.request(ev.LayoutCancelAsked(op_id))
    return change_view(await _find(context, op_id))


async def drain(
    context: Context, caller: Caller, ref: str, asked: wire.DrainRequest
) -> list[wire.SliceView]:
    """Drain a slice or a whole GPU, or (reason None) put it back into use."""
    from launcher.daemon.api.views import job_views

    world, reason = context.world, asked.reason
    known = ref in world.slices or ref in world.drains or ref.startswith("MIG-")
    uuid = ref if known else find_gpu(world, ref).uuid
    audit_log.about(detail=f"undrain {uuid}" if reason is None else f"drain {uuid}: {reason}")
    if reason is None:
        await _end_quarantines(context, caller, uuid)
    await context.event_loop.request(ev.DrainAsked(caller.owner, uuid, reason))
    views = [v for v in job_views.slice_views(context.world) if uuid in (v.uuid, v.gpu)]
    return with_use(views, context.world, caller, context.measuring.sampler.of)


async def _end_quarantines(context: Context, caller: Caller, uuid: str) -> None:
    """End the quarantines of a slice, or of all slices of a GPU, if each is proven clean."""
    states = [s for s in context.world.slices.values() if uuid in (s.slice.uuid, s.slice.gpu_uuid)]
    quarantined = [state for state in states if state.quarantine]
    bad: list[str] = []
    for state in quarantined:
        holder = None if state.lease is None else context.world.ref(state.lease.job)
        why = None if holder is None else f"job {holder} is on it"
        why = why or await context.users.run(caller.uid, context.idle_check.probe, state.slice)
        if why is not None:
            bad.append(f"{state.slice.uuid} stays quarantined ({state.quarantine}): {why}")
    if bad:
        raise StaleRequest(
            "; ".join(bad),
            fix="Fix that (`launch doctor` names the processes on a slice), then try again.",
        )
    for state in quarantined:
        await context.event_loop.request(ev.QuarantineCleared(state.slice.uuid))
