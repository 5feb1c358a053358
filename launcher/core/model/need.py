"""What a job needs: the fields of its GPU request that count, or a number of CPU slots."""

from __future__ import annotations

import math

from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import JobSpec


def slots_for(cpus: float | None) -> int:
    """Return the slots of a job that may use this many cores; without a number it is one core.

    >>> slots_for(None), slots_for(0.5), slots_for(2.5)
    (1, 1, 3)
    """
    return max(1, math.ceil(cpus or 1.0))


def need_of(spec: JobSpec) -> GpuRequest:
    """Return what the scheduler has to find for a job."""
    return needed(spec.gpus, spec.cpus)


def needed(gpus: GpuRequest, cpus: float | None = None) -> GpuRequest:
    """Return a request with only the fields that count for its kind.

    The count of a CPU job is its number of slots, so that jobs that need the same are equal.
    """
    of_memory = gpus.kind == "memory"
    return GpuRequest(
        kind=gpus.kind,
        profile=gpus.profile if gpus.kind == "profile" else None,
        count=slots_for(cpus) if gpus.kind == "none" else gpus.count,
        memory_gb=gpus.memory_gb if of_memory else None,
        memory_mib=gpus.memory_mib if of_memory else None,
        uuids=gpus.uuids if gpus.kind == "uuid" else (),
    )
