"""A bar over the memory of a GPU: where each slice stands, to scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from launcher.cli.live.spans import FAINT, Line, Span, fitted
from launcher.client.snapshot import extents
from launcher.wire import GpuView, SliceView

EDGES = "|", "│"
USED, UNUSED = ("#", "█"), (".", "░")
"""Each as ASCII, and as other letters."""


@dataclass(frozen=True)
class SliceBar:
    """A slice on the bar; ``first`` and ``last`` are the columns of its edges."""

    slice: SliceView
    first: int
    last: int

    @property
    def room(self) -> int:
        """The columns between the edges."""
        return max(0, self.last - self.first - 1)


@dataclass(frozen=True)
class BarRows:
    """The slices of one GPU on a bar of ``width`` columns, from left to right."""

    bars: Sequence[SliceBar]
    width: int
    ascii_only: bool

    def row(self, label: Callable[[SliceBar], str], styles: Mapping[str, str]) -> Line:
        """Return a row with a text in each slice; ``styles`` are by UUID."""
        edge, spans, column = EDGES[not self.ascii_only], list[Span](), 0
        for bar in self.bars:
            if bar.first < column - 1 or bar.last >= self.width:
                continue  # its place is not as NVML told: the table below has it
            if bar.first >= column:
                spans.append(Span(" " * (bar.first - column)))
                spans.append(Span(edge, FAINT))
            spans.append(Span(fitted(label(bar), bar.room), styles.get(bar.slice.uuid, "")))
            spans.append(Span(edge, FAINT))
            column = bar.last + 1
        spans.append(Span(" " * max(0, self.width - column)))
        return [span for span in spans if span.text]

    def memory_row(self, styles: Mapping[str, str]) -> Line:
        """Return a row that is filled as far as the memory of each slice is used."""
        return self.row(self._fill, styles)

    def _fill(self, bar: SliceBar) -> str:
        used, total = bar.slice.memory_used_mib, bar.slice.memory_mib
        if used is None:
            return "?"
        part = round(bar.room * min(1.0, used / total)) if total > 0 else 0
        part = max(part, 1) if used > 0 else part
        letters = USED[not self.ascii_only], UNUSED[not self.ascii_only]
        return letters[0] * min(part, bar.room) + letters[1] * max(0, bar.room - part)


def bars_of(
    gpu: GpuView | None, slices: Sequence[SliceView], width: int, *, ascii_only: bool
) -> BarRows:
    """Place the slices of a GPU on a bar: in the memory units of the board if they are known."""
    spans, total = extents(gpu, slices)
    most = max(width - 1, 1)
    bars = [
        SliceBar(each, round(start * most / total), round(end * most / total))
        for each, (start, end) in zip(slices, spans, strict=True)
    ]
    bars.sort(key=lambda bar: (bar.first, bar.last))
    return BarRows(bars, width, ascii_only)
