"""Samples how much memory of each slice is used, and by which processes, for users to see."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from launcher.core.model.gpu import Slice
from launcher.errors import GpuFault, GpuUnavailable
from launcher.gpu import Activity, GpuProcess, GpuReader

T = TypeVar("T")

BUDGET_SECONDS = 1.0
"""A sample of all slices takes no longer: those whose turn does not come have no figures."""
MOST_PROCESSES = 64
"""More processes of a slice are not listed."""


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """A process on a slice; ``uid`` is None if it has ended, ``memory_mib`` if unknown."""

    pid: int
    uid: int | None
    memory_mib: int | None


@dataclass(frozen=True, slots=True)
class SliceSample:
    """One slice's use; a value is None if NVML did not report it."""

    memory_used_mib: int | None = None
    processes: tuple[ProcessSample, ...] | None = None


NO_SAMPLE = SliceSample()


class SliceSampler:
    """Keeps the last sample of each slice. The decisions of the daemon do not depend on it."""

    def __init__(
        self, gpu: GpuReader, budget_s: float = BUDGET_SECONDS, proc: Path = Path("/proc")
    ) -> None:
        self._gpu, self._budget_s, self._proc = gpu, budget_s, proc
        self._samples: Mapping[str, SliceSample] = {}

    def of(self, uuid: str) -> SliceSample:
        """Return the last sample of a slice, without values if there is none. Thread-safe."""
        return self._samples.get(uuid, NO_SAMPLE)

    def memory_used_mib(self, uuid: str) -> int | None:
        """Return the memory in use on a slice when it was last sampled. Thread-safe."""
        return self.of(uuid).memory_used_mib

    def sample(self, uuids: Iterable[str]) -> bool:
        """Sample these slices; return whether anything differs from before. Blocks."""
        until = time.monotonic() + self._budget_s
        before = self._samples
        self._samples = {uuid: self._sample(uuid, until) for uuid in uuids}
        return before != self._samples

    def activity(self, slices: Iterable[Slice]) -> dict[str, Activity]:
        """Return the activity of slices since the last call, by UUID, where it is known. Blocks."""
        until = time.monotonic() + self._budget_s
        read = self._gpu.activity
        values = ((s.uuid, _value(partial(read, s), until)) for s in slices)
        return {uuid: activity for uuid, activity in values if activity is not None}

    def _sample(self, uuid: str, until: float) -> SliceSample:
        memory = _value(lambda left: self._gpu.memory_used(uuid, left), until)
        processes = _value(lambda left: self._gpu.processes(uuid, left), until)
        shown = None if processes is None else tuple(map(self._process, _largest(processes)))
        return SliceSample(memory, shown)

    def _process(self, process: GpuProcess) -> ProcessSample:
        try:
            uid = (self._proc / str(process.pid)).stat().st_uid
        except OSError:
            uid = None
        return ProcessSample(process.pid, uid, process.memory_mib)


def _value(read: Callable[[float], T], until: float) -> T | None:
    """Return what NVML reports within the time left, None if it does not."""
    left = until - time.monotonic()
    if left <= 0:
        return None
    try:
        return read(left)
    except (GpuUnavailable, GpuFault):
        return None


def _largest(processes: Iterable[GpuProcess]) -> list[GpuProcess]:
    """Return one entry per process, those with most memory first."""
    by_pid: dict[int, GpuProcess] = {}
    for process in processes:  # a process may be listed for compute and graphics
        known = by_pid.get(process.pid)
        if known is None or (known.memory_mib or 0) < (process.memory_mib or 0):
            by_pid[process.pid] = process
    ordered = sorted(by_pid.values(), key=lambda each: (-(each.memory_mib or 0), each.pid))
    return ordered[:MOST_PROCESSES]
