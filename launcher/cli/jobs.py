"""How jobs are shown, and which exit status a job's end is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from launcher.cli import render
from launcher.cli.brief import gpus, label, why
from launcher.wire import ArrayView, JobView

LIVE = ("PENDING", "STARTING", "RUNNING")
ENDED_WELL = ("COMPLETED", "CANCELLED")
"""How a job ends that did not fail: well, or as somebody wished."""

HEADINGS = ("ID", "NAME", "USER", "STATE", "GPUS", "TIME", "EXIT", "IMAGE", "REASON")


def print_jobs(jobs: Sequence[JobView], output: str) -> None:
    """Print jobs in the form that was asked for."""
    if output == "json":
        render.print_json(list(jobs))
    elif output == "name":
        render.print_names([job.id for job in jobs])
    else:
        print_mixed(jobs, [])


def print_mixed(jobs: Sequence[JobView], arrays: Sequence[ArrayView]) -> None:
    """Print a table of jobs; arrays have a line each, where their ids are among the jobs'."""
    now = datetime.now(UTC)
    rows = [(job.id, _row(job, now)) for job in jobs]
    if arrays:
        rows += [(array.id, _array_row(array, now)) for array in arrays]
        rows.sort(key=lambda row: row[0])
    render.print_table(HEADINGS, [row for _, row in rows], ("IMAGE", "NAME"))


def print_short(jobs: Sequence[JobView], output: str) -> None:
    """Print jobs as the verbs that change them do: what they are now."""
    if output == "table":
        rows = [(label(job), job.name, job.word, why(job)) for job in jobs]
        render.print_table(("ID", "NAME", "STATE", "REASON"), rows)
    else:
        print_jobs(jobs, output)


def _row(job: JobView, now: datetime) -> tuple[object, ...]:
    return (
        label(job),
        job.name,
        job.user,
        job.word,
        gpus(job),
        _time(job, now),
        job.exit_code,
        job.image,
        why(job),
    )


def _array_row(array: ArrayView, now: datetime) -> tuple[object, ...]:
    return (
        f"{array.id}[{array.indices}]",
        array.name,
        array.user,
        tally(array.counts),
        gpus(array),
        since(array.submitted_at, now),
        None,
        array.image,
        array.reason,
    )


def tally(counts: Mapping[str, int]) -> str:
    """Return how many elements of an array are where; those that ended badly are named.

    >>> tally({"PENDING": 40, "RUNNING": 4, "COMPLETED": 53, "FAILED": 2, "TIMEOUT": 1})
    '40 pending, 4 running, 56 done (3 failed)'
    """
    parts = [f"{counts[word]} {word.lower()}" for word in LIVE if counts.get(word)]
    ended = {word: count for word, count in counts.items() if word not in LIVE}
    failed = sum(count for word, count in ended.items() if word not in ENDED_WELL)
    if done := sum(ended.values()):
        parts.append(f"{done} done" + (f" ({failed} failed)" if failed else ""))
    return ", ".join(parts) or "empty"


def _time(job: JobView, now: datetime) -> str | None:
    """How long it has run or did run; for one that waits, how long it has waited."""
    if job.outcome and not job.started_at:
        return None
    end = moment(job.ended_at) if job.ended_at else now
    return since(job.started_at or job.submitted_at, end) if end else None


def since(start: str, end: datetime) -> str | None:
    """Return the time from a moment of the wire to another."""
    begun = moment(start)
    return span((end - begun).total_seconds()) if begun else None


def moment(text: str | None) -> datetime | None:
    """Return a moment of the wire."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def second(text: str) -> str:
    """Return a moment of the wire without what is less than a second."""
    at = moment(text)
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at else text


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
