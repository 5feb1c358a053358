"""The machine and its queue at one moment, read by a few requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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


def read(client: Client, most: int = MOST_JOBS) -> Snapshot:
    """Return the present snapshot: three requests, four if arrays run; raises as they do.

    It has the first ``most`` of the running and as many of the waiting jobs.
    """
    slices, gpus, head = client.slices(), client.layout.show(), client.head(most)
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


PLACE = frozenset({"start", "size"})
Extents = tuple[list[tuple[float, float]], float]
"""Start and end of each slice, and the end of the bar."""


def extents(gpu: GpuView | None, slices: Sequence[SliceView]) -> Extents:
    """Return where slices stand: in the memory units of the board, else by memory in a row."""
    return _in_units(gpu, slices) or _in_memory(gpu, slices)


def by_gpu(snapshot: Snapshot) -> list[tuple[GpuView | None, list[SliceView]]]:
    """Return the GPUs in order with their slices; of a GPU that was never read only those."""
    slices: dict[str, list[SliceView]] = {gpu.uuid: [] for gpu in snapshot.gpus}
    for each in snapshot.slices:
        slices.setdefault(each.gpu, []).append(each)
    known = {gpu.uuid: gpu for gpu in snapshot.gpus}
    return [(known.get(uuid), here) for uuid, here in slices.items() if uuid in known or here]


def _in_units(gpu: GpuView | None, slices: Sequence[SliceView]) -> Extents | None:
    """Return the placements; None if one is unknown. Slices in one place share it equally."""
    places = [
        (p["start"], p["size"]) for each in slices if (p := each.placement) and p.keys() >= PLACE
    ]
    if gpu is None or not gpu.units or len(places) < len(slices):
        return None
    together, before = Counter(places), Counter[tuple[int, int]]()
    result: list[tuple[float, float]] = []
    for start, size in places:
        part = size / together[start, size]
        begin = start + part * before[start, size]
        before[start, size] += 1
        result.append((begin, begin + part))
    return result, max(gpu.units, *(end for _, end in result), 1)


def _in_memory(gpu: GpuView | None, slices: Sequence[SliceView]) -> Extents:
    """Return the slices one after another, each as long as its memory."""
    result: list[tuple[float, float]] = []
    end = 0
    for each in slices:
        result.append((end, end + max(each.memory_mib, 1)))
        end += max(each.memory_mib, 1)
    return result, max(end, gpu.memory_mib if gpu and len(slices) > 1 else 0, 1)
