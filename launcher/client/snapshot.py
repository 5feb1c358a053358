"""The machine and its queue at one moment, read by a few requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from launcher.client.api import Client
from launcher.wire import GpuView, JobView, QueueHead, SliceView

MOST_JOBS = 200
"""So many running and so many waiting jobs are read."""
MOST_ESTIMATED = 200
"""For a longer queue no starts are estimated: a replay of it costs the daemon too much."""


@dataclass(frozen=True)
class Snapshot:
    """What the daemon said. ``elements`` are the elements of arrays that hold slices."""

    slices: list[SliceView]
    gpus: list[GpuView]
    head: QueueHead
    elements: list[JobView] = field(default_factory=list)

    @property
    def jobs(self) -> dict[int, JobView]:
        """The jobs by id: those of the head, and the elements on slices."""
        return {job.id: job for job in (*self.head.jobs, *self.elements)}

    @property
    def queue_state(self) -> object:
        """A value that differs when the order or the starts of waiting jobs may differ."""
        jobs = tuple((job.id, job.state, job.reason, job.priority) for job in self.head.jobs)
        arrays = tuple((array.id, *sorted(array.counts.items())) for array in self.head.arrays)
        return jobs, arrays, tuple((each.uuid, each.state) for each in self.slices)


def read(client: Client) -> Snapshot:
    """Return the present snapshot: three requests, four if arrays run; raises as they do."""
    slices, gpus, head = client.slices(), client.layout.show(), client.head(MOST_JOBS)
    known = {job.id for job in head.jobs}
    missing = sorted({s.job for s in slices if s.job is not None and s.job not in known})
    elements = client.jobs(missing) if missing else []
    return Snapshot(slices, gpus, head, elements)


def has_starts(snapshot: Snapshot) -> bool:
    """Whether starts are worth an estimate: jobs wait, and not too many."""
    return 0 < snapshot.head.waiting <= MOST_ESTIMATED


def read_starts(client: Client) -> dict[int, float]:
    """Return when jobs start in a replay of the queue, in seconds since 1970, by job id."""
    now = datetime.now(UTC).timestamp()
    forecasts = client.queue.whatif()
    return {run.job: now + run.start for each in forecasts[:1] for run in each.runs}
