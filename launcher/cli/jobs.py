"""How jobs are shown, and which exit status a job's end is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from launcher.cli import render
from launcher.cli.brief import gpus, why
from launcher.wire import JobView

HEADINGS = ("ID", "NAME", "USER", "STATE", "GPUS", "TIME", "EXIT", "IMAGE", "REASON")


def print_jobs(jobs: Sequence[JobView], output: str) -> None:
    """Print jobs in the form that was asked for."""
    if output == "json":
        render.print_json(list(jobs))
    elif output == "name":
        render.print_names([job.id for job in jobs])
    else:
        now = datetime.now(UTC)
        render.print_table(HEADINGS, [_row(job, now) for job in jobs], ("IMAGE", "NAME"))


def print_short(jobs: Sequence[JobView], output: str) -> None:
    """Print jobs as the verbs that change them do: what they are now."""
    if output == "table":
        rows = [(job.id, job.name, job.word, why(job)) for job in jobs]
        render.print_table(("ID", "NAME", "STATE", "REASON"), rows)
    else:
        print_jobs(jobs, output)


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
