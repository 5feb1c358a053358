"""The machine and the daemon: slices, status, checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class SliceView:
    """A slice as ``slices`` shows it. ``placement`` is in the board's memory units.

    ``memory_shared``: other slices of its GPU instance have the same memory, or may get it; it is
    given only to jobs that ask for exactly its profile or UUID.
    ``memory_used_mib`` and ``processes`` are as last sampled, a few seconds ago; None if NVML does
    not report them. Only the owner of the slice's job and admins see processes.
    ``why`` it cannot be used now, ``since`` when if that is known, and what to do (``fix``).
    """

    uuid: str
    gpu: str
    gpu_index: int
    profile: str
    memory_mib: int
    gi: int | None
    ci: int | None
    placement: dict[str, int] | None
    state: str
    job: int | None
    attempt: int | None
    user: str | None
    made_by: str
    why: str | None = None
    since: str | None = None
    fix: str | None = None
    memory_shared: bool = False
    array: dict[str, Any] | None = None
    memory_used_mib: int | None = None
    processes: list[ProcessView] | None = None


@dataclass(frozen=True, kw_only=True)
class ProcessView:
    """A process on a slice. ``user`` is None if unknown, ``memory_mib`` if NVML has no figure."""

    pid: int
    user: str | None
    memory_mib: int | None


@dataclass(frozen=True, kw_only=True)
class ChangeCount:
    """A number that grows when the jobs, slices or GPUs that the caller sees may have changed.

    It grows at most four times a second, also across restarts of the daemon.
    """

    count: int


@dataclass(frozen=True, kw_only=True)
class Status:
    """The daemon's own health. ``state`` is healthy or degraded, ``problems`` says why.

    ``fake_gpu``: the GPUs are not real. ``loop_lag``: for how many seconds the daemon was held up
    at most, within the last minute, before it came to a request or an event; ``loop_step``: the
    same in processor time of its own, which other programs on the machine do not lengthen.
    ``shell_image`` is what `launch shell` opens.
    """

    state: Literal["healthy", "degraded"]
    problems: list[str]
    version: str
    api_version: int
    pid: int
    store: str
    socket: str
    state_dir: str
    docker: str | None
    driver: str | None
    gpus: int
    slices: dict[str, int]
    jobs: dict[str, int]
    started_at: str
    fake_gpu: bool = False
    loop_lag: float = 0.0
    loop_step: float = 0.0
    shell_image: str = ""


@dataclass(frozen=True, kw_only=True)
class MetricSample:
    """One value of a metric. Of a histogram, ``value`` is the sum of all observations.

    ``counts`` are a histogram's observations by bucket, the last one unbounded; not cumulative.
    """

    labels: dict[str, str]
    value: float
    counts: list[int] | None = None


@dataclass(frozen=True, kw_only=True)
class MetricFamily:
    """A metric of the daemon under its name in Prometheus, a counter's without ``_total``.

    ``bounds`` are the upper ends of a histogram's buckets but the last one.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: list[MetricSample]
    bounds: list[float] | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of ``doctor``. ``state`` is ok, warning or problem."""

    check: str
    state: Literal["ok", "warning", "problem"]
    message: str
    fix: str | None = None
