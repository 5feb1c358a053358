"""``launch show`` of an array: how its elements are, and those that are not well."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence

from launcher.cli.output import render, terminal
from launcher.cli.output.folding import Fold, fold
from launcher.cli.output.job_tables import ENDED_WELL, tally
from launcher.text.job_format import gpus, matrix, why
from launcher.text.moments import duration
from launcher.text.safe_text import safe
from launcher.wire import JobView, NotifyFailureView

HEADINGS = ("ELEMENT", "STATE", "ATTEMPT", "EXIT", "REASON")
MATRIX = "MATRIX"
MOST = 20
"""So many elements are listed."""


def is_array(ref: str, jobs: Sequence[JobView]) -> bool:
    """Whether a reference, which means these jobs, means an array and not one element of it."""
    arrays = {job.array["id"] if job.array else None for job in jobs}
    one_element = len(jobs) == 1 and ("[" in ref or ref == str(jobs[0].id))
    return len(arrays) == 1 and None not in arrays and not one_element


def show_array(jobs: Sequence[JobView], output: str, not_sent: Sequence[NotifyFailureView]) -> None:
    """Print an array of these elements, and notifications of it that could not be sent."""
    array = fold(jobs)
    if output == "json":
        render.print_json(_document(array[0], not_sent))
    elif output == "name":
        render.print_names([job.ref for job in array[0].jobs])
    else:
        _print(array[0])
        print_not_sent(not_sent, {job.id: job.ref for job in array[0].jobs})


def print_not_sent(
    failures: Sequence[NotifyFailureView], refs: Mapping[int, str] | None = None
) -> None:
    """Print notifications that could not be sent; ``refs`` name the jobs that are told apart."""
    for each in failures:
        ref = (refs or {}).get(each.job or 0)
        text = f"notification ({each.target}{f' of {ref}' if ref else ''}) failed: {each.detail}"
        sys.stdout.write(f"{safe(text)}\n")


def _document(array: Fold, not_sent: Sequence[NotifyFailureView]) -> dict[str, object]:
    first = array.jobs[0]
    return {
        "id": array.array,
        "name": first.name,
        "user": first.user,
        "indices": array.indices,
        "counts": array.counts,
        "jobs": render.plain(array.jobs),
        "not_sent": render.plain(list(not_sent)),
    }


def _print(array: Fold) -> None:
    first = array.jobs[0]
    render.print_pairs(
        [
            ("id", array.label),
            ("name", first.name),
            ("user", first.user),
            ("jobs", tally(array.counts)),
            ("gpus", _of_all(array.jobs, [gpus(job) for job in array.jobs])),
            ("image", _of_all(array.jobs, [job.image for job in array.jobs])),
            ("command", _of_all(array.jobs, [_command(job) for job in array.jobs])),
            ("priority", _of_all(array.jobs, [str(job.priority) for job in array.jobs])),
            ("time limit", _of_all(array.jobs, [_limit(job) for job in array.jobs])),
        ]
    )
    listed = [*_failed(array.jobs), *_left(array.jobs, waits=False), *_left(array.jobs, waits=True)]
    if listed:
        sys.stdout.write("\n")
        _print_elements(listed[:MOST])
    if len(listed) > MOST:
        more = len(listed) - MOST
        terminal.say(f"and {more} more (`launch ps {array.array}` lists all elements)")


def _print_elements(jobs: Sequence[JobView]) -> None:
    values = [matrix(job.array or {}) for job in jobs]
    rows: list[tuple[object, ...]] = [
        (job.ref, job.word, job.attempt, job.exit_code, why(job)) for job in jobs
    ]
    if any(values):
        rows = [(*row, value) for row, value in zip(rows, values, strict=True)]
        render.print_table((*HEADINGS, MATRIX), rows, ("REASON",))
    else:
        render.print_table(HEADINGS, rows)


def _failed(jobs: Sequence[JobView]) -> list[JobView]:
    return [job for job in jobs if job.outcome and job.outcome not in ENDED_WELL]


def _left(jobs: Sequence[JobView], *, waits: bool) -> list[JobView]:
    return [job for job in jobs if not job.outcome and (job.state == "PENDING") is waits]


def _of_all(jobs: Sequence[JobView], values: Sequence[str | None]) -> str | None:
    """Return what all elements have; where they differ, the first one's."""
    if len(set(values)) == 1:
        return values[0]
    return f"{values[0] or '-'} ({jobs[0].ref}'s; they differ)"


def _command(job: JobView) -> str | None:
    return shlex.join(job.command) if job.command else None


def _limit(job: JobView) -> str | None:
    return None if job.time_limit is None else duration(job.time_limit)
