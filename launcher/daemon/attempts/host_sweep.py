"""Removes the cgroups, units and records of ended host jobs that a crash left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from launcher.core.messages.actions import Action, RemoveContainer
from launcher.core.messages.events import IdsSeen
from launcher.core.model.ids import attempt_of_host_name
from launcher.daemon.attempts.host_jobs import HostMachine
from launcher.daemon.loop.committer import Committer
from launcher.daemon.loop.event_loop import EventLoop
from launcher.daemon.loop.logging_setup import about
from launcher.daemon.loop.threads import in_thread
from launcher.errors import LauncherError
from launcher.store import Reader

log = logging.getLogger(__name__)

AGAIN_SECONDS = 10.0


async def sweep(
    machine: HostMachine,
    store: str,
    event_loop: EventLoop,
    committer: Committer,
    dispatch: Callable[[Action], None],
) -> None:
    """Remove the cgroups and records of attempts that are not live, once the helper answers.

    A cgroup with processes is left alone, because their origin is unknown. Their terminals' sockets
    are removed too.
    """

    def live() -> list[str]:
        return [each.container_name for each in list(event_loop.world.attempts.values())]

    await in_thread("host-jobs", partial(machine.terminals.sweep, live))
    while machine.may_have_jobs():
        try:
            names = await in_thread("host-jobs", partial(machine.helper.names, store))
            for name in names:
                await _look_at(name, machine, event_loop, committer, dispatch)
            return
        except LauncherError as error:
            log.warning("cannot clean up after ended host jobs yet: %s", error.message)
            await asyncio.sleep(AGAIN_SECONDS)


async def _look_at(
    name: str,
    machine: HostMachine,
    event_loop: EventLoop,
    committer: Committer,
    dispatch: Callable[[Action], None],
) -> None:
    job, number = attempt_of_host_name(name)
    if job >= event_loop.world.next_id:
        event_loop.post(IdsSeen(job))  # the database was restored from a copy
    live = event_loop.world.jobs.get(job)
    if live is not None and live.attempt == number:
        return
    _, populated = await in_thread("host-jobs", partial(machine.helper.state, name))
    logger = about(log, job, number)
    if populated:
        logger.warning("%s has ended, but its cgroup still has processes; leaving them alone", name)
        return
    logger.info("removing the cgroup and the record of %s, which has ended", name)
    attempts = await committer.read(Reader.attempts, job)
    if any(attempt.number == number for attempt in attempts):
        dispatch(RemoveContainer(job, number, name))  # its log is completed first
    else:
        await in_thread("host-jobs", partial(machine.helper.remove, name))
