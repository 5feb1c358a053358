"""How reservations are shown: a table, and below it what is kept for whom when."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from launcher.cli.output import render, terminal
from launcher.cli.output.charts import gantt
from launcher.text.moments import moment, second
from launcher.wire import ReservationView

HEADINGS = ("NAME", "FOR", "SLICES", "BEGIN", "END", "STATE", "BY")
WIDTH = 80
UUID_LETTERS = 12
"""So much of a slice's UUID tells it from others of its profile."""


def print_reservations(reservations: Sequence[ReservationView], output: str) -> None:
    """Print reservations in the form that was asked for; the table has a timeline."""
    if output == "json":
        render.print_json(list(reservations))
    elif output == "name":
        render.print_names([each.name for each in reservations])
    else:
        render.print_table(HEADINGS, [_row(each) for each in reservations])
        utf8 = gantt.speaks_utf8(sys.stdout.encoding)
        lines = timeline(reservations, datetime.now(UTC), terminal.width() or WIDTH, utf8=utf8)
        sys.stdout.write("".join(f"{line}\n" for line in lines))


def timeline(
    reservations: Sequence[ReservationView], now: datetime, width: int, *, utf8: bool
) -> list[str]:
    """Return an axis that begins now, and for each slice the windows in which it is kept."""
    bars: dict[tuple[str, str], list[gantt.Bar]] = {}
    for each in reservations:
        start, end = moment(each.start), moment(each.end)
        if start is None or end is None or end <= now:
            continue
        bar = gantt.Bar((start - now).total_seconds(), (end - now).total_seconds(), each.name)
        for label, uuid in zip(each.labels, each.slices, strict=False):
            bars.setdefault((label, uuid), []).append(bar)
    total = max((bar.end for lane_bars in bars.values() for bar in lane_bars), default=0.0)
    rows = [
        gantt.Row(f"{label} {uuid[:UUID_LETTERS]}", lane_bars)
        for (label, uuid), lane_bars in sorted(bars.items())
    ]
    if not rows:
        return []
    return ["", *gantt.chart(rows, total, width, utf8=utf8, now="now", sign="+")]


def _beneficiary(each: ReservationView) -> str:
    if each.user is None and each.group is None:
        return "interactive jobs"
    return each.user or f"group {each.group}"


def _row(each: ReservationView) -> tuple[object, ...]:
    slices = Counter(each.labels).items()
    return (
        each.name,
        _beneficiary(each),
        ", ".join(label if count == 1 else f"{count} x {label}" for label, count in slices),
        second(each.start),
        second(each.end),
        each.state,
        each.by,
    )
