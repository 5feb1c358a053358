"""What a submit queued, or would queue: an array is one line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from launcher.cli.output import render
from launcher.cli.output.folding import Fold, fold
from launcher.cli.output.job_tables import print_jobs
from launcher.interpolation import template
from launcher.spec.job_spec import JobSpec
from launcher.text.job_format import gpus, why
from launcher.wire import JobView


def images(job: JobSpec) -> set[str]:
    """Return the images that a request needs: a sweep may name one for each combination."""
    if not job.image:
        return set()
    matrix = job.array.matrix if job.array else []
    result = template(job.image, {key for values in matrix for key in values})
    if result is None:
        return {job.image}
    return {result.render(values) for values in matrix}


def print_submitted(views: Sequence[JobView], output: str) -> None:
    """Print the jobs that were queued."""
    if output != "table":
        print_jobs(views, output)
        return
    rows = [
        (each.label, each.jobs[0].name, _states(each), _reason(each.jobs)) for each in fold(views)
    ]
    render.print_table(("ID", "NAME", "STATE", "REASON"), rows)


def print_planned(views: Sequence[JobView]) -> None:
    """Print the jobs that would be queued."""
    rows = [
        (
            each.jobs[0].name,
            len(each.jobs),
            gpus(each.jobs[0]),
            each.jobs[0].priority,
            each.jobs[0].image,
            shlex.join(each.jobs[0].command or ()) or None,
        )
        for each in fold(views)
    ]
    render.print_table(("NAME", "JOBS", "GPUS", "PRIORITY", "IMAGE", "COMMAND"), rows)


def ids(views: Sequence[JobView]) -> list[str]:
    """Return the ids of jobs; of an array, its own with its elements."""
    return [each.label for each in fold(views)]


def _reason(jobs: Sequence[JobView]) -> str | None:
    return why(jobs[0]) if len(jobs) == 1 else jobs[0].reason


def _states(each: Fold) -> str:
    counts = each.counts
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {word}" for word, count in counts.items())
