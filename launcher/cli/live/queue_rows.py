"""The queue as rows: what runs, then what waits in its order, then arrays with waiting elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from launcher.cli.output.columns import run_time
from launcher.cli.output.folding import short
from launcher.cli.output.job_tables import tally
from launcher.client.snapshot import Snapshot
from launcher.text.job_format import gpus, why
from launcher.text.moments import moment, span
from launcher.wire import ArrayView, JobView

HEADINGS = ("ID", "NAME", "USER", "STATE", "GPUS", "RUNTIME", "TIME", "LEFT", "START", "REASON")
SPARE = ("NAME", "GPUS", "RUNTIME", "USER")
_OPTIONAL = ("RUNTIME", "LEFT", "START")
"""Columns that are left out where no row has a value for them."""
_HELD = "JobHeld"


@dataclass(frozen=True)
class QueueRow:
    """A row of the queue. ``ref`` names it to the daemon; an array is one row."""

    ref: str
    user: str
    state: str
    held: bool
    is_array: bool
    cells: tuple[object, ...]

    def has(self, text: str) -> bool:
        """Whether a text is in any of its cells, in any case."""
        return any(text.casefold() in str(cell).casefold() for cell in self.cells if cell)


def queue_rows(
    snapshot: Snapshot, now: datetime, starts: Mapping[int, float], user: str | None, text: str
) -> list[QueueRow]:
    """Return the rows of a user's jobs (None: of all) that have ``text``.

    ``starts`` are estimates in seconds since 1970, by job id.
    """
    jobs = [*snapshot.head.jobs, *snapshot.elements]
    running = sorted((job for job in jobs if job.state != "PENDING"), key=lambda job: job.id)
    waiting = [job for job in snapshot.head.jobs if job.state == "PENDING"]
    rows = [_job_row(job, now, starts) for job in (*running, *waiting)]
    rows += [_array_row(array) for array in snapshot.head.arrays]
    return [row for row in rows if (user is None or row.user == user) and row.has(text)]


def queue_table(
    rows: Sequence[QueueRow],
) -> tuple[list[str], list[tuple[object, ...]], list[str]]:
    """Return headings, rows and spare columns of a table, without columns that are empty."""
    empty = {
        at
        for at, heading in enumerate(HEADINGS)
        if heading in _OPTIONAL and not any(len(r.cells) > at and r.cells[at] for r in rows)
    }
    shown = [heading for at, heading in enumerate(HEADINGS) if at not in empty]
    cells = [
        tuple(cell for at, cell in enumerate(row.cells) if at not in empty or row.is_array)
        for row in rows
    ]
    return shown, cells, [name for name in SPARE if name in shown]


def time_left(job: JobView, now: datetime) -> str | None:
    """Return how long a running job may still run, None without a limit."""
    started = moment(job.started_at)
    if started is None or job.time_limit is None or job.outcome:
        return None
    return span((started + timedelta(seconds=job.time_limit) - now).total_seconds())


def _job_row(job: JobView, now: datetime, starts: Mapping[int, float]) -> QueueRow:
    waits = job.state == "PENDING"
    start = starts.get(job.id) if waits else None
    cells = (
        job.ref,
        job.name,
        job.user,
        job.word,
        gpus(job),
        "host" if job.runtime == "host" else None,
        run_time(job, now),
        time_left(job, now),
        None if start is None else f"in {span(start - now.timestamp())}",
        why(job),
    )
    held = waits and (job.reason or "").startswith(_HELD)
    return QueueRow(job.ref, job.user, job.word, held, False, cells)


def _array_row(array: ArrayView) -> QueueRow:
    """Return the row of an array: its last cell runs on over the columns to the right."""
    label = f"{array.id}[{short(array.indices)}]"
    summary = "; ".join(text for text in (tally(array.counts), array.reason) if text)
    waits = "PENDING" if array.counts.get("PENDING") else "RUNNING"
    held = waits == "PENDING" and (array.reason or "").startswith(_HELD)
    cells = (label, array.name, array.user, summary)
    return QueueRow(str(array.id), array.user, waits, held, True, cells)
