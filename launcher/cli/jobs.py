"""How jobs are shown, and which exit status a job's end is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from launcher.cli import render
from launcher.wire import JobView

EXIT_NEVER_RAN = 125
EXIT_TIMEOUT = 124
EXIT_OOM = 137
EXIT_CANCELLED = 130

HEADINGS = ("ID", "NAME", "USER", "STATE", "GPUS", "TIME", "EXIT", "IMAGE", "REASON")


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


def print_jobs(jobs: Sequence[JobView], output: str) -> None:
    """Print jobs in the form that was asked for."""
    if output == "json":
        render.print_json(list(jobs))
    elif output == "name":
        render.print_names([job.id for job in jobs])
    else:
        now = datetime.now(UTC)
        render.print_table(HEADINGS, [_row(job, now) for job in jobs])


def print_short(jobs: Sequence[JobView], output: str) -> None:
    """Print jobs as the verbs that change them do: what they are now."""
    if output == "table":
        rows = [(job.id, job.name, job.word, why(job)) for job in jobs]
        render.print_table(("ID", "NAME", "STATE", "REASON"), rows)
    else:
        print_jobs(jobs, output)


def gpus(job: JobView) -> str | None:
    """Return the job's GPUs as people write them, or None for a CPU job."""
    if not job.profile or job.profile == "none":
        return "by UUID" if job.count and not job.profile else None
    return job.profile if job.count == 1 else f"{job.profile}:{job.count}"


def why(job: JobView) -> str | None:
    """Return the reason of a job's state, with the sentence that explains it."""
    return ": ".join(part for part in (job.reason, job.message) if part) or None


def _row(job: JobView, now: datetime) -> tuple[object, ...]:
    return (
        job.id,
        job.name,
        job.user,
        job.word,
        gpus(job),
        _time(job, now),
        job.exit_code,
        job.image,
        why(job),
    )


def _time(job: JobView, now: datetime) -> str | None:
    """How long it has run or did run; for one that waits, how long it has waited."""
    if job.outcome and not job.started_at:
        return None
    start = moment(job.started_at or job.submitted_at)
    end = moment(job.ended_at) if job.ended_at else now
    return span((end - start).total_seconds()) if start and end else None


def moment(text: str | None) -> datetime | None:
    """Return a moment of the wire."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def span(seconds: float) -> str:
    """Return a length of time in its two largest units.

    >>> span(8.2), span(3725), span(200000)
    ('8s', '1h2m', '2d7h')
    """
    left = max(0, int(seconds))
    days, hours, minutes = left // 86400, left // 3600 % 24, left // 60 % 60
    if days:
        return f"{days}d{hours}h"
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{left % 60}s" if minutes else f"{left}s"
