"""Parts of a job in a word or two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launcher.wire import Ahead, ArrayView, JobView, QueueEntry


def gpus(job: JobView | QueueEntry | Ahead | ArrayView) -> str | None:
    """Return the job's GPUs as people write them, or None for a CPU job."""
    if not job.profile or job.profile == "none":
        return "by UUID" if job.count and not job.profile else None
    single = job.count == 1 or "," in job.profile  # slices of several profiles are all named
    return job.profile if single else f"{job.profile}:{job.count}"


def why(job: JobView) -> str | None:
    """Return the reason of a job's state, with the sentence that explains it."""
    return ": ".join(part for part in (job.reason, job.message) if part) or None


def matrix(array: Mapping[str, Any]) -> str:
    """Return the values that an element has from a matrix.

    >>> matrix({"id": 12, "index": 3, "matrix": {"lr": "0.1", "seed": "2"}})
    'lr=0.1 seed=2'
    """
    return " ".join(f"{key}={value}" for key, value in (array.get("matrix") or {}).items())
