"""A thread that waits for XIDs and reports them; the core interprets them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from launcher.core.jobs.xids import OF_PROGRAMS
from launcher.core.messages.events import XidSeen
from launcher.daemon.loop import clock
from launcher.errors import GpuFault, GpuUnavailable
from launcher.gpu import Events

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.5
"""A change of MIG mode waits at most this long for the thread that waits for events."""
TRY_AGAIN_SECONDS = 2.0


class XidWatcher:
    """Waits for events from the start, and reports them once the GPUs are known (``ready``).

    Without ``events`` there is nothing to wait for.
    """

    def __init__(self, events: Events | None, post: Callable[..., None]) -> None:
        self._events, self._post = events, post
        self.ready, self._over = clock.flag(), clock.flag()
        self._trouble: str | None = None

    def start(self) -> None:
        """Start the thread."""
        if self._events is not None:
            events = self._events
            clock.spawn("xids", lambda: self._run(events))

    def close(self) -> None:
        """Make the thread end."""
        self._over.set()

    def _run(self, events: Events) -> None:
        early: list[XidSeen] = []
        while not self._over.is_set():
            event = self._next(events)
            early += [event] if event is not None else []
            if early and self.ready.is_set():
                self._post(*early)
                early = []

    def _next(self, events: Events) -> XidSeen | None:
        try:
            xid = events.wait(WAIT_SECONDS)
        except (GpuUnavailable, GpuFault) as error:
            if error.message != self._trouble:
                log.info("cannot receive GPU events now: %s", error.message)
            self._trouble = error.message
            clock.sleep(TRY_AGAIN_SECONDS)
            return None
        self._trouble = None
        if xid is None:
            return None
        kind = (
            "an error of a program" if xid.number in OF_PROGRAMS else "its slices are quarantined"
        )
        where = xid.gpu_uuid if xid.gi is None else f"{xid.gpu_uuid}, GPU instance {xid.gi}"
        log.warning("XID %d on %s: %s", xid.number, where, kind)
        return XidSeen(xid)
