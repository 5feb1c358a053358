"""Turns at processor time outside the daemon: the user who used least goes first."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator

from launcher.daemon.users.rate_limits import Bucket

FORGOTTEN_PER_SECOND = 0.1
"""Decay: after each second this many seconds of a user's use are forgiven."""
MOST_OWED_SECONDS = 600.0


class UsedTime:
    """The seconds that each user (by uid) has used lately. ``now`` is in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._accounts: dict[int, Bucket] = {}

    def of(self, uid: int) -> float:
        """Return the seconds of a user's use that still count."""
        account = self._accounts.get(uid)
        return 0.0 if account is None else account.owes(self._now())

    @contextlib.contextmanager
    def charged(self, uid: int) -> Iterator[None]:
        """Charge the time until the end of the block to a user."""
        since = self._now()
        try:
            yield
        finally:
            now = self._now()
            paid = [u for u, account in self._accounts.items() if account.is_full(now)]
            for other in paid:
                del self._accounts[other]
            account = self._accounts.setdefault(uid, Bucket(FORGOTTEN_PER_SECOND, 0.0, since))
            account.spend(now - since, now, MOST_OWED_SECONDS)


class ProcessorTurns:
    """At most ``at_once`` turns at a time, one per user. For the loop's thread only.

    A ``FairPool`` serves users in order of arrival and occupies a thread until its call returns.
    Here a turn may take a minute: the order is by use, and a caller that leaves gives the turn
    back.
    """

    def __init__(self, at_once: int, used: UsedTime) -> None:
        self._at_once, self._used = at_once, used
        self._running: set[int] = set()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @contextlib.asynccontextmanager
    async def turn(self, uid: int, wait_seconds: float) -> AsyncIterator[None]:
        """Wait for a turn and hold it; raises ``TimeoutError`` if none comes in time."""
        await self._wait(uid, wait_seconds)
        try:
            with self._used.charged(uid):
                yield
        finally:
            self._running.discard(uid)
            self._serve()

    async def _wait(self, uid: int, seconds: float) -> None:
        served = asyncio.get_running_loop().create_future()
        place = (uid, served)
        self._waiting.append(place)
        self._serve()
        try:
            async with asyncio.timeout(seconds):
                await served
        except BaseException:
            if place in self._waiting:
                self._waiting.remove(place)
            else:  # the turn came while the caller was leaving
                self._running.discard(uid)
            self._serve()
            raise

    def _serve(self) -> None:
        while len(self._running) < self._at_once:
            ready = [place for place in self._waiting if place[0] not in self._running]
            if not ready:
                return
            place = min(ready, key=lambda waiting: self._used.of(waiting[0]))  # the first of equals
            self._waiting.remove(place)
            self._running.add(place[0])
            if not place[1].done():
                place[1].set_result(None)
