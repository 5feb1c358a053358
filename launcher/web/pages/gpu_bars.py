"""The GPUs with their slices to scale: where each stands on the memory, in per cent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from launcher.client.snapshot import Snapshot, by_gpu, extents
from launcher.wire import GpuView, JobView, SliceView, ref_of

GOOD = frozenset({"free", "leased", "releasing"})


@dataclass(frozen=True, slots=True)
class SlicePart:
    """A slice on the picture; ``left``, ``width`` and ``used`` are per cent of the GPU.

    ``used`` is None if unknown. ``job`` is the job on it, where it is in the snapshot.
    """

    slice: SliceView
    left: float
    width: float
    used: float | None
    ref: str | None
    job: JobView | None

    @property
    def kind(self) -> str:
        """The class of its colour: free, leased or bad."""
        if self.slice.state not in GOOD:
            return "bad"
        return "free" if self.slice.state == "free" else "leased"


@dataclass(frozen=True, slots=True)
class GpuPart:
    """A GPU and its slices from left to right; ``gpu`` is None if it was never read."""

    index: int
    uuid: str
    gpu: GpuView | None
    slices: list[SlicePart]

    @property
    def words(self) -> str:
        """The states of its slices: "3 free, 1 leased"."""
        counts = Counter(part.slice.state for part in self.slices)
        return ", ".join(f"{count} {state}" for state, count in counts.items()) or "no slices"

    @property
    def drained(self) -> bool:
        """Whether every slice takes no new jobs."""
        return bool(self.slices) and all(p.slice.state == "drained" for p in self.slices)


def gpu_parts(snapshot: Snapshot) -> list[GpuPart]:
    """Return the GPUs of a snapshot in order."""
    jobs, result = snapshot.jobs, []
    for gpu, here in by_gpu(snapshot):
        spans, total = extents(gpu, here)
        parts = [
            _part(each, 100 * start / total, 100 * (end - start) / total, jobs)
            for each, (start, end) in zip(here, spans, strict=True)
        ]
        parts.sort(key=lambda part: part.left)
        index = gpu.index if gpu is not None else here[0].gpu_index
        uuid = gpu.uuid if gpu is not None else here[0].gpu
        result.append(GpuPart(index, uuid, gpu, parts))
    return result


def _part(each: SliceView, left: float, width: float, jobs: dict[int, JobView]) -> SlicePart:
    used = each.memory_used_mib
    part = None if used is None or not each.memory_mib else min(1.0, used / each.memory_mib)
    ref = None if each.job is None else ref_of(each.job, each.array)
    job = None if each.job is None else jobs.get(each.job)
    return SlicePart(each, left, width, None if part is None else width * part, ref, job)
