"""Which job was on which slice in the last hours, and which reservations are ahead."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from launcher.client.aio.client import AsyncClient
from launcher.text.moments import moment
from launcher.web.bounds import (
    EVENTS_IN_A_PAGE,
    MOST_EVENT_PAGES,
    MOST_RUNS,
    TIMELINE_SECONDS,
)
from launcher.wire import EventLine, JobView, ReservationView, SliceView, ref_of

HOURS = round(TIMELINE_SECONDS / 3600)
GOOD, BAD, RUNNING = "over", "bad", "leased"
"""The classes of the colours of a run."""


@dataclass(slots=True)
class TimelineRun:
    """One attempt on its slices; ``end`` is None while it runs."""

    ref: str
    user: str
    slices: tuple[str, ...]
    start: datetime
    end: datetime | None = None
    kind: str = RUNNING


@dataclass(frozen=True, slots=True)
class TimelineBar:
    """A bar in a lane: per cent of the picture's width."""

    left: float
    width: float
    kind: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class TimelineTick:
    """A moment on the axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class TimelineLane:
    """A slice with its runs and what is kept of it."""

    label: str
    runs: list[TimelineBar]
    kept: list[TimelineBar]


@dataclass(slots=True)
class RunHistory:
    """The attempts of the last hours, from the daemon's events: the newest ``MOST_RUNS``."""

    _runs: OrderedDict[int, TimelineRun] = field(default_factory=OrderedDict)
    """The last attempt of each job, oldest first; earlier attempts are under negative numbers."""
    _after: int | None = None
    _earlier: int = 0
    _uses: int = 0
    """Events that changed a run."""

    async def update(self, client: AsyncClient) -> bool:
        """Read the new events, return whether a run is among them; raises as the client does."""
        before = self._uses
        for _ in range(MOST_EVENT_PAGES):
            if self._after is None:
                since = time.time() - TIMELINE_SECONDS
                page = await client.events(since=since, most=EVENTS_IN_A_PAGE)
            else:
                page = await client.events(self._after, most=EVENTS_IN_A_PAGE)
            if page.missed and self._after is not None:
                self._runs.clear()  # of another database, or too old
            self._after = page.next
            for event in page.events:
                self.add(event)
            if len(page.events) < EVENTS_IN_A_PAGE:
                break
        return self._uses > before

    def seen(self, jobs: Sequence[JobView]) -> None:
        """Add jobs that run since before the first event."""
        for job in jobs:
            at = moment(job.started_at)
            if at is not None and job.id not in self._runs and job.slices and job.outcome is None:
                self._runs[job.id] = TimelineRun(job.ref, job.user, tuple(job.slices), at)

    def add(self, event: EventLine) -> None:
        """Use one event."""
        at, job = moment(event.at), event.job
        if job is None or at is None:
            return
        if event.type == "job.started" and job.slices:
            if (earlier := self._runs.pop(job.id, None)) is not None:
                self._earlier -= 1
                earlier.end = earlier.end or at
                self._runs[self._earlier] = earlier
            ref = ref_of(job.id, job.array)
            self._runs[job.id] = TimelineRun(ref, event.user or "", tuple(job.slices), at)
        elif event.type in ("job.ended", "job.requeued"):
            run = self._runs.get(job.id)
            if run is not None and run.end is None:
                run.end, run.kind = at, GOOD if job.outcome == "COMPLETED" else BAD
        else:
            return
        self._uses += 1
        while len(self._runs) > MOST_RUNS:
            self._runs.popitem(last=False)

    def between(self, start: datetime, end: datetime) -> list[TimelineRun]:
        """Return the runs of a time."""
        return [r for r in self._runs.values() if r.start < end and (r.end or end) > start]


@dataclass(frozen=True, slots=True)
class Timeline:
    """A picture of a time from ``start`` to ``end``; it changes once a minute."""

    start: datetime
    end: datetime
    now: datetime

    @classmethod
    def at(cls, now: datetime, reservations: Sequence[ReservationView]) -> Timeline:
        """Return the timeline of now; it reaches into the future if something is reserved."""
        minute = now.replace(second=0, microsecond=0)
        start, ahead = minute - timedelta(seconds=TIMELINE_SECONDS), timedelta(minutes=15)
        if any(_reaches(each, minute) for each in reservations):
            ahead = timedelta(seconds=TIMELINE_SECONDS)
        return cls(start, minute + ahead, minute)

    def part(self, at: datetime) -> float:
        """Return where a moment is, in per cent."""
        part = (at - self.start) / (self.end - self.start)
        return 100 * min(1.0, max(0.0, part))

    def bar(self, start: datetime, end: datetime, kind: str = "", label: str = "") -> TimelineBar:
        """Return a bar; a short one is at least visible."""
        left = self.part(start)
        return TimelineBar(left, max(self.part(end) - left, 0.15), kind, label)

    def ticks(self) -> Iterator[TimelineTick]:
        """Yield the full hours."""
        hour = self.start.replace(minute=0) + timedelta(hours=1)
        while hour < self.end:
            yield TimelineTick(self.part(hour), f"{hour:%H:%M}")
            hour += timedelta(hours=2 if self.end - self.start > timedelta(hours=8) else 1)

    def lanes(
        self,
        slices: Sequence[SliceView],
        history: RunHistory,
        reservations: Sequence[ReservationView],
    ) -> list[TimelineLane]:
        """Return a lane for each slice of the machine."""
        runs: dict[str, list[TimelineBar]] = {each.uuid: [] for each in slices}
        kept: dict[str, list[TimelineBar]] = {each.uuid: [] for each in slices}
        for run in history.between(self.start, self.end):
            bar = self.bar(run.start, run.end or self.now, run.kind, f"{run.ref} {run.user}")
            for uuid in run.slices:
                if uuid in runs:
                    runs[uuid].append(bar)
        for each in reservations:
            start, end = moment(each.start), moment(each.end)
            if start is None or end is None or not start < self.end:
                continue
            for uuid in each.slices:
                if uuid in kept:
                    kept[uuid].append(self.bar(start, end))
        return [
            TimelineLane(f"GPU {s.gpu_index} {s.profile}", runs[s.uuid], kept[s.uuid])
            for s in slices
        ]


def _reaches(each: ReservationView, now: datetime) -> bool:
    start, end = moment(each.start), moment(each.end)
    if start is None or end is None:
        return False
    return end > now and start < now + timedelta(seconds=TIMELINE_SECONDS)


def utc_now() -> datetime:
    """Return the present."""
    return datetime.now(UTC)
