"""What jobs could request instead, by what earlier ones used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AdviceView:
    """What the jobs of one user and name could request instead; what is unknown is None.

    ``kind`` is ``smaller-slice`` (``suggested_profile`` would do), ``idle-gpu`` (none of them used
    its slices) or ``shorter-limit`` (``suggested_time_limit`` would do). ``jobs`` is how many ended
    jobs show it. The peak of GPU memory, the activity and the longest run are the highest values of
    these; ``profile``, ``gpu_memory_mib`` and ``time_limit`` are what the last of them had.
    """

    user: str
    name: str
    kind: str
    jobs: int
    profile: str | None = None
    gpu_memory_mib: int | None = None
    gpu_memory_peak_mib: int | None = None
    gpu_activity_percent: float | None = None
    longest_seconds: float | None = None
    time_limit: float | None = None
    suggested_profile: str | None = None
    suggested_time_limit: float | None = None
