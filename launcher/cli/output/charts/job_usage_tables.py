"""What each job used, as a table, as CSV and as JSON: ``launch usage --jobs``."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from launcher.cli.output import render
from launcher.cli.output.charts.usage_tables import harmless
from launcher.text.moments import span
from launcher.text.sizes import MIB, size_text

if TYPE_CHECKING:
    from launcher.wire import JobUsage

HEADINGS = (
    "JOB", "USER", "NAME", "STATE", "PROFILE", "WAITED", "RAN", "LIMIT", "MEMORY", "OF", "CPU",
    "GPU MEM", "OF", "GPU",
)  # fmt: skip


def print_jobs(pages: Iterable[Sequence[JobUsage]], output: str) -> None:
    """Print one line a job; a table only once all are known."""
    jobs = itertools.chain.from_iterable(pages)
    if output == "csv":
        _csv(jobs)
    elif output == "json":
        render.print_json(list(jobs))
    else:
        render.print_table(HEADINGS, [_row(job) for job in jobs], ("NAME", "USER"))


def _row(job: JobUsage) -> tuple[object, ...]:
    ref = f"{job.array['id']}[{job.array['index']}]" if job.array else job.id
    profile = job.profile or ("cpu" if not job.slices else "-")
    return (
        ref,
        job.user,
        job.name or "-",
        job.outcome or job.state,
        f"{profile}:{job.slices}" if job.slices > 1 else profile,
        span(job.wait_seconds),
        "-" if job.run_seconds is None else span(job.run_seconds),
        "-" if job.time_limit is None else span(job.time_limit),
        _bytes(job.memory_peak_bytes),
        _bytes(job.memory_limit),
        "-" if job.cpu_seconds is None else f"{job.cpu_seconds:.2f}s",
        _mib(job.gpu_memory_peak_mib),
        _mib(job.slice_memory_mib),
        "-" if job.gpu_activity_percent is None else f"{job.gpu_activity_percent:.0f}%",
    )


def _bytes(size: int | None) -> str:
    return "-" if size is None else size_text(size)


def _mib(mib: int | None) -> str:
    return _bytes(None if mib is None else mib * MIB)


def _csv(jobs: Iterable[JobUsage]) -> None:
    writer: csv.DictWriter[str] | None = None
    for job in jobs:
        row = dataclasses.asdict(job)
        array = row.pop("array") or {"id": None, "index": None}
        row |= {"array_id": array["id"], "array_index": array["index"]}
        cells = {
            name: harmless(value) if isinstance(value, str) else value
            for name, value in row.items()
        }
        if writer is None:
            writer = csv.DictWriter(sys.stdout, list(cells), lineterminator="\n")
            writer.writeheader()
        writer.writerow(cells)
