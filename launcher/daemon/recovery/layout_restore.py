"""Restores the saved layout after a reboot, before anything is scheduled."""

from __future__ import annotations

from launcher.core.messages import events as ev
from launcher.core.model.job import Owner
from launcher.daemon.api.handlers import layouts, saved_layouts
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.machine.layout_steps import in_one_line
from launcher.daemon.users.identity import Caller
from launcher.errors import LauncherError, NoSuchJob

SECONDS = 120.0
ROOT = Caller(Owner(0, 0, "root"), admin=True)


async def restore(context: Context) -> str | None:
    """Complete the changes that waited for this reboot, then restore the saved layout.

    The GPUs of those changes keep what they were changed to. Returns why something is missing.
    """
    try:
        await context.event_loop.request(ev.Tick())  # now the world has NVML's report
        fenced, problem = await _complete(context)
        return problem or await _restore(context, fenced)
    except LauncherError as error:
        return _problem(in_one_line(error))


async def _complete(context: Context) -> tuple[set[str], str | None]:
    """Wait for the changes of an earlier boot; return their GPUs, and why one is not complete."""
    world, gpus, problems = context.world, set[str](), list[str]()
    for op in [op for op in world.layouts.values() if op.boot not in (None, world.boot)]:
        gpus.update(op.gpus)
        ended = await layouts.wait_for_change(context, ROOT, op.id, seconds=SECONDS)
        if ended.result != "applied":
            problems.append(f"layout change {op.id}: {ended.message or ended.state}")
    return gpus, "; ".join(problems) or None


async def _restore(context: Context, fenced: set[str]) -> str | None:
    try:
        layout = await saved_layouts.saved(context, ROOT)
    except NoSuchJob:
        return None
    left = [saved_gpu for saved_gpu in layout if saved_gpu.gpu not in fenced]
    if not left:
        return None
    request = saved_layouts.restoring(context.world, left)
    if layouts.is_empty(await layouts.plan(context, ROOT, request)):
        return None
    started = await layouts.change(context, ROOT, request)
    ended = await layouts.wait_for_change(context, ROOT, started.id, seconds=SECONDS)
    return None if ended.result == "applied" else _problem(ended.message or ended.state)


def _problem(why: str) -> str:
    return f"the saved layout is not restored: {why}"
