"""What attempts used of the machine, as far as it was measured."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.core.model.job import Outcome


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


@dataclass(frozen=True, slots=True)
class PastRun:
    """The last attempt of an ended job: what it had, and what it used.

    ``seconds`` is how long it ran; ``slices`` are so many slices of ``profile`` (None if there
    were several profiles, or none), with ``memory_mib`` together. What was not measured is None.
    """

    uid: int
    user: str
    name: str
    outcome: Outcome
    seconds: float
    time_limit: float | None = None
    slices: int = 0
    profile: str | None = None
    memory_mib: int = 0
    gpu_memory_peak_mib: int | None = None
    gpu_activity_percent: float | None = None
