"""Whether the daemon keeps up: its loop, its threads, and the actions it has decided on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from launcher.core.messages import actions as act
from launcher.daemon.loop.health import Health

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
LAG_SECONDS = 0.5
"""A loop that runs a timer this late serves users late."""
TOLD_SECONDS = 30.0
"""A lag is reported for this time after it was observed."""
OVERDUE_SECONDS: dict[type, float] = {
    act.FindImage: 60.0,
    act.StartAttempt: 300.0,
    act.StopAttempt: 30.0,
    act.KillAttempt: 30.0,
    act.SignalAttempt: 30.0,
    act.ProveIdle: 300.0,
    act.RemoveContainer: 900.0,
    act.LookAtLayout: 300.0,
}
"""When an action is overdue. Pulls and following a container have no limit."""


class UnderWay(Protocol):
    """The owner of the actions under way, and of their threads."""

    def under_way(self) -> Iterator[tuple[act.Action, float]]:
        """Yield each action with the time.monotonic() of its decision."""

    def stuck_pools(self) -> Iterator[str]:
        """Yield the pools that have had no free thread for a while."""


async def watch(health: Health, work: UnderWay) -> None:
    """Keep ``health`` up to date; runs until it is cancelled."""
    lagged_at, lag = float("-inf"), 0.0
    while True:
        before = time.monotonic()
        await asyncio.sleep(LOOK_SECONDS)
        now = time.monotonic()
        late = now - before - LOOK_SECONDS
        if late >= LAG_SECONDS:
            lagged_at, lag = now, late
        slow = now - lagged_at < TOLD_SECONDS
        health.set("loop", f"the daemon was held up for {lag:.1f} s" if slow else None)
        pools = ", ".join(work.stuck_pools())
        health.set("threads", f"every thread is busy: {pools}" if pools else None)
        taken = overdue(work, now)
        health.set("overdue", described(taken), key=[action for action, _ in taken])


def overdue(work: UnderWay, now: float) -> list[tuple[str, float]]:
    """Return the actions that take longer than they should, and for how many seconds."""
    return [
        (f"{type(action).__name__} of job {getattr(action, 'job', '-')}", now - since)
        for action, since in work.under_way()
        if now - since >= OVERDUE_SECONDS.get(type(action), float("inf"))
    ]


def described(taken: Sequence[tuple[str, float]]) -> str | None:
    """Return the overdue actions as one text, None if there are none."""
    if not taken:
        return None
    first = [f"{action} for {seconds:.0f} s" for action, seconds in taken[:3]]
    more = f", and {len(taken) - 3} more" if len(taken) > 3 else ""
    return f"overdue: {', '.join(first)}{more}"
