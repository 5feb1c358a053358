"""The tasks of notifications: fetch, send, report."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

from launcher.client.aio.client import AsyncClient
from launcher.config import default_paths
from launcher.config.notify import NotifyTable
from launcher.errors import LauncherError, StateDirError
from launcher.web.notify import bounds
from launcher.web.notify.intake import Intake
from launcher.web.notify.outbox import Outbox, OutboxChange
from launcher.web.notify.sender import Courier, Sender, TargetCourier
from launcher.wire.history import MOST_REPORTED

log = logging.getLogger(__name__)


def state_directory(env: Mapping[str, str] = os.environ) -> Path:
    """Return where the outbox is: what systemd made for the unit, or the user's own."""
    made = env.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(made or f"{default_paths.own_state(env)}/web")


async def keep_sending(client: AsyncClient, table: NotifyTable) -> None:
    """Send notifications until cancelled; a directory that cannot be used is tried again."""
    problem: str | None = None
    while True:
        try:
            outbox = Outbox(state_directory())
            break
        except StateDirError as error:
            if error.message != problem:
                log.warning("notifications wait: %s", error.message)
            problem = error.message
            await asyncio.sleep(bounds.MINUTE)
    try:
        await NotifyService(client, outbox, table, TargetCourier(table)).run()
    finally:
        await outbox.close()


class NotifyService:
    """Connects the daemon, the outbox and the sender."""

    def __init__(
        self, client: AsyncClient, outbox: Outbox, table: NotifyTable, courier: Courier
    ) -> None:
        self._client, self._outbox = client, outbox
        self._intake = Intake(table.per_minute)
        self._sender = Sender(outbox, courier)
        self._problem: str | None = None

    async def run(self) -> None:
        """Fetch, send and report until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sender.run())
            tasks.create_task(self._keep_fetching())
            tasks.create_task(self._keep_reporting())

    async def _keep_fetching(self) -> None:
        while True:
            try:
                fetched = await self.fetch()
                pause = 0.0 if fetched >= bounds.MANY else bounds.PAUSE_SECONDS
                self._log(None)
            except LauncherError as error:
                self._log(error.message)
                pause = bounds.AWAY_SECONDS
            except OSError as error:
                self._log(f"cannot write the outbox: {error.strerror}")
                pause = bounds.AWAY_SECONDS
            await asyncio.sleep(pause)

    async def fetch(self) -> int:
        """Put the next notifications into the outbox, with the place behind them; their number.

        Raises ``LauncherError`` if the daemon does not give them, ``OSError`` of the outbox.
        """
        after = self._outbox.cursor
        first = time.time() - bounds.FIRST_SECONDS if after is None else None
        page = await self._client.notifications(after, since=first, timeout=bounds.POLL_SECONDS)
        if page.missed:
            log.warning("some events are stored no more, or the database is another one")
        if page.next == after and not page.notifications:
            return 0

        def change() -> OutboxChange:
            made = self._intake.deliveries(page.notifications, self._outbox.waiting, time.time())
            return OutboxChange(put=made, cursor=page.next)

        await self._outbox.change(change)
        self._sender.wake.set()
        return len(page.notifications)

    async def _keep_reporting(self) -> None:
        while True:
            with contextlib.suppress(LauncherError, OSError):  # said by the other task
                await self.report()
            await asyncio.sleep(bounds.PAUSE_SECONDS)

    async def report(self) -> None:
        """Tell the daemon of failures, for the owners of the jobs; raises ``LauncherError``."""
        failures = self._outbox.failures[:MOST_REPORTED]
        if failures:
            await self._client.report_notifications(failures)
            await self._outbox.change(lambda: OutboxChange(reported=len(failures)))

    def _log(self, problem: str | None) -> None:
        """Log a problem once, and its end."""
        if problem != self._problem:
            log.warning("notifications: %s", problem or "the daemon answers again")
        self._problem = problem
