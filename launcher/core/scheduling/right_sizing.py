"""Which jobs request more than they use: larger slices, idle GPUs, longer time limits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from launcher.core.model.gpu import FULL, Gpu, scarcity
from launcher.core.model.job import Outcome
from launcher.core.model.measurement import PastRun

Number = TypeVar("Number", int, float)

MARGIN_PERCENT, MARGIN_MIB = 10, 256
"""What a slice must have beyond the highest peak: a part of it, and a fixed size."""
IDLE_PERCENT = 3.0
IDLE_MIB = 100
"""Less memory means that a slice was not used: a CUDA context alone takes more."""
IDLE_SECONDS = 600.0
"""A job that held its slices for less time may have been about to use them."""
LIMIT_FACTOR, LIMIT_SECONDS = 4.0, 3600.0
"""A time limit is too long if it is this many times the longest run, and this much more."""
LIMIT_SUGGESTED, LIMIT_STEP_SECONDS = 2.0, 300.0
"""A suggested limit is this many times the longest run, rounded up to whole steps."""
MOST_ADVICE = 1000
"""More are not returned, so that a reply has a bound."""


class AdviceKind(Enum):
    """What a job requests too much of."""

    SMALLER_SLICE = "smaller-slice"
    IDLE_GPU = "idle-gpu"
    SHORTER_LIMIT = "shorter-limit"


@dataclass(frozen=True, slots=True)
class Advice:
    """What jobs of one user and name could request instead; ``runs`` are the jobs that show it.

    ``profile`` and ``memory_mib`` are what the last of them had, ``peak_mib`` and ``percent`` the
    highest values of all (None if unknown), ``longest`` the longest run and ``limit`` the time
    limit in seconds. The suggestion is a ``smaller`` profile, or a ``shorter`` limit.
    """

    user: str
    name: str
    kind: AdviceKind
    runs: int
    profile: str | None = None
    memory_mib: int | None = None
    peak_mib: int | None = None
    percent: float | None = None
    longest: float | None = None
    limit: float | None = None
    smaller: str | None = None
    shorter: float | None = None


@dataclass(frozen=True, slots=True)
class ProfileSize:
    """A profile that a GPU offers: its memory in MiB, and its compute slices."""

    name: str
    memory_mib: int
    compute: int


def with_margin(peak_mib: int) -> int:
    """Return the memory to request for a peak, in MiB.

    >>> with_margin(3174), with_margin(0)
    (3748, 256)
    """
    return peak_mib + math.ceil(peak_mib * MARGIN_PERCENT / 100) + MARGIN_MIB


def sizes_of(gpus: Iterable[Gpu]) -> tuple[ProfileSize, ...]:
    """Return the profiles that these GPUs offer, the smallest first; of equals the plainest."""
    found = {
        (p.name, p.memory_mib): ProfileSize(p.name, p.memory_mib, p.slice_count)
        for gpu in gpus
        for p in gpu.profiles
    }
    return tuple(sorted(found.values(), key=lambda p: (p.memory_mib, scarcity(p.name))))


def advise(runs: Iterable[PastRun], sizes: Sequence[ProfileSize]) -> list[Advice]:
    """Return the advice that past runs, newest first, allow; by user and name, up to a bound."""
    groups: dict[tuple[str, str], list[PastRun]] = {}
    for run in runs:
        groups.setdefault((run.user, run.name), []).append(run)
    advice: list[Advice] = []
    for _, group in sorted(groups.items()):
        gpu = _idle_gpu(group) or _smaller_slice(group, sizes)
        advice += [each for each in (gpu, _shorter_limit(group)) if each is not None]
    return advice[:MOST_ADVICE]


def _idle_gpu(group: Sequence[PastRun]) -> Advice | None:
    """Return advice if no job used its slices, and some held them for long."""
    measured = [run for run in group if run.slices and _is_idle(run) is not None]
    known = [run for run in measured if run.seconds >= IDLE_SECONDS]
    if not known or not all(_is_idle(run) for run in measured):
        return None
    return Advice(
        known[0].user,
        known[0].name,
        AdviceKind.IDLE_GPU,
        len(known),
        profile=known[0].profile,
        memory_mib=known[0].memory_mib,
        peak_mib=_highest(run.gpu_memory_peak_mib for run in known),
        percent=_highest(run.gpu_activity_percent for run in known),
        longest=max(run.seconds for run in known),
    )


def _is_idle(run: PastRun) -> bool | None:
    """Whether a run left its slices unused, by their activity or else memory; None if unknown."""
    if run.gpu_activity_percent is not None:
        return run.gpu_activity_percent < IDLE_PERCENT
    return None if run.gpu_memory_peak_mib is None else run.gpu_memory_peak_mib < IDLE_MIB


def _smaller_slice(group: Sequence[PastRun], sizes: Sequence[ProfileSize]) -> Advice | None:
    """Return advice if each job would have fit a smaller slice than the last one had.

    Only jobs with one slice tell how much memory one needs, and one of them must have completed:
    one that did not needed at least what it used.
    """
    last = next((run for run in group if run.slices), None)
    measured = [r for r in group if r.slices == 1 and r.gpu_memory_peak_mib is not None]
    peaks = [peak for run in measured if (peak := run.gpu_memory_peak_mib) is not None]
    completed = any(run.outcome is Outcome.COMPLETED for run in measured)
    if last is None or last.slices != 1 or not completed:
        return None
    percent = _highest(run.gpu_activity_percent for run in group if run.slices == 1)
    fitting = [p for p in sizes if with_margin(max(peaks)) <= p.memory_mib < last.memory_mib]
    smaller = next((p for p in fitting if not _would_slow(last, percent, p, sizes)), None)
    if smaller is None:
        return None
    return Advice(
        last.user,
        last.name,
        AdviceKind.SMALLER_SLICE,
        len(peaks),
        profile=last.profile,
        memory_mib=last.memory_mib,
        peak_mib=max(peaks),
        percent=percent,
        smaller=smaller.name,
    )


def _would_slow(
    run: PastRun, percent: float | None, smaller: ProfileSize, sizes: Sequence[ProfileSize]
) -> bool:
    """Whether the known activity would exceed what a smaller profile can compute."""
    if run.profile == FULL:
        compute = max(p.compute for p in sizes)
    else:
        compute = next((p.compute for p in sizes if p.name == run.profile), 0)
    return percent is not None and percent * compute > 100 * smaller.compute


def _shorter_limit(group: Sequence[PastRun]) -> Advice | None:
    """Return advice if the last job's time limit is far above the longest run."""
    last, completed = group[0], sum(run.outcome is Outcome.COMPLETED for run in group)
    longest = max(run.seconds for run in group)
    if last.time_limit is None or not completed:
        return None
    if last.time_limit < max(LIMIT_FACTOR * longest, longest + LIMIT_SECONDS):
        return None
    steps = math.ceil(LIMIT_SUGGESTED * longest / LIMIT_STEP_SECONDS)
    return Advice(
        last.user,
        last.name,
        AdviceKind.SHORTER_LIMIT,
        len(group),
        longest=longest,
        limit=last.time_limit,
        shorter=max(1, steps) * LIMIT_STEP_SECONDS,
    )


def _highest(values: Iterable[Number | None]) -> Number | None:
    return max((value for value in values if value is not None), default=None)
