"""Recovery mode: a daemon that cannot use its database reports it, and changes nothing.

It serves ``status`` and ``stop``; all other requests get the same error. Exiting with an
error instead would cause a crash loop under systemd, and leave clients without a reply.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable

from aiohttp import web

from launcher import __version__, wire
from launcher.config.settings import Config
from launcher.core.messages.actions import Action
from launcher.core.model.ids import LABEL_STORE
from launcher.daemon.api import server
from launcher.daemon.api.http.connections import ConnectionManager
from launcher.daemon.loop import clock
from launcher.daemon.loop.sd_notify import Notifier
from launcher.daemon.loop.threads import in_thread
from launcher.daemon.requests import convert
from launcher.daemon.users.accounts import Accounts
from launcher.daemon.users.identity import roles_of
from launcher.daemon.users.rate_limits import Limiter
from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers
from launcher.errors import (
    EngineError,
    EngineUnavailable,
    NotAllowed,
    RecoveryMode,
    StateDirError,
)
from launcher.store.connect import FILE_NAME, damaged
from launcher.store.directory import remembered_id

log = logging.getLogger(__name__)


def taken_up(config: Config, take_up: Callable[[], list[Action]]) -> list[Action]:
    """Return the actions for a world that was just read: the result of ``take_up``.

    Raises ``DatabaseDamaged`` if its records are inconsistent: every start would fail.
    """
    try:
        return take_up()
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        log.exception("cannot resume from the records")
        why = f"its records are inconsistent ({type(error).__name__}: {error})"
        raise damaged(config.state_dir / FILE_NAME, why) from error


class Recovery:
    """A daemon that only reports the problem of its database."""

    def __init__(self, config: Config, trouble: StateDirError) -> None:
        self.config, self.trouble = config, trouble
        self.connections = ConnectionManager(Limiter.of(config))
        self.stop = asyncio.Event()
        self.requested = asyncio.Event()
        self._accounts = Accounts(roles_of(config))
        self._containers = Containers(DockerConnection(config.docker_host))
        self._started_at = clock.rfc3339(clock.now().wall)

    @property
    def refusal(self) -> RecoveryMode:
        """The error with which every request is refused."""
        text = f"the daemon is in recovery mode and starts nothing: {self.trouble.message}"
        return RecoveryMode(text, fix=self.trouble.fix)

    def application(self) -> web.Application:
        """Return the application: two routes, and a refusal."""
        app = server.bare_application(self.connections, self._accounts)
        app.router.add_get("/v1/status", self._status)
        app.router.add_post("/v1/stop", self._stop)
        app.router.add_route("*", "/{path:.*}", self._refuse)
        return app

    async def _status(self, request: web.Request) -> web.Response:
        self.requested.set()
        return await self._reply()

    async def _reply(self) -> web.Response:
        body = convert.dump(wire.Status, await in_thread("status", self.status))
        return server.reply(200, body)

    async def _stop(self, request: web.Request) -> web.Response:
        if not request[server.CALLER].admin:
            raise NotAllowed("only an admin of this daemon may stop it")
        reply = await self._reply()
        self.stop.set()
        return reply

    async def _refuse(self, request: web.Request) -> web.Response:
        self.requested.set()
        raise self.refusal

    def status(self) -> wire.Status:
        """Return the problem and its fix; blocks, because it queries Docker."""
        refusal = self.refusal
        problems = [f"{refusal.message}. {refusal.fix or ''}".strip()]
        docker = None
        store = remembered_id(self.config.state_dir)
        try:
            docker = self._containers.engine_version()
            stores = [(c.get("Labels") or {}).get(LABEL_STORE) for c in self._containers.running()]
            ours = [label for label in stores if label and store in (None, label)]
            if ours:
                problems.append(f"running containers of jobs, left alone: {len(ours)}")
        except (EngineUnavailable, EngineError) as error:
            problems.append(error.message)
        return wire.Status(
            state="degraded",
            problems=problems,
            version=__version__,
            api_version=wire.API_VERSION,
            pid=os.getpid(),
            store=store or "",
            socket=str(self.config.socket),
            state_dir=str(self.config.state_dir),
            docker=docker,
            driver=None,
            gpus=0,
            slices={},
            jobs={},
            started_at=self._started_at,
        )


async def serve(
    config: Config, trouble: StateDirError, listener: socket.socket | None = None
) -> int:
    """Serve in recovery mode until stopped; return the exit status."""
    recovery = Recovery(config, trouble)
    listener = listener or server.listener(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, recovery.stop.set)
    notifier = Notifier()
    async with server.served(recovery.application(), listener, recovery.connections):
        log.critical("%s", recovery.refusal.message)
        log.critical("%s", trouble.fix)
        notifier.ready()
        notifier.status(recovery.refusal.message)
        signs = asyncio.create_task(_give_signs_of_life(notifier))
        await _until_stopped(recovery, config.idle_exit)
        signs.cancel()
        notifier.stopping()
    server.remove_socket(config)
    return 0


async def _give_signs_of_life(notifier: Notifier) -> None:
    while notifier.watchdog_seconds is not None:
        notifier.alive()
        await asyncio.sleep(notifier.watchdog_seconds / 2)


async def _until_stopped(recovery: Recovery, idle_exit: float | None) -> None:
    """Return when stopped, or after ``idle_exit`` seconds without a request."""
    while not recovery.stop.is_set():
        recovery.requested.clear()
        waiting = [asyncio.create_task(e.wait()) for e in (recovery.stop, recovery.requested)]
        done, left = await asyncio.wait(
            waiting, timeout=idle_exit, return_when=asyncio.FIRST_COMPLETED
        )
        for task in left:
            task.cancel()
        if not done:
            return
