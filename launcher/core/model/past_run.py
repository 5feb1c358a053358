"""Runs of ended jobs, as the advice on their requests needs them."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.core.model.job import Outcome


@dataclass(frozen=True, slots=True)
class PastRun:
    """The last attempt of an ended job: what it had, and what it used.

    ``seconds`` is how long it ran; ``slices`` are so many slices of ``profile`` (None if there
    were several profiles, or none), with ``memory_mib`` together. What was not measured is None.
    """

    uid: int
    user: str
    name: str
    outcome: Outcome
    seconds: float
    time_limit: float | None = None
    slices: int = 0
    profile: str | None = None
    memory_mib: int = 0
    gpu_memory_peak_mib: int | None = None
    gpu_activity_percent: float | None = None
