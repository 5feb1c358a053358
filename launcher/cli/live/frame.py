"""One frame of ``launch top``: the GPUs above, the queue below, as many lines as there is room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from launcher.cli.live.gpu_picture import LEVELS, PictureOf, gpu_lines
from launcher.cli.live.queue_rows import QueueRow, queue_rows, queue_table
from launcher.cli.live.spans import BAD, CHOSEN, FAINT, RULED, Line, Span, cut_line, line
from launcher.cli.output import render
from launcher.client.snapshot import Snapshot
from launcher.text.safe_text import safe

KEYS = "q quit  ↑↓ choose  l log  c cancel  h hold  m mine  / filter  ? help"
ASCII_KEYS = "q quit  j/k choose  l log  c cancel  h hold  m mine  / filter  ? help"
LEAST_QUEUE = 5
"""The GPUs leave so many rows to the queue, if it has them, and a third of the screen."""


@dataclass(frozen=True)
class Look:
    """How a frame is to look; without ``height`` it has every line, and no keys.

    ``user``: only jobs of this user; ``text``: only jobs that have it. ``trouble`` says why the
    snapshot is old, ``notice`` stands in place of the keys.
    """

    width: int
    height: int | None = None
    chosen: str | None = None
    user: str | None = None
    text: str = ""
    trouble: str = ""
    notice: str = ""
    ascii_only: bool = False
    starts: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Drawing:
    """The lines of a frame, and the rows of the queue in their order, also those not seen."""

    lines: list[Line]
    rows: list[QueueRow]


def draw(snapshot: Snapshot, look: Look, now: datetime) -> Drawing:
    """Return the frame of a snapshot; ``now`` is a moment with a time zone."""
    rows = queue_rows(snapshot, now, look.starts, look.user, look.text)
    picture = PictureOf(snapshot, now, look.width, look.chosen, look.ascii_only)
    head = [_title(snapshot, look, now)]
    if look.height is None:
        queue = _queue(snapshot, rows, look, None)
        return Drawing([*head, *gpu_lines(picture, 0), [], *queue], rows)
    room = max(0, look.height - 2)
    least = min(2 + max(len(rows), 1), max(LEAST_QUEUE + 2, look.height // 3))
    gpus = _fitting(picture, max(1, room - least))
    queue = _queue(snapshot, rows, look, room - len(gpus))
    if len(gpus) + len(queue) < room:
        gpus = [*gpus, []]
    body = [*head, *gpus, *queue][: look.height - 1]
    body += [[] for _ in range(look.height - 1 - len(body))]
    return Drawing([*body, _foot(look)][-look.height :], rows)


def _title(snapshot: Snapshot, look: Look, now: datetime) -> Line:
    words = [f"{snapshot.head.running} running", f"{snapshot.head.waiting} waiting"]
    if look.user is not None:
        words.append(f"only {safe(look.user)}")
    if look.text:
        words.append(f"filter: {safe(look.text)}")
    clock = f"{now.astimezone():%H:%M:%S}"
    spans = [Span("launch top", RULED), Span(f"  {clock}  {', '.join(words)}")]
    if look.trouble:
        spans = [Span(f"{clock}  {safe(look.trouble)}", BAD)]
    return cut_line(spans, look.width)


def _foot(look: Look) -> Line:
    keys = ASCII_KEYS if look.ascii_only else KEYS
    if look.notice:
        return cut_line(line(safe(look.notice), RULED), look.width)
    return cut_line(line(keys, FAINT), look.width)


def _fitting(picture: PictureOf, room: int) -> list[Line]:
    """Return the GPUs at the first level of detail that fits; the last one is cut."""
    lines: list[Line] = []
    for level in range(LEVELS):
        lines = gpu_lines(picture, level)
        if len(lines) <= room:
            return lines
    hidden = len(lines) - room + 1
    return [*lines[: room - 1], line(f"and {hidden} more GPUs", FAINT)]


def _queue(
    snapshot: Snapshot, rows: Sequence[QueueRow], look: Look, room: int | None
) -> list[Line]:
    """Return the queue in ``room`` lines; the chosen row is among them."""
    if not rows:
        some = look.user is not None or look.text
        return [line("no job is chosen by this filter" if some else "no job waits or runs", FAINT)]
    headings, cells, spare = queue_table(rows)
    heading, *texts = render.table_lines(headings, cells, spare, look.width)
    shown = [
        line(text, CHOSEN if row.ref == look.chosen else "")
        for row, text in zip(rows, texts, strict=True)
    ]
    folded = sum(row.is_array for row in rows)
    hidden = _hidden(snapshot, rows) if not folded and look.user is None and not look.text else 0
    more = [line(f"and {hidden} more", FAINT)] if hidden > 0 else []
    title = line(heading, FAINT)
    if room is None:
        return [title, *shown, *more]
    return [title, *_window(shown, rows, look.chosen, room - 1 - len(more)), *more]


def _hidden(snapshot: Snapshot, rows: Sequence[QueueRow]) -> int:
    return snapshot.head.running + snapshot.head.waiting - len(rows)


def _window(
    lines: Sequence[Line], rows: Sequence[QueueRow], chosen: str | None, room: int
) -> Sequence[Line]:
    if room <= 0 or len(lines) <= room:
        return lines[: max(room, 0)]
    at = next((at for at, row in enumerate(rows) if row.ref == chosen), 0)
    first = min(max(0, at - room // 2), len(lines) - room)
    return lines[first : first + room]
