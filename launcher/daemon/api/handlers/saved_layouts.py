"""Saved layouts: one without a name, which is restored after a reboot, and named ones."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict

from launcher import wire
from launcher.core.messages import events as ev
from launcher.core.mig.layout_requests import standing_on, under_way
from launcher.core.mig.planner import name_of
from launcher.core.model.compute_instances import counted
from launcher.core.model.gpu import Gpu
from launcher.core.model.layout_change import OpState, Want
from launcher.core.world.world import World
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.handlers.layouts import change
from launcher.daemon.loop import audit_log
from launcher.daemon.requests import convert
from launcher.daemon.users.identity import Caller
from launcher.errors import NoSuchJob, StaleRequest, UserError
from launcher.store import Reader

SAVED, NAMED = "saved_layout", "saved_layouts"
"""The store's keys of the layout without a name, and of those with one."""
MOST_NAMED = 64
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


async def current(context: Context, caller: Caller) -> list[wire.SavedGpu]:
    """Return the present layout."""
    return present(context.world)


def present(world: World) -> list[wire.SavedGpu]:
    """Return the present layout, in a form that can be restored."""
    gpus = sorted((g for g in world.gpus.values() if g.mig_capable), key=lambda g: g.index)
    return [_present(world, gpu) for gpu in gpus]


def _present(world: World, gpu: Gpu) -> wire.SavedGpu:
    places = [
        wire.LayoutSpec(profile=name, count=count, start=s.place.start)
        for s in standing_on(world, gpu.uuid)
        for name, count in counted(name_of(gpu, s.place.profile_id), s.place.cut)
    ]
    return wire.SavedGpu(gpu=gpu.uuid, index=gpu.index, mode=bool(gpu.mig_current), places=places)


def wanted(world: World) -> list[wire.SavedGpu]:
    """Return the present layout; of a GPU whose MIG mode is pending, what it will be."""
    return [_wanted(world, saved_gpu) for saved_gpu in present(world)]


def _wanted(world: World, now: wire.SavedGpu) -> wire.SavedGpu:
    gpu, op = world.gpus[now.gpu], world.layout_of(now.gpu)
    if op is not None and op.state is OpState.PENDING and gpu.uuid in op.pending:
        target = next(target for target in op.wishes if target.gpu_uuid == gpu.uuid)
        wants = tuple(target.wants or ()) if target.mode else ()
        places = [_spec(want) for want in wants]
        return wire.SavedGpu(gpu=gpu.uuid, index=gpu.index, mode=bool(target.mode), places=places)
    if gpu.mig_pending is not None and bool(gpu.mig_pending) is not now.mode:
        return wire.SavedGpu(gpu=gpu.uuid, index=gpu.index, mode=bool(gpu.mig_pending))
    return now


def _spec(want: Want) -> wire.LayoutSpec:
    return wire.LayoutSpec(profile=want.profile, count=want.count, start=want.start)


async def save(context: Context, caller: Caller, request: wire.SaveRequest) -> list[wire.SavedGpu]:
    """Store the wanted layout, or delete a stored one; return it.

    Raises ``StaleRequest`` if it is unknown now: a stored layout must not be overwritten then.
    """
    if request.delete:
        return await _delete(context, caller, request.name)
    world = context.world
    unknown = world.reconciling or world.gpu_down or next(iter(world.silent.values()), None)
    if unknown:
        raise StaleRequest(f"the present layout is unknown: {unknown}", fix="Save it later.")
    if (active := world.active_layout) is not None:
        raise StaleRequest(under_way(active), fix="Save the layout when it has ended.")
    layout = wanted(world)
    if not layout:
        raise UserError("none of the GPUs here supports MIG: there is no layout to save")
    await _store(context, request.name, layout)
    name = f" as {request.name}" if request.name else ""
    await _note(context, caller, "save", f"the current layout{name}")
    return layout


async def _store(context: Context, name: str | None, layout: list[wire.SavedGpu]) -> None:
    if name is None:
        gpus = [asdict(saved_gpu) for saved_gpu in layout]
        await context.committer.remember(SAVED, json.dumps(gpus))
        return
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name[:80]!r} is not a valid name of a layout",
            fix="Use up to 63 lower-case letters, digits and ._-",
        )
    await context.committer.revise(NAMED, lambda text: _with(text, name, layout))


