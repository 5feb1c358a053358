"""Lines of text with styles: what is drawn, without a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from launcher.cli.output import render

RULED, GOOD, BAD, FAINT, CHOSEN = "bold", "green", "red", "dim", "reverse"
"""The styles. A frame means the same without them."""


class Span(NamedTuple):
    """A piece of a line; ``style`` is one of the styles above, or empty."""

    text: str
    style: str = ""


Line = list[Span]


def line(text: str, style: str = "") -> Line:
    """Return a line in one style."""
    return [Span(text, style)]


def plain(lines: Iterable[Sequence[Span]]) -> list[str]:
    """Return the text of lines, without trailing spaces."""
    return ["".join(span.text for span in each).rstrip() for each in lines]


def fitted(text: str, width: int) -> str:
    """Return the text cut or padded to exactly ``width`` columns of a terminal."""
    return render.pad(render.cut(text, width), width) if width > 0 else ""


def cut_line(spans: Sequence[Span], width: int) -> Line:
    """Return what of a line fits in ``width`` columns."""
    result: Line = []
    for span in spans:
        taken = render.columns(span.text)
        if taken > width:
            result.append(Span(render.cut(span.text, width), span.style))
            break
        result.append(span)
        width -= taken
    return result
