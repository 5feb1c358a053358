"""How jobs are shown, and which exit status a job's end is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from launcher.cli.output import render
from launcher.cli.output.columns import HEADINGS, row
from launcher.text.job_format import why
from launcher.wire import ArrayView, JobView

LIVE = ("PENDING", "STARTING", "RUNNING")
COMPLETING = "COMPLETING"
"""Of a job without an outcome: it runs again once its slices are free."""
ENDED_WELL = ("COMPLETED", "CANCELLED")
"""How a job ends that did not fail: well, or as somebody wished."""

SPARE = ("IMAGE", "EXIT", "TIME", "NAME")


def print_jobs(jobs: Sequence[JobView], output: str) -> None:
    """Print jobs in the form that was asked for."""
    if output == "json":
        render.print_json(list(jobs))
    elif output == "name":
        render.print_names([job.ref for job in jobs])
    else:
        print_mixed(jobs, [])


def print_mixed(jobs: Sequence[JobView], arrays: Sequence[ArrayView]) -> None:
    """Print a table of jobs; arrays have a line each, where their ids are among the jobs'."""
    now = datetime.now(UTC)
    rows = [(job.id, row(job, now)) for job in jobs]
    if arrays:
        rows += [(array.id, _array_row(array)) for array in arrays]
        rows.sort(key=lambda row: row[0])
    render.print_table(HEADINGS, [row for _, row in rows], SPARE)


def print_folded(jobs: Sequence[JobView]) -> None:
    """Print a table of jobs in which an array is one line."""
    from launcher.cli.output.folding import array_view, fold

    result = fold(jobs)
    singles = [each.jobs[0] for each in result if each.array is None]
    print_mixed(
        singles, [array_view(each.array, each) for each in result if each.array is not None]
    )


def print_short(jobs: Sequence[JobView], output: str) -> None:
    """Print jobs as the verbs that change them do: what they are now."""
    if output != "table":
        print_jobs(jobs, output)
    elif any(job.exit_code is not None for job in jobs):
        ended = [(job.ref, job.name, job.word, job.exit_code, why(job)) for job in jobs]
        render.print_table(("ID", "NAME", "STATE", "EXIT", "REASON"), ended)
    else:
        rows = [(job.ref, job.name, job.word, why(job)) for job in jobs]
        render.print_table(("ID", "NAME", "STATE", "REASON"), rows)


def _array_row(array: ArrayView) -> tuple[object, ...]:
    """Return the row of an array: its last cell runs on over the columns to the right."""
    from launcher.cli.output.folding import short

    summary = "; ".join(text for text in (tally(array.counts), array.reason) if text)
    return (f"{array.id}[{short(array.indices)}]", array.name, array.user, summary)


def tally(counts: Mapping[str, int]) -> str:
    """Return how many elements of an array are where; those that ended badly are named.

    >>> tally({"PENDING": 40, "RUNNING": 4, "COMPLETED": 53, "FAILED": 2, "TIMEOUT": 1})
    '40 pending, 4 running, 56 done (3 failed)'
    """
    live = (*LIVE, COMPLETING)
    parts = [f"{counts[word]} {word.lower()}" for word in live if counts.get(word)]
    ended = {word: count for word, count in counts.items() if word not in live}
    failed = sum(count for word, count in ended.items() if word not in ENDED_WELL)
    if done := sum(ended.values()):
        parts.append(f"{done} done" + (f" ({failed} failed)" if failed else ""))
    return ", ".join(parts) or "empty"
