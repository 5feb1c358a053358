"""The chart of a what-if as a picture: one panel for each layout, one colour for each user.

Pure: forecasts become the text of an SVG file that needs nothing else.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from launcher.cli.output.charts.timeline import BEST, by_lane, packed, short, ticks
from launcher.text.safe_text import safe
from launcher.wire import ref_of

if TYPE_CHECKING:
    from launcher.wire import Forecast, LaneView, Run

WIDTH = 1080
LEFT = 170
RIGHT = 50
ROW = 20
GAP = 3
MARGIN = 16
LETTER = 7
"""About the width of a letter."""

_ROOM = WIDTH - LEFT - RIGHT
_MOST_TICKS = 12
_GOLDEN = 0.618034
_ESCAPES = {
    ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;", 0xFFFE: "?",
    0xFFFF: "?",
}  # fmt: skip
_STYLE = """<style>
text { font: 12px ui-monospace, Menlo, Consolas, monospace; fill: #1f2328; }
.name { font-weight: bold; }
.id { font-size: 11px; fill: #101418; pointer-events: none; }
.page { fill: #ffffff; } .lane { fill: #f0f2f4; } .tick { stroke: #c8ced5; }
.job { stroke: #ffffff; stroke-width: 0.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .id { fill: #101418; }
  .page { fill: #0d1117; } .lane { fill: #1a2028; } .tick { stroke: #3a424c; }
  .job { stroke: #0d1117; }
}
</style>"""


def picture(forecasts: Sequence[Forecast]) -> str:
    """Return an SVG file with a chart for each forecast, all on one scale."""
    users = sorted({run.user for each in forecasts for run in each.runs})
    colors = {user: _color(number) for number, user in enumerate(users)}
    total = max((each.makespan for each in forecasts), default=0.0)
    legend, top = _legend(colors)
    body = list(legend)
    for forecast in forecasts:
        panel, top = _panel(forecast, top + MARGIN, total, colors)
        body += panel
    height = top + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
        f' viewBox="0 0 {WIDTH} {height}" role="img">'
    )
    page = f'<rect class="page" width="{WIDTH}" height="{height}"/>'
    return "\n".join([head, "<title>What if</title>", _STYLE, page, *body, "</svg>", ""])


def _color(number: int) -> str:
    """Return a colour that dark letters can be read on, far from those before it."""
    parts = colorsys.hls_to_rgb((0.55 + number * _GOLDEN) % 1, 0.7, 0.6)
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)


def _legend(colors: Mapping[str, str]) -> tuple[list[str], int]:
    """Return the users with their colours, and where the legend ends."""
    result, left, top = [], MARGIN, MARGIN
    for user, color in colors.items():
        wide = len(user) * LETTER + 36
        if left + wide > WIDTH and left > MARGIN:
            left, top = MARGIN, top + ROW
        result.append(f'<rect x="{left}" y="{top}" width="12" height="12" fill="{color}"/>')
        result.append(_words(left + 18, top + 10, user))
        left += wide
    return result, top + ROW


def _panel(
    forecast: Forecast, top: int, total: float, colors: Mapping[str, str]
) -> tuple[list[str], int]:
    """Return the chart of one forecast, and where it ends."""
    result = [_words(MARGIN, top + 12, forecast.layout + (BEST if forecast.best else ""), "name")]
    top += ROW * 2
    lanes: list[str] = []
    bottom = top
    for lane, runs in by_lane(forecast):
        drawn, height = _lane(lane, runs, bottom, total, colors)
        lanes += drawn
        bottom += height + GAP
    return [*result, *_axis(top, bottom, total), *lanes], bottom


def _axis(top: int, bottom: int, total: float) -> Iterator[str]:
    for at in ticks(total, _MOST_TICKS):
        x = _x(at, total)
        yield _words(x, top - 6, short(at))
        yield f'<line class="tick" x1="{x:g}" y1="{top}" x2="{x:g}" y2="{bottom}"/>'


def _lane(
    lane: LaneView, runs: Sequence[Run], top: int, total: float, colors: Mapping[str, str]
) -> tuple[list[str], int]:
    """Return one lane, and its height: jobs that are on it at once lie below each other."""
    rows, deep = packed(runs)
    thick = max(ROW // deep, 3)
    height = max(ROW, thick * deep)
    name = lane.label if len(lane.label) * LETTER < LEFT - MARGIN else f"{lane.label[:20]}…"
    result = [
        _words(MARGIN, top + height // 2 + 4, name),
        f'<rect class="lane" x="{LEFT}" y="{top}" width="{_ROOM}" height="{height}"/>',
    ]
    for run, row in rows:
        result += _bar(run, lane, top + row * thick, thick, total, colors[run.user])
    return result, height


def _bar(run: Run, lane: LaneView, top: int, thick: int, total: float, color: str) -> Iterator[str]:
    left = _x(run.start, total)
    wide = max(_x(run.end, total) - left, 0.5)
    when = f"{short(round(run.start))} to {short(round(run.end))}"
    ref = ref_of(run.job, run.array)
    title = f"job {ref} {run.name or ''} of {run.user}, {when}, on {lane.label}"
    yield (
        f'<rect class="job" x="{left:.2f}" y="{top}" width="{wide:.2f}" height="{thick}"'
        f' fill="{color}"><title>{escaped(" ".join(title.split()))}</title></rect>'
    )
    if thick >= ROW and wide > len(ref) * LETTER + 6:
        yield _words(round(left, 2) + 4, top + 14, ref, "id")


def _x(seconds: float, total: float) -> float:
    return LEFT + (_ROOM * seconds / total if total > 0 else 0.0)


def _words(x: float, y: float, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:g}" y="{y:g}">{escaped(text)}</text>'


def escaped(text: str) -> str:
    """Return a text as XML has it; what XML cannot have is written out."""
    return safe(text).translate(_ESCAPES)
