"""A chart of who is where when, in letters: one row for each lane, time from left to right.

Pure: bars become lines. A job is drawn from its beginning, with its id where that fits; a place
that several jobs share has a mark of its own, so that ten thousand jobs fit as well as ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from launcher.cli.output import render
from launcher.cli.output.charts.timeline import BEST, by_lane, short, ticks
from launcher.text.safe_text import safe
from launcher.wire import ref_of

if TYPE_CHECKING:
    from launcher.wire import Forecast

FEWEST_CELLS = 10
TICK_CELLS = 10


class Bar(NamedTuple):
    """Something on a lane, from second to second."""

    start: float
    end: float
    text: str


class Row(NamedTuple):
    """A lane, and what is on it."""

    label: str
    bars: Sequence[Bar]


class ChartMarks(NamedTuple):
    """The letters of a chart."""

    begin: str
    fill: str
    several: str
    idle: str


ASCII = ChartMarks("|", "=", "#", ".")
UNICODE = ChartMarks("│", "━", "▓", "·")


def lines(forecasts: Sequence[Forecast], width: int, *, utf8: bool) -> list[str]:
    """Return a chart for each forecast, all on one scale, and what the letters mean."""
    total = max((each.makespan for each in forecasts), default=0.0)
    result: list[str] = []
    for forecast in forecasts:
        result += [safe(forecast.layout) + (BEST if forecast.best else "")]
        rows = rows_of(forecast)
        shown = chart(rows, total, width, utf8=utf8) if forecast.runs else ["nothing runs"]
        result += [*(f"  {line}" for line in shown), ""]
    marks = UNICODE if utf8 else ASCII
    meaning = f"{marks.begin} a job begins  {marks.several} several jobs  {marks.idle} idle"
    return [*result, meaning] if total else result[:-1]


def speaks_utf8(encoding: str | None) -> bool:
    """Whether what is written so can have more letters than ASCII has."""
    return (encoding or "").lower().replace("-", "") == "utf8"


def rows_of(forecast: Forecast) -> list[Row]:
    """Return what is on each lane of a forecast."""
    return [
        Row(lane.label, [Bar(run.start, run.end, ref_of(run.job, run.array)) for run in runs])
        for lane, runs in by_lane(forecast)
    ]


def chart(
    rows: Sequence[Row], total: float, width: int, *, utf8: bool, now: str = "0", sign: str = ""
) -> list[str]:
    """Return a time axis that begins at ``now``, and a line for each row."""
    labels = [safe(row.label) for row in rows]
    wide = min(max((len(label) for label in labels), default=0), max(width // 2, 1))
    cells = max(FEWEST_CELLS, width - wide - 3)
    scale = cells / total if total > 0 else 1.0
    result = [f"{'':{wide}} {_axis(total, cells, now, sign)}".rstrip()]
    marks = UNICODE if utf8 else ASCII
    for label, row in zip(labels, rows, strict=True):
        result.append(f"{label[:wide]:{wide}} {_painted(row.bars, cells, scale, marks)}")
    return result


def _axis(total: float, cells: int, now: str, sign: str) -> str:
    line = ""
    for at in ticks(total, max(cells // TICK_CELLS, 2)):
        label = f"|{sign}{short(at)}" if at else f"|{now}"
        column = round(at * cells / total) if total > 0 else 0
        if len(line) <= column and column + len(label) <= cells:
            line = f"{line:{column}}{label}"
    return line


def _painted(bars: Sequence[Bar], cells: int, scale: float, marks: ChartMarks) -> str:
    """Return a lane's cells."""
    jobs = [0] * cells
    row = [marks.idle] * cells
    spans = []
    for bar in bars:
        # Ends are rounded as beginnings are: a job and the next one never share a cell.
        first = min(round(max(bar.start, 0.0) * scale), cells - 1)
        last = min(round(bar.end * scale), cells)
        spans.append((bar, first, max(last, first + 1)))
        for cell in range(first, max(last, first + 1)):
            jobs[cell] += 1
            row[cell] = marks.begin if cell == first else marks.fill
    for cell, count in enumerate(jobs):
        if count > 1:
            row[cell] = marks.several
    for bar, first, last in spans:
        _write(bar.text, row, jobs, range(first + 1, last), marks is UNICODE)
    return "".join(row)


def _write(text: str, row: list[str], jobs: list[int], room: range, utf8: bool) -> None:
    """Write a text into its bar; a number only whole, for half of it is another one."""
    fits = len(room) >= len(text) or (len(room) > 1 and not text.isdecimal())
    place = room[: len(text)]
    if fits and all(jobs[cell] == 1 for cell in place):
        for cell, letter in zip(place, text, strict=False):
            plain = render.columns(letter) == 1 and (utf8 or letter.isascii())
            row[cell] = letter if plain and letter.isprintable() else "?"
