"""Parts of a job in a word or two."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.wire import JobView


def gpus(job: JobView) -> str | None:
    """Return the job's GPUs as people write them, or None for a CPU job."""
    if not job.profile or job.profile == "none":
        return "by UUID" if job.count and not job.profile else None
    return job.profile if job.count == 1 else f"{job.profile}:{job.count}"


def why(job: JobView) -> str | None:
    """Return the reason of a job's state, with the sentence that explains it."""
    return ": ".join(part for part in (job.reason, job.message) if part) or None
