"""The columns of ``ps``: what they show, and how they are sorted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from launcher.cli.output import render
from launcher.text.job_format import gpus, matrix, why
from launcher.text.moments import duration, moment, second, since
from launcher.wire import JobView


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``key`` sorts, None last; without one the cells do."""

    heading: str
    cell: Callable[[JobView, datetime], object]
    key: Callable[[JobView, datetime], Any] | None = None
    spare: bool = True


def _seconds(job: JobView, now: datetime) -> float | None:
    start = moment(job.started_at or (None if job.outcome else job.submitted_at))
    end = moment(job.ended_at) if job.ended_at else now
    return None if start is None or end is None else (end - start).total_seconds()


def _command(job: JobView, now: datetime) -> str | None:
    import shlex

    return shlex.join(job.command) if job.command else None


def run_time(job: JobView, now: datetime) -> str | None:
    """Return how long a job has run or did run; for one that waits, how long it has waited."""
    if job.outcome and not job.started_at:
        return None
    end = moment(job.ended_at) if job.ended_at else now
    return since(job.started_at or job.submitted_at, end) if end else None


def _moment(name: str) -> Column:
    def cell(job: JobView, now: datetime) -> object:
        text = getattr(job, name)
        return None if text is None else second(text)

    def key(job: JobView, now: datetime) -> object:
        return moment(getattr(job, name))

    return Column(name.removesuffix("_at").upper(), cell, key)


COLUMNS = {
    "id": Column("ID", lambda job, _: job.ref, lambda job, _: job.id, spare=False),
    "name": Column("NAME", lambda job, _: job.name),
    "user": Column("USER", lambda job, _: job.user),
    "state": Column("STATE", lambda job, _: job.word, spare=False),
    "gpus": Column("GPUS", lambda job, _: gpus(job)),
    "time": Column("TIME", run_time, _seconds),
    "exit": Column("EXIT", lambda job, _: job.exit_code),
    "image": Column("IMAGE", lambda job, _: job.image),
    "reason": Column("REASON", lambda job, _: why(job), spare=False),
    "priority": Column("PRIORITY", lambda job, _: job.priority),
    "attempt": Column("ATTEMPT", lambda job, _: job.attempt),
    "command": Column("COMMAND", _command),
    "slices": Column("SLICES", lambda job, _: ",".join(job.slices) or None),
    "matrix": Column("MATRIX", lambda job, _: matrix(job.array or {}) or None),
    "limit": Column(
        "LIMIT",
        lambda job, _: None if job.time_limit is None else duration(job.time_limit),
        lambda job, _: job.time_limit,
    ),
    "submitted": _moment("submitted_at"),
    "started": _moment("started_at"),
    "ended": _moment("ended_at"),
}
DEFAULT = ("id", "name", "user", "state", "gpus", "time", "exit", "image", "reason")
HEADINGS = tuple(COLUMNS[name].heading for name in DEFAULT)


def parse_columns(text: str) -> list[str]:
    """Return the columns of a list with commas; ``ValueError`` names those there are."""
    return [_known(part.strip().lower()) for part in text.split(",")]


def parse_sort(text: str) -> list[tuple[str, bool]]:
    """Return (column, descending) of ``user,-time``: the first counts most."""
    words = [part.strip().lower() for part in text.split(",")]
    return [(_known(word.removeprefix("-")), word.startswith("-")) for word in words]


def _known(word: str) -> str:
    if word in COLUMNS:
        return word
    import difflib

    near = difflib.get_close_matches(word, COLUMNS, 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise ValueError(f"'{word[:40]}' is not a column{hint}: write {', '.join(COLUMNS)}")


def sort(jobs: Sequence[JobView], by: Sequence[tuple[str, bool]]) -> list[JobView]:
    """Return jobs in order; those without a value come last, equal ones as they were."""
    now, result = datetime.now(UTC), list(jobs)
    for name, descending in reversed(by):
        key = COLUMNS[name].key or COLUMNS[name].cell
        values: dict[int, Any] = {job.id: key(job, now) for job in result}
        some = [job for job in result if values[job.id] is not None]
        none = [job for job in result if values[job.id] is None]
        some.sort(key=lambda job: values[job.id], reverse=descending)
        result = some + none
    return result


def row(job: JobView, now: datetime, names: Sequence[str] = DEFAULT) -> tuple[object, ...]:
    """Return a job's cells."""
    return tuple(COLUMNS[name].cell(job, now) for name in names)


def print_columns(jobs: Sequence[JobView], names: Sequence[str]) -> None:
    """Print a table of jobs with these columns, a line for each job."""
    now = datetime.now(UTC)
    spare = [COLUMNS[name].heading for name in reversed(names[:-1]) if COLUMNS[name].spare]
    headings = [COLUMNS[name].heading for name in names]
    render.print_table(headings, [row(job, now, names) for job in jobs], spare)
