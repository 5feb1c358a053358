"""A daemon's lifetime and its reports to systemd: until it is stopped, drained, or idle."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path
from typing import Protocol

from launcher.config.settings import Config
from launcher.core.messages import events as ev
from launcher.core.model.job import State
from launcher.core.world.world import World
from launcher.daemon.attempts.action_runners import ActionRunners
from launcher.daemon.loop import clock
from launcher.daemon.loop.committer import Committer
from launcher.daemon.loop.event_loop import EventLoop
from launcher.daemon.loop.health import Health
from launcher.daemon.loop.sd_notify import Notifier
from launcher.daemon.machine.disk_space import lack_of_space
from launcher.dockerd import socket_was_replaced
from launcher.errors import LauncherError

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 30.0
"""Extension of systemd's start timeout: restoring a layout takes a while."""

NICE = -5
"""Jobs may use every core, but a slice must not wait for the launcher between two jobs."""
AUTOGROUP = Path("/proc/self/autogroup")
"""Nice value of the session. With autogroups (sched(7)) other values count within the session."""


class RunningDaemon(Protocol):
    """What a daemon's lifetime depends on; ``check`` raises if one of its loops has ended."""

    config: Config
    stop: asyncio.Event
    health: Health
    event_loop: EventLoop
    committer: Committer
    runners: ActionRunners
    own_container: str | None

    def check(self) -> None: ...  # noqa: D102


def go_first() -> None:
    """Make the kernel prefer this process to jobs, if permitted.

    Sets the session's value only if the daemon leads it, as under systemd.
    """
    with contextlib.suppress(PermissionError):  # a container without CAP_SYS_NICE
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            AUTOGROUP.write_text(str(NICE))


def stopped_by_signals(daemon: RunningDaemon) -> asyncio.Event:
    """Stop the daemon on SIGTERM and SIGINT; return the event that they set."""
    terminated, loop = asyncio.Event(), asyncio.get_running_loop()

    def stop() -> None:
        terminated.set()
        daemon.stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return terminated


async def until_over(daemon: RunningDaemon, idle_exit: float | None, notifier: Notifier) -> None:
    """Return when stopped, when a draining daemon has no more running jobs, or when idle.

    Idle means no job for ``idle_exit`` seconds. Raises ``InternalError`` if the event loop has
    ended.
    """
    watchdog = asyncio.create_task(_give_signs_of_life(daemon, notifier))
    idle_since, is_ready = clock.now().boot, False
    try:
        while not daemon.stop.is_set():
            daemon.check()
            daemon.health.set("disk", lack_of_space(daemon.config), key="disk")
            world = daemon.event_loop.world
            if not is_ready:
                is_ready = world.reconciling is None
                notifier.ready() if is_ready else notifier.still_starting(PATIENCE_SECONDS)
            if notifier.listening:
                notifier.status(daemon.event_loop.read_only or in_short(world))
            if world.engine_down and _is_cut_off(daemon):
                log.warning(
                    "Docker's socket was replaced: exiting, to be restarted with the new one"
                )
                return
            if _is_drained(daemon):
                log.info("drained: no job runs")
                return
            now = clock.now().boot
            idle_since = now if world.jobs else idle_since
            if idle_exit is not None and now - idle_since > idle_exit:
                log.info("idle for %g s", idle_exit)
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await daemon.stop.wait()
    finally:
        watchdog.cancel()
        notifier.stopping()


def _is_cut_off(daemon: RunningDaemon) -> bool:
    """Return whether only a restart of the daemon's own container can reach Docker again."""
    is_contained = daemon.own_container is not None
    return is_contained and socket_was_replaced(daemon.config.docker_host)


def in_short(world: World) -> str:
    """Return a one-line summary of the state."""
    active = sum(bool(leases) for leases in world.leases.values()) + len(world.cpu_running)
    gates = (world.reconciling, world.draining, world.engine_down, world.gpu_down)
    trouble = "".join(f"; {why}" for why in gates if why)
    return f"{active} jobs run, {max(0, len(world.jobs) - active)} wait{trouble}"


def _is_drained(daemon: RunningDaemon) -> bool:
    """Whether a draining daemon has finished: no attempt or layout change is under way, and all
    logs are whole."""
    world = daemon.event_loop.world
    if not world.draining or world.reconciling or world.active_layout is not None:
        return False
    if any(job.state is not State.PENDING for job in world.jobs.values()):
        return False
    return bool(world.engine_down) or not daemon.runners.removing


async def _give_signs_of_life(daemon: RunningDaemon, notifier: Notifier) -> None:
    """Feed the watchdog twice in its interval while the loop decides and its thread commits.

    If either hangs, the watchdog is not fed. A disk that refuses commits is not a hang: the
    daemon reports it and recovers, while a new daemon could not even start.
    """
    if notifier.watchdog_seconds is None:
        return
    while True:
        with contextlib.suppress(LauncherError):
            if not daemon.event_loop.read_only:
                await daemon.event_loop.request(ev.Tick())
        await daemon.committer.beat()
        notifier.alive()
        await asyncio.sleep(notifier.watchdog_seconds / 2)
