"""The overview: the state, the GPUs, what runs and waits, and the last hours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from markupsafe import Markup

from launcher import wire
from launcher.client.aio.awaited import awaited
from launcher.client.aio.client import AsyncClient
from launcher.client.snapshot import Snapshot, read
from launcher.errors import LauncherError, RecoveryMode
from launcher.text.moments import moment
from launcher.web.bounds import MOST_WAITING_SHOWN
from launcher.web.pages.gpu_bars import gpu_parts
from launcher.web.pages.templates import render
from launcher.web.pages.timeline import HOURS, RunHistory, Timeline, utc_now
from launcher.web.pages.viewer import Viewer

_read = awaited(read)
_NOTHING = Snapshot([], [], wire.QueueHead(jobs=[], waiting=0, running=0))


@dataclass(frozen=True)
class OverviewState:
    """What the daemon said to one viewer."""

    status: wire.Status
    snapshot: Snapshot
    reservations: Sequence[wire.ReservationView] = ()


async def read_state(client: AsyncClient) -> OverviewState:
    """Return the present state; raises as the client does. In recovery mode only the status."""
    status = await client.status()
    try:
        snapshot = await _read(client, MOST_WAITING_SHOWN)
        return OverviewState(status, snapshot, await client.queue.reservations())
    except RecoveryMode:
        return OverviewState(status, _NOTHING)


@dataclass
class OverviewPage:
    """Renders the overview; the timeline is the same for all viewers, and rendered once."""

    observer: AsyncClient
    changed: Callable[[], None]
    """Called when events were read."""
    history: RunHistory = field(default_factory=RunHistory)
    _timeline: tuple[object, Markup] | None = None
    _reading: asyncio.Task[None] | None = None

    def parts(
        self, state: OverviewState, viewer: Viewer, starts: Mapping[int, str]
    ) -> dict[str, Markup]:
        """Return the fragments by their ids; ``starts`` are likely starts by job id."""
        head, jobs = state.snapshot.head, [*state.snapshot.head.jobs, *state.snapshot.elements]
        running = sorted((job for job in jobs if job.state != "PENDING"), key=lambda job: job.id)
        waiting = [job for job in head.jobs if job.state == "PENDING"][:MOST_WAITING_SHOWN]
        parts = {
            "state": render(
                "fragments/state.html", status=state.status, summary=summary(state.status, head)
            )
        }
        for gpu in gpu_parts(state.snapshot):
            parts[f"gpu-{gpu.index}"] = render(
                "fragments/gpu.html", part=gpu, admin=viewer.admin, form=viewer.form
            )
        shown = running[:MOST_WAITING_SHOWN]
        ends = {job.id: latest_end(job) for job in shown}
        parts["running"] = render("fragments/running.html", head=head, jobs=shown, ends=ends)
        parts["waiting"] = render("fragments/waiting.html", head=head, jobs=waiting, starts=starts)
        parts["arrays"] = render("fragments/arrays.html", arrays=head.arrays[:MOST_WAITING_SHOWN])
        parts["timeline"] = self._timeline_of(state, running, utc_now())
        parts["reservations"] = render(
            "fragments/reservations.html", reservations=list(state.reservations)
        )
        return parts

    async def _read_events(self) -> None:
        with contextlib.suppress(LauncherError):
            if await self.history.update(self.observer):
                self.changed()

    def close(self) -> None:
        """End the reading that is under way."""
        if self._reading is not None:
            self._reading.cancel()

    def _timeline_of(
        self, state: OverviewState, running: Sequence[wire.JobView], now: datetime
    ) -> Markup:
        """Return the timeline, rendered again when something in it differs.

        New events are read in the background, for the next update.
        """
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_events())
        self.history.seen(running)
        timeline = Timeline.at(now, state.reservations)
        lanes = timeline.lanes(state.snapshot.slices, self.history, state.reservations)
        key = (timeline, lanes)
        if self._timeline is None or self._timeline[0] != key:
            runs = sum(len(lane.runs) for lane in lanes)
            html = render(
                "fragments/timeline.html",
                lanes=lanes,
                ticks=list(timeline.ticks()),
                now=timeline.part(timeline.now),
                hours=HOURS,
                words=f"{runs} runs on {len(lanes)} slices",
            )
            self._timeline = key, html
        return self._timeline[1]


def summary(status: wire.Status, head: wire.QueueHead) -> str:
    """Return the state in one line: "3 running, 12 waiting, 1 of 4 slices free"."""
    total = sum(status.slices.values())
    free = status.slices.get("free", 0)
    return f"{head.running} running, {head.waiting} waiting, {free} of {total} slices free"


def latest_end(job: wire.JobView) -> str | None:
    """Return when a running job reaches its time limit, None without one."""
    started = moment(job.started_at)
    if started is None or job.time_limit is None or job.outcome is not None:
        return None
    return (started + timedelta(seconds=job.time_limit)).isoformat()
