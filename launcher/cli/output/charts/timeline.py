"""What both charts of a what-if need: who is on which lane, and round moments for the axis."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from launcher.text.moments import duration

if TYPE_CHECKING:
    from launcher.wire import Forecast, LaneView, Run

BEST = " (best)"

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 28, 56, 112, 224, 448)),
)


def ticks(total: float, most: int) -> Iterator[int]:
    """Yield round moments from 0 to ``total``, ``most`` of them at most."""
    step = next((step for step in STEPS if total / step < most), int(total / max(most, 1)) + 1)
    yield from range(0, int(total) + 1, step)


def short(seconds: int) -> str:
    """Return a moment of the axis: ``1h30m``."""
    return duration(seconds) if seconds else "0"


def by_lane(forecast: Forecast) -> list[tuple[LaneView, list[Run]]]:
    """Return the lanes of a forecast with the runs on each."""
    runs: dict[str, list[Run]] = {lane.uuid: [] for lane in forecast.lanes}
    for run in forecast.runs:
        for uuid in run.lanes:
            if uuid in runs:
                runs[uuid].append(run)
    return [(lane, runs[lane.uuid]) for lane in forecast.lanes]


def packed(runs: Sequence[Run]) -> tuple[list[tuple[Run, int]], int]:
    """Return each run with a row of its lane in which nothing else is then, and how many rows."""
    result: list[tuple[Run, int]] = []
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    for run in sorted(runs, key=lambda run: run.start):
        while busy and busy[0][0] <= run.start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        row = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (run.end, row))
        result.append((run, row))
    return result, max((row for _, row in result), default=0) + 1
