"""The trace that every queue runs, and what its records say."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

JOBS = 40
JOB_MS = 200
SLOTS = 4
NS = 1_000_000_000


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """One job that ran: when, in nanoseconds since the epoch, and on which slice."""

    start: int
    end: int
    slot: str


def parse(record: str) -> Span:
    """Read what one job wrote, "<slice> <start> <end>"; ValueError if it is anything else."""
    slot, start, end = record.split()
    span = Span(int(start), int(end), slot)
    if slot == "-":
        raise ValueError(f"a job was given no slice: {record!r}")
    if span.end < span.start:
        raise ValueError(f"a job ended before it started: {record!r}")
    return span


def finished(records: Path) -> int:
    """Return how many jobs have written their record; it appears by rename."""
    return sum(not path.name.startswith(".") for path in records.iterdir())


def read(records: Path) -> list[Span]:
    """Return all records of a run, in order of their start."""
    paths = (path for path in records.iterdir() if not path.name.startswith("."))
    return sorted(parse(path.read_text()) for path in paths)


def makespan(began: int, spans: Iterable[Span]) -> float:
    """Return the seconds from the first word of the submit to the end of the last job."""
    return (max(span.end for span in spans) - began) / NS


def between(spans: Iterable[Span]) -> list[float]:
    """Return the seconds between one job's end and the next one's start, slot by slot.

    A negative figure is two jobs on one slice at the same time.
    """
    slots: dict[str, list[Span]] = {}
    for span in sorted(spans):
        slots.setdefault(span.slot, []).append(span)
    return [
        (after.start - before.end) / NS
        for slot in slots.values()
        for before, after in itertools.pairwise(slot)
    ]


def clashes(spans: Iterable[Span]) -> int:
    """Return how often a job started on a slice that another one was still on."""
    return sum(gap < 0 for gap in between(spans))
