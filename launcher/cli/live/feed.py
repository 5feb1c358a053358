"""Follows the machine: a new snapshot whenever something changed, also across restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from launcher import errors
from launcher.client import snapshot
from launcher.client.aio.awaited import awaited
from launcher.client.aio.client import AsyncClient
from launcher.client.snapshot import Snapshot

POLL_SECONDS = 25.0
REFRESH_SECONDS = 1.0
"""A machine that always changes is read this often."""
ESTIMATE_SECONDS = 30.0
"""Starts are estimated this often while the queue changes: each is a replay of the queue."""
RETRY_SECONDS = 1.0
AWAY = (errors.DaemonUnreachable, errors.RecoveryMode, errors.TooMany, errors.Unavailable)

_read = awaited(snapshot.read)
_read_starts = awaited(snapshot.read_starts)


async def follow(
    client: AsyncClient, show: Callable[[Snapshot], None], trouble: Callable[[str], None]
) -> None:
    """Call ``show`` after each change, and ``trouble`` while the daemon does not answer.

    Runs until cancelled; raises other errors than those of a daemon that is away.
    """
    count: int | None = None
    while True:
        try:
            now = await client.changed(count, POLL_SECONDS)
            if now != count:
                show(await _read(client))
                count = now
            await asyncio.sleep(REFRESH_SECONDS)
        except AWAY as error:
            count = None
            trouble(f"the daemon does not answer, trying again: {error.message}")
            await asyncio.sleep(RETRY_SECONDS)


async def estimate(
    client: AsyncClient,
    present: Callable[[], Snapshot],
    show: Callable[[dict[int, float]], None],
) -> None:
    """Call ``show`` with the likely starts of waiting jobs, again when the queue has changed.

    After a refusal the starts are unknown. Runs until cancelled.
    """
    known: object = None
    while True:
        now = present()
        if now.queue_state != known and snapshot.has_starts(now):
            known = now.queue_state
            try:
                show(await _read_starts(client))
            except errors.LauncherError:
                show({})
            await asyncio.sleep(ESTIMATE_SECONDS)
        await asyncio.sleep(REFRESH_SECONDS)
