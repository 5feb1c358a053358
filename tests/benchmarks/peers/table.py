"""What was measured, as a table and the notes below it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.peers.peer import Mode

HEAD = "| queue | version | job started as | makespan | to ours | idle between two jobs |"
RULE = "|---|---|---|---|---|---|"


@dataclass(slots=True)
class Row:
    """One queue in one mode; or, with ``why``, the reason that there are no figures."""

    name: str
    version: str = "-"
    mode: Mode | None = None
    makespans: list[float] = field(default_factory=list)
    """Seconds, one for every run."""
    gaps: list[float] = field(default_factory=list)
    """Seconds that a slot was idle between two jobs, of all runs."""
    clashes: int = 0
    why: str = ""


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the table; every makespan is set against ours in containers."""
    ours = [row for row in rows if row.mode is Mode.LAUNCHER and row.makespans]
    yield from (HEAD, RULE)
    for row in rows:
        mode = row.mode or "-"
        if row.why:
            yield f"| {row.name} | {row.version} | {mode} | {row.why} | - | - |"
            continue
        makespan = statistics.median(row.makespans)
        ratio = f"{makespan / statistics.median(ours[0].makespans):.2f}" if ours else "-"
        idle = f"{statistics.median(row.gaps) * 1000:.0f} ms" if row.gaps else "-"
        yield f"| {row.name} | {row.version} | {mode} | {makespan:.2f} s | {ratio} | {idle} |"


def notes(rows: Sequence[Row], cannot: dict[str, str]) -> Iterator[str]:
    """Yield what a queue could not do, how far apart its runs were, jobs that shared a slice."""
    yield "- Idle: from the end of one job's work to the start of the next one's on the same slice;"
    yield "  with containers, ending one and starting one are in it. Medians of all runs."
    for name, text in cannot.items():
        yield f"- {name}: {text}."
    for row in rows:
        if row.clashes:
            yield f"- {row.name}, {row.mode}: {row.clashes} jobs started on a slice in use!"
        if len(row.makespans) > 1:
            low, high = min(row.makespans), max(row.makespans)
            yield f"- {row.name}, {row.mode}: {len(row.makespans)} runs, {low:.2f} to {high:.2f} s."