def _with(text: str | None, name: str, layout: list[wire.SavedGpu]) -> str:
    """Return the stored text of the named layouts, with one more or another under its name."""
    named = _parsed(text)
    if name not in named and len(named) >= MOST_NAMED:
        raise UserError(
            f"{MOST_NAMED} layouts are saved, which is the limit",
            fix="`launch layout save NAME --delete` deletes one.",
        )
    return _text(named | {name: layout})


def _without(text: str | None, name: str) -> str:
    return _text({key: layout for key, layout in _parsed(text).items() if key != name})


def _parsed(text: str | None) -> dict[str, list[wire.SavedGpu]]:
    return convert.parse(dict[str, list[wire.SavedGpu]], (text or "{}").encode())


def _text(named: dict[str, list[wire.SavedGpu]]) -> str:
    return json.dumps({key: [asdict(gpu) for gpu in layout] for key, layout in named.items()})


async def _named(context: Context) -> dict[str, list[wire.SavedGpu]]:
    return _parsed(await context.committer.read(Reader.meta, NAMED))


async def _delete(context: Context, caller: Caller, name: str | None) -> list[wire.SavedGpu]:
    layout = await saved(context, caller, name=name)
    if name is None:
        await context.committer.remember(SAVED, "[]")
    else:
        await context.committer.revise(NAMED, lambda text: _without(text, name))
    await _note(context, caller, "delete", f"the saved layout {name or ''}".strip())
    return layout


async def _note(context: Context, caller: Caller, verb: str, request: str) -> None:
    audit_log.about(detail=request)
    await context.event_loop.request(ev.LayoutNoted(caller.owner, verb, request))


async def saved(
    context: Context, caller: Caller, *, name: str | None = None
) -> list[wire.SavedGpu]:
    """Return a stored layout; raises ``NoSuchJob`` if it was not saved."""
    if name is not None:
        named = await _named(context)
        if name not in named:
            raise NoSuchJob(
                f"no layout was saved as {name[:80]!r}",
                fix=f"Saved: {', '.join(sorted(named)) or 'none'}.",
            )
        return named[name]
    text = await context.committer.read(Reader.meta, SAVED)
    if text is None or text == "[]":
        raise NoSuchJob("no layout was saved", fix="`launch layout save` saves the current layout.")
    return convert.parse(list[wire.SavedGpu], text.encode())


async def list_saved(context: Context, caller: Caller) -> list[wire.SavedLayout]:
    """Return all stored layouts, first the one without a name."""
    named = await _named(context)
    text = await context.committer.read(Reader.meta, SAVED)
    unnamed = convert.parse(list[wire.SavedGpu], (text or "[]").encode())
    first = [wire.SavedLayout(name=None, gpus=unnamed)] if unnamed else []
    return [*first, *(wire.SavedLayout(name=name, gpus=named[name]) for name in sorted(named))]


async def restore(
    context: Context, caller: Caller, request: wire.RestoreRequest
) -> wire.LayoutChange:
    """Start a change to a stored layout."""
    layout = await saved(context, caller, name=request.name)
    return await change(context, caller, restoring(context.world, layout, request))


def _may_be_on(gpu: Gpu) -> bool:
    """Whether MIG mode is on, or will be after a reboot."""
    return bool(gpu.mig_current or gpu.mig_pending)


def restoring(
    world: World, layout: Sequence[wire.SavedGpu], request: wire.RestoreRequest | None = None
) -> wire.LayoutRequest:
    """Return the request that restores a stored layout, for the GPUs that are present.

    Raises ``UserError`` if none of its GPUs is.
    """
    here = [saved_gpu for saved_gpu in layout if saved_gpu.gpu in world.gpus]
    missing = [saved_gpu.gpu for saved_gpu in layout if saved_gpu.gpu not in world.gpus]
    if not here:
        raise UserError(
            f"the saved layout is for {', '.join(missing)}: none of these GPUs is present",
            fix="`launch layout show` lists the GPUs here.",
        )
    entries = [
        wire.LayoutEntry(
            gpus=[saved_gpu.gpu],
            specs=saved_gpu.places if saved_gpu.mode else None,
            exact=request is not None and request.exact,
            mode=saved_gpu.mode,
        )
        for saved_gpu in here
        if saved_gpu.mode or _may_be_on(world.gpus[saved_gpu.gpu])
    ]
    name = request.name if request is not None else None
    text = f"the saved layout{f' {name}' if name else ''}"
    text += f", but not of {', '.join(missing)}: missing" if missing else ""
    busy = "refuse" if request is None else request.busy
    return wire.LayoutRequest(verb="restore", request=text, entries=entries, busy=busy)
