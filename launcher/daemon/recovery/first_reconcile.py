"""The first comparison of Docker and NVML with the store, after which the scheduler runs."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from launcher.core.messages import events as ev
from launcher.daemon.loop import clock
from launcher.daemon.loop.committer import Committer
from launcher.daemon.loop.event_loop import EventLoop
from launcher.daemon.loop.health import Health
from launcher.daemon.loop.threads import in_thread
from launcher.daemon.machine.observers import Observers
from launcher.errors import LauncherError


async def reconcile(
    event_loop: EventLoop,
    observers: Observers,
    health: Health,
    committer: Committer,
    restore: Callable[[], Awaitable[str | None]] | None,
) -> None:
    """Start the scheduler once Docker and NVML have been read.

    ``restore`` restores the layout after a reboot, and returns what is wrong with it.
    """
    problem = await in_thread("ping", observers.ping)
    health.set("engine", problem)
    if problem:
        event_loop.post(ev.EngineDown(problem))
    await observers.sweep_containers()
    await observers.look_at_gpus()
    if restore is not None:
        health.set("restore", await restore())
    with contextlib.suppress(LauncherError):  # otherwise it is restored again at the next start
        await committer.remember("boot_id", clock.boot_id())
    try:
        await event_loop.request(ev.Reconciled())
    except LauncherError:  # read-only: observations are decided again when commits work
        event_loop.post(ev.Reconciled())
