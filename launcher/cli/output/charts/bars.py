"""A bar chart of ``launch usage``, as SVG or PNG: one bar for each group."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.cli.output.charts.svg import escaped

if TYPE_CHECKING:
    from launcher.wire import UsageReport

WIDTH = 900
LEFT = 200
RIGHT = 150
ROW = 26
BAR = 18
MARGIN = 20
FONT_SIZE = 13
MOST_BARS = 60
"""Further groups are one bar."""
LONGEST_LABEL = 24
INK, PAPER, BAR_COLOR, FAINT = "#1f2328", "#ffffff", "#2f6feb", "#6a737d"


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A bar, in pixels from the top left."""

    x: float
    y: float
    width: float
    height: float
    color: str


@dataclass(frozen=True, slots=True)
class Label:
    """A line of text; ``y`` is its base line. ``right``: it ends at ``x``."""

    x: float
    y: float
    text: str
    color: str = INK
    right: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as shapes, on a white page of ``height`` pixels."""

    title: str
    height: int
    shapes: tuple[Rectangle | Label, ...]


def usage_chart(report: UsageReport) -> Chart:
    """Return the chart of a report: slice-GiB-hours of each group, and its share."""
    title = f"Slice-GiB-hours by {report.by}, {report.since[:16]} to {report.until[:16]} UTC"
    bars = _bars(report)
    most = max((hours for _, hours, _ in bars), default=0.0) or 1.0
    shapes: list[Rectangle | Label] = [Label(MARGIN, MARGIN + FONT_SIZE, title)]
    top = MARGIN * 2 + ROW
    for key, hours, share in bars:
        base = top + BAR / 2 + FONT_SIZE / 3
        wide = (WIDTH - LEFT - RIGHT) * hours / most
        figure = f"{hours:,.1f}" + (f"  {share:.1%}" if share is not None else "")
        shapes += [
            Label(LEFT - 8, base, _short(key), right=True),
            Rectangle(LEFT, top, max(wide, 1.0), BAR, BAR_COLOR),
            Label(LEFT + wide + 8, base, figure),
        ]
        top += ROW
    if report.idle_share is not None:
        shapes.append(Label(LEFT, top + FONT_SIZE, f"idle: {report.idle_share:.1%}", FAINT))
        top += ROW
    return Chart(title, top + MARGIN, tuple(shapes))


def _bars(report: UsageReport) -> list[tuple[str, float, float | None]]:
    """Return the name, hours and share of each bar; of days the earliest ones are one."""
    bars = [(view.key or "", view.gib_hours, view.share) for view in report.groups]
    if len(bars) <= MOST_BARS:
        return bars
    drawn, further = bars[: MOST_BARS - 1], bars[MOST_BARS - 1 :]
    if report.by == "day":
        drawn, further = bars[-MOST_BARS + 1 :], bars[: -MOST_BARS + 1]
    rest = ("(rest)", sum(hours for _, hours, _ in further), None)
    return [rest, *drawn] if report.by == "day" else [*drawn, rest]


def _short(key: str) -> str:
    return key if len(key) <= LONGEST_LABEL else f"{key[: LONGEST_LABEL - 1]}…"


def svg(chart: Chart) -> str:
    """Return the chart as the text of an SVG file that needs nothing else."""
    size = f'width="{WIDTH}" height="{chart.height}"'
    body = [_svg_shape(shape) for shape in chart.shapes]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {chart.height}"'
        f' role="img" font-family="sans-serif" font-size="{FONT_SIZE}">'
    )
    page = f'<rect {size} fill="{PAPER}"/>'
    return "\n".join([head, f"<title>{escaped(chart.title)}</title>", page, *body, "</svg>", ""])


def _svg_shape(shape: Rectangle | Label) -> str:
    at = f'x="{shape.x:.2f}" y="{shape.y:.2f}" fill="{shape.color}"'
    if isinstance(shape, Rectangle):
        return f'<rect {at} width="{shape.width:.2f}" height="{shape.height:g}"/>'
    anchor = ' text-anchor="end"' if shape.right else ""
    return f"<text {at}{anchor}>{escaped(shape.text)}</text>"


def png(chart: Chart) -> bytes:
    """Return the chart as a PNG file, drawn with Pillow and its own font."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (WIDTH, chart.height), PAPER)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(FONT_SIZE)
    for shape in chart.shapes:
        if isinstance(shape, Rectangle):
            corner = (shape.x + shape.width, shape.y + shape.height)
            draw.rectangle((shape.x, shape.y, *corner), fill=shape.color)
        else:
            anchor = "rs" if shape.right else "ls"
            draw.text((shape.x, shape.y), shape.text, fill=shape.color, font=font, anchor=anchor)
    result = io.BytesIO()
    image.save(result, "PNG")
    return result.getvalue()


def labels(chart: Chart) -> Sequence[str]:
    """Return the texts of a chart, in order."""
    return [shape.text for shape in chart.shapes if isinstance(shape, Label)]
