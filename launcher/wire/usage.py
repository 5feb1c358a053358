"""What users use: slices over time, and disk space now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from launcher.spec.bounds import STRICT


@dataclass(frozen=True)
class JobDisk:
    """HOME, /tmp and the writable layer of one running job, in bytes."""

    id: int
    bytes: int


@dataclass(frozen=True)
class UserDisk:
    """What one user's jobs have on disk, and the limits, in bytes.

    ``waits`` says why no job of the user starts; None if they may.
    """

    user: str
    uid: int
    cache: int
    cache_limit: int
    jobs: list[JobDisk]
    job_limit: int
    waits: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClearCacheRequest:
    """Empty ~/.cache of a user's jobs: the caller's, or as an admin that of ``user``."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    user: str | None = None


@dataclass(frozen=True)
class ClearCacheReply:
    """Whose cache was emptied, and the bytes that it had."""

    user: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class UsageView:
    """The sums of one group, or of all (``key`` is then None).

    ``slice_hours`` and ``gib_hours`` count from grant to release of each slice, of running jobs
    until the end of the period; ``slot_hours`` are CPU slots of jobs without a slice.
    ``share`` is the part of the machine's slice-GiB-hours (of the profile's slice-hours where the
    group is a profile), None if the capacity is unknown. ``jobs`` ended in the period, by outcome
    and reason in ``ends``; ``wait_p50`` and the others are percentiles of the seconds in the queue,
    to two digits.
    """

    key: str | None
    slice_hours: float
    gib_hours: float
    slot_hours: float
    share: float | None
    jobs: int
    running: int
    failed: int
    ends: dict[str, int]
    wait_p50: int | None
    wait_p90: int | None
    wait_p99: int | None


@dataclass(frozen=True, kw_only=True)
class UsageReport:
    """The use of a period by group, largest first, and of all groups together.

    ``capacity_gib_hours`` and ``idle_share`` are None where the capacity is not known for the
    whole period. ``own``: only the caller's jobs. ``whole_days``: the period was extended to whole
    days (UTC), as only the day is known of what deleted jobs used; ``since`` and ``until`` say it.
    """

    since: str
    until: str
    by: str
    groups: list[UsageView]
    total: UsageView
    capacity_gib_hours: float | None
    idle_share: float | None
    own: bool
    whole_days: bool


@dataclass(frozen=True, kw_only=True)
class JobUsage:
    """What one job that ran used, over all its attempts; what was not measured is None.

    ``name`` and ``image`` are None for who may not see them. ``wait_seconds`` is from the submit to
    the first grant, ``held_seconds`` the slice-seconds of its leases, ``run_seconds`` the time of
    its last attempt. Of memory and activity it is the highest, of the others the sum.
    ``memory_limit`` is in bytes, ``cpu_limit`` in cores, ``slice_memory_mib`` that of its slices.
    """

    id: int
    array: dict[str, Any] | None
    user: str
    name: str | None
    image: str | None
    state: str
    outcome: str | None
    reason: str | None
    exit_code: int | None
    attempts: int
    profile: str | None
    slices: int
    submitted_at: str
    started_at: str | None
    ended_at: str | None
    wait_seconds: float
    run_seconds: float | None
    held_seconds: float
    time_limit: float | None
    memory_peak_bytes: int | None
    memory_limit: int | None
    cpu_seconds: float | None
    cpu_limit: float | None
    gpu_memory_peak_mib: int | None
    slice_memory_mib: int | None
    gpu_activity_percent: float | None
    read_bytes: int | None
    written_bytes: int | None
