"""Restores the saved layout after a reboot, before anything is scheduled."""

from __future__ import annotations

from launcher.core.messages import events as ev
from launcher.core.model.job import Owner
from launcher.daemon.api.handlers import layouts
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.machine.layout_steps import in_one_line
from launcher.daemon.users.identity import Caller
from launcher.errors import LauncherError

SECONDS = 120.0


async def restore(context: Context) -> str | None:
    """Restore the saved layout, if there is one; return why it is not restored."""
    root = Caller(Owner(0, 0, "root"), admin=True)
    try:
        wanted = await layouts.saved(context, root)
    except LauncherError:
        return None
    try:
        await context.event_loop.request(ev.Tick())  # now the world has NVML's report
        request = layouts.restoring(context.world, wanted)
        if layouts.is_empty(await layouts.plan(context, root, request)):
            return None
        started = await layouts.change(context, root, request)
        ended = await layouts.wait_for_change(context, root, started.id, seconds=SECONDS)
    except LauncherError as error:
        return _problem(in_one_line(error))
    return None if ended.result == "applied" else _problem(ended.message or ended.state)


def _problem(why: str) -> str:
    return f"the saved layout is not restored: {why}"
