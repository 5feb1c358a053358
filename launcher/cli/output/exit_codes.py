"""What a job's end is as an exit status: the container's own, Docker's 125 to 127, or ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.wire import JobView

EXIT_NEVER_RAN = 125
EXIT_TIMEOUT = 124
EXIT_OOM = 137
EXIT_CANCELLED = 130


def exit_status(job: JobView) -> int:
    """Return the exit status of ``run`` and ``wait`` for a job's outcome, as docker has them."""
    if job.outcome == "COMPLETED":
        return 0
    if job.outcome == "FAILED":
        return EXIT_NEVER_RAN if job.exit_code is None else job.exit_code or 1
    if job.outcome == "OUT_OF_MEMORY":
        return job.exit_code or EXIT_OOM
    fixed = {"TIMEOUT": EXIT_TIMEOUT, "CANCELLED": EXIT_CANCELLED}
    return fixed.get(job.outcome or "", EXIT_NEVER_RAN)
