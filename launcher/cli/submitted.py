"""What a submit queued, or would queue: an array is one line."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby

from launcher.cli import render
from launcher.cli.brief import gpus, why
from launcher.cli.jobs import print_jobs
from launcher.interpolation import template
from launcher.wire import JobRequest, JobView


def images(job: JobRequest) -> set[str]:
    """Return the images that a request needs: a sweep may name one for each combination."""
    matrix = job.array.matrix if job.array else []
    found = template(job.image, {key for values in matrix for key in values})
    if found is None:
        return {job.image}
    return {"".join(found.pieces(values)) for values in matrix}


def print_submitted(views: Sequence[JobView], output: str) -> None:
    """Print the jobs that were queued."""
    if output != "table":
        print_jobs(views, output)
        return
    rows = [
        (name, jobs[0].name, _states(jobs), why(jobs[0]) if len(jobs) == 1 else jobs[0].reason)
        for name, jobs in _folded(views)
    ]
    render.print_table(("ID", "NAME", "STATE", "REASON"), rows)


def print_planned(views: Sequence[JobView]) -> None:
    """Print the jobs that would be queued."""
    rows = [
        (
            jobs[0].name,
            len(jobs),
            gpus(jobs[0]),
            jobs[0].priority,
            jobs[0].image,
            shlex.join(jobs[0].command or ()) or None,
        )
        for _, jobs in _folded(views)
    ]
    render.print_table(("NAME", "JOBS", "GPUS", "PRIORITY", "IMAGE", "COMMAND"), rows)


def ids(views: Sequence[JobView]) -> list[str]:
    """Return the ids of jobs; of an array, its own with its elements."""
    return [name for name, _ in _folded(views)]


def _folded(views: Sequence[JobView]) -> Iterator[tuple[str, list[JobView]]]:
    """Yield (id, jobs) of each job or array of a submit, in order."""
    for key, group in groupby(views, key=lambda view: view.array and (view.array["id"], view.name)):
        jobs = list(group)
        if key is None:
            yield from ((str(job.id), [job]) for job in jobs)
        else:
            first, last = (job.array["index"] for job in (jobs[0], jobs[-1]) if job.array)
            yield f"{key[0]}[{first}-{last}]" if first != last else f"{key[0]}[{first}]", jobs


def _states(jobs: Sequence[JobView]) -> str:
    words = [job.word for job in jobs]
    if len(set(words)) == 1:
        return words[0]
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
