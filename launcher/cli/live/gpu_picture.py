"""The GPUs with their slices to scale, as lines: a bar over the memory, and a table of slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from launcher.cli.live.bars import SliceBar, bars_of
from launcher.cli.live.queue_rows import time_left
from launcher.cli.live.spans import BAD, CHOSEN, FAINT, GOOD, RULED, Line, Span, cut_line, line
from launcher.cli.output import render
from launcher.client.snapshot import Snapshot, by_gpu
from launcher.text.safe_text import safe
from launcher.wire import GpuView, JobView, SliceView, ref_of

HEADINGS = ("SLICE", "AT", "STATE", "JOB", "USER", "NAME/WHY", "MEMORY", "LEFT", "PROCESSES")
SPARE = ("NAME/WHY", "PROCESSES", "AT", "USER")
LEVELS = 5
"""Levels of detail: 0 has every line, the last one a line for each GPU."""
_STYLES = {"leased": GOOD, "releasing": GOOD, "free": ""}
NONE = "no GPU is known: `launch status` says why"


@dataclass(frozen=True)
class PictureOf:
    """What a picture of the GPUs is drawn from; ``chosen`` names the selected job."""

    snapshot: Snapshot
    now: datetime
    width: int
    chosen: str | None = None
    ascii_only: bool = False

    @property
    def jobs(self) -> dict[int, JobView]:
        """The jobs by id."""
        return self.snapshot.jobs


def gpu_lines(what: PictureOf, level: int) -> list[Line]:
    """Return the lines of all GPUs at a level of detail."""
    gpus = by_gpu(what.snapshot)
    if not gpus:
        return [line(NONE, FAINT)]
    listed = [each for _, slices in gpus for each in slices if _is_listed(each, level)]
    heading, *rows = render.table_lines(
        HEADINGS, [_row(each, what) for each in listed], SPARE, max(what.width - 1, 1)
    )
    of_slice = dict(zip((each.uuid for each in listed), rows, strict=True))
    result: list[Line] = []
    told = False
    for gpu, slices in gpus:
        result.append(_header(gpu, slices, what.width))
        if level < LEVELS - 1:
            result += _bar(gpu, slices, what, level)
        here = [each for each in slices if each.uuid in of_slice]
        if here and not told:
            result.append(line(f" {heading}", FAINT))
            told = True
        result += [line(f" {of_slice[each.uuid]}", _style(each, what)) for each in here]
    return result


def _is_listed(each: SliceView, level: int) -> bool:
    return level < 2 or (level == 2 and each.state != "free")


def _header(gpu: GpuView | None, slices: Sequence[SliceView], width: int) -> Line:
    index = gpu.index if gpu else slices[0].gpu_index
    name = safe(gpu.name) if gpu else "unknown"
    words = Counter(each.state for each in slices)
    counts = ", ".join(f"{count} {safe(word)}" for word, count in words.items())
    mode = "" if gpu is None or gpu.mig_current is None else "MIG" if gpu.mig_current else "MIG off"
    if gpu is not None and gpu.mig_pending not in (None, gpu.mig_current):
        mode += f", {'on' if gpu.mig_pending else 'off'} after a reset"
    memory = f"{gpu.memory_mib}MiB" if gpu else ""
    facts = "  ".join(part for part in (memory, mode, counts or "no slices") if part)
    return cut_line([Span(f"GPU {index}  {name}", RULED), Span(f"  {facts}")], width)


def _bar(
    gpu: GpuView | None, slices: Sequence[SliceView], what: PictureOf, level: int
) -> list[Line]:
    bars = bars_of(gpu, slices, what.width, ascii_only=what.ascii_only)
    styles = {each.uuid: _style(each, what) for each in slices}
    rows = [bars.row(lambda bar: safe(bar.slice.profile), styles)]
    rows.append(bars.row(_who, styles))
    if level < 2 and any(each.memory_used_mib is not None for each in slices):
        rows.append(bars.memory_row(styles))
    return rows


def _who(bar: SliceBar) -> str:
    each = bar.slice
    if each.job is None:
        return safe(each.state)
    return safe(f"{ref_of(each.job, each.array)} {each.user or ''}")


def _style(each: SliceView, what: PictureOf) -> str:
    if each.job is not None and ref_of(each.job, each.array) == what.chosen:
        return CHOSEN
    return _STYLES.get(each.state, BAD)


def _row(each: SliceView, what: PictureOf) -> tuple[object, ...]:
    job = None if each.job is None else what.jobs.get(each.job)
    used = "-" if each.memory_used_mib is None else str(each.memory_used_mib)
    at = None if each.placement is None else each.placement.get("start")
    return (
        each.profile,
        at,
        each.state,
        None if each.job is None else ref_of(each.job, each.array),
        each.user,
        (job.name if job else None) or (each.why if each.job is None else None),
        f"{used}/{each.memory_mib}MiB",
        time_left(job, what.now) if job else None,
        _processes(each),
    )


def _processes(each: SliceView) -> str | None:
    if each.processes is None:
        return None
    if not each.processes:
        return "none"
    return ", ".join(
        f"{process.pid} {process.user or '?'}"
        + ("" if process.memory_mib is None else f" {process.memory_mib}MiB")
        for process in each.processes
    )
