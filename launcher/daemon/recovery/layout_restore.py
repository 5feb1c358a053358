"""Restores the saved layout after a reboot, before anything is scheduled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from launcher import wire
from launcher.core.messages import events as ev
from launcher.core.model.job import Owner
from launcher.core.world.world import World
from launcher.daemon.api.handlers import layouts, saved_layouts
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.machine.layout_steps import in_one_line
from launcher.daemon.users.identity import Caller
from launcher.errors import LauncherError, NoSuchJob

SECONDS = 120.0
ROOT = Caller(Owner(0, 0, "root"), admin=True)


def open_changes(world: World) -> dict[int, tuple[str, ...]]:
    """Return the GPUs of each open change: to be called before NVML's first report goes on."""
    return {op.id: op.gpus for op in world.layouts.values()}


async def restore(context: Context, earlier: Mapping[int, tuple[str, ...]]) -> str | None:
    """Complete the changes that were open before the reboot, then restore the saved layout.

    Their GPUs keep what they were changed to, unless that failed. Returns why something is missing.
    """
    problems: list[str] = []
    try:
        await context.event_loop.request(ev.Tick())  # now the world has NVML's report
        fenced = await _complete(context, earlier, problems)
        problems += await _restore(context, fenced)
    except LauncherError as error:
        problems.append(_problem(in_one_line(error)))
    return "; ".join(problems) or None


async def _complete(
    context: Context, earlier: Mapping[int, tuple[str, ...]], problems: list[str]
) -> set[str]:
    """Wait for these changes; return the GPUs of those that did not fail.

    Adds to ``problems`` why some are not complete. One whose slices are in use waits on.
    """
    await _until_none_is_active(context)
    fenced: set[str] = set()
    for op_id, gpus in earlier.items():
        change = await layouts.wait_for_change(context, ROOT, op_id, seconds=0)
        if change.result in ("applied", None):
            fenced.update(gpus)
        if change.result != "applied" and change.state != "waiting":
            problems.append(f"layout change {op_id}: {change.message or change.state}")
    return fenced


async def _until_none_is_active(context: Context) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SECONDS):
            while True:
                changed = context.subscriptions.layout_changed
                if context.world.active_layout is None:
                    return
                await changed.wait()


async def _restore(context: Context, fenced: set[str]) -> list[str]:
    """Restore the saved layout of all other GPUs; return what is missing."""
    try:
        layout = await saved_layouts.saved(context, ROOT)
    except NoSuchJob:
        return []
    left = [saved_gpu for saved_gpu in layout if saved_gpu.gpu not in fenced]
    silent = {g.gpu: why for g in left if (why := context.world.why_silent(g.gpu)) is not None}
    problems = [_problem(why) for why in dict.fromkeys(silent.values())]
    answering = [saved_gpu for saved_gpu in left if saved_gpu.gpu not in silent]
    return problems + (await _change(context, answering) if answering else [])


async def _change(context: Context, layout: Sequence[wire.SavedGpu]) -> list[str]:
    request = saved_layouts.restoring(context.world, layout)
    if layouts.is_empty(await layouts.plan(context, ROOT, request)):
        return []
    started = await layouts.change(context, ROOT, request)
    ended = await layouts.wait_for_change(context, ROOT, started.id, seconds=SECONDS)
    return [] if ended.result == "applied" else [_problem(ended.message or ended.state)]


def _problem(why: str) -> str:
    return f"the saved layout is not restored: {why}"
