"""What an attempt used of the machine, as far as it was measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one attempt used; each value is None if it is unknown.

    ``memory_peak_bytes`` is host memory with the page cache, as the memory limit counts it;
    ``cpu_seconds`` the time on all cores; ``read_bytes`` and ``written_bytes`` the traffic of
    block devices. Of the GPU there are the highest use of memory that was seen (MiB, all slices
    together) and the mean activity of its slices in percent.
    """

    memory_peak_bytes: int | None = None
    cpu_seconds: float | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    gpu_memory_peak_mib: int | None = None
    gpu_activity_percent: float | None = None


UNMEASURED = Measurement()
