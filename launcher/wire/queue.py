"""The queue: its order, why a job waits, what would happen, who has reserved what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from launcher.spec.bounds import STRICT, Most
from launcher.spec.job_spec import ArrayRequest, JobSpec
from launcher.wire.detail import MOST_REF
from launcher.wire.layout import LayoutSpec
from launcher.wire.shown import ArrayView, BlockerView, JobView


@dataclass(frozen=True, kw_only=True)
class SelectRequest:
    """Which jobs are meant: those of ``refs`` (all, where empty) that pass every filter.

    ``user`` is a name, a uid or ``me``, ``state`` words with commas in any case, ``name`` a pattern
    with ``*`` and ``?``. ``now``: running jobs get no grace period.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    refs: list[Annotated[str, Most(MOST_REF)]] = field(default_factory=list)
    user: str | None = None
    state: str | None = None
    name: Annotated[str, Most(128)] | None = None
    now: bool = False


@dataclass(frozen=True, kw_only=True)
class QueueEntry:
    """One waiting job in the order in which jobs are served, with what gives it its place.

    ``use`` is what its owner used lately, in GiB-hours of slices, decayed; ``share`` the owner's
    weight:
    among jobs of one priority the owner with the least ``use / share`` goes first, then the older
    job. ``position`` counts from 1, None for a job that is not in the queue yet.
    """

    position: int | None
    id: int
    name: str | None
    user: str
    priority: int
    use: float
    share: float
    profile: str | None
    count: int
    time_limit: float | None
    submitted_at: str
    reason: str | None
    array: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """A job in the way of another: in front of it, or on the slices that it could use.

    ``until`` is when it should end, None where it has no time limit or has not begun.
    """

    id: int
    user: str
    state: str
    priority: int
    profile: str | None
    count: int
    until: str | None
    array: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One thing that a job must pass to start, in order; ``blocker`` says what is missing."""

    name: str
    passed: bool
    blocker: BlockerView | None = None


@dataclass(frozen=True, kw_only=True)
class Why:
    """Why a job waits, and when it may start; of an array, its element that is served next.

    ``earliest_start`` is when enough slices could be free if nobody were in front;
    ``estimated_start`` is when it starts if every job takes its whole time limit; None where that
    cannot be told, and ``estimate`` says how it was told, or why not. ``array`` counts the elements
    where several were meant. ``gpu_memory_auto_mib`` is the slice memory that was chosen from what
    earlier jobs used; None where the request names it.
    """

    job: JobView
    position: int | None
    gates: list[Gate]
    blockers: list[BlockerView]
    ahead: list[Ahead]
    earliest_start: str | None
    estimated_start: str | None
    estimate: str
    array: ArrayView | None = None
    gpu_memory_auto_mib: int | None = None


@dataclass(frozen=True, kw_only=True)
class QueueStarts:
    """When the first waiting jobs are likely to start, by id: as ``estimated_start`` of ``Why``.

    ``at`` is when that was estimated. A job that is not in ``starts`` has no estimate.
    """

    at: str
    starts: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class WhatIfLayout:
    """A layout that every MIG-capable GPU would have; ``text`` is how the user wrote it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    text: str
    specs: list[LayoutSpec]


@dataclass(frozen=True, kw_only=True)
class WhatIfRequest:
    """What to replay: ``jobs`` alone, or the present queue where it is None.

    Without ``layouts`` it is the present layout, with the jobs that run on it. With some, each is
    replayed from an idle machine, and the present one beside them, so that they can be compared.
    ``runtime``: how long jobs take: their time limit, or the median of earlier jobs of
    their owner and name: the caller's own, an admin's replay takes everybody's.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    jobs: Annotated[list[JobSpec], Most(ArrayRequest.MAX_ELEMENTS)] | None = None
    layouts: list[WhatIfLayout] = field(default_factory=list)
    runtime: Literal["limit", "history"] = "limit"


@dataclass(frozen=True, kw_only=True)
class LaneView:
    """A slice of a replay, or CPU slots together; ``label`` names it for people."""

    uuid: str
    label: str
    memory_mib: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """A job as it ran in a replay: seconds from its beginning, and the lanes it was on."""

    job: int
    name: str | None
    user: str
    lanes: list[str]
    start: float
    end: float
    array: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What came of one layout. Times are seconds, ``use`` is the part of the memory in use.

    ``never`` are the jobs that could not start on it, ``never_refs`` the names of the first;
    ``best`` marks the layout that ends first.
    """

    layout: str
    makespan: float
    mean_wait: float
    worst_wait: float
    use: float
    jobs: int
    never: list[int]
    lanes: list[LaneView]
    runs: list[Run]
    best: bool = False
    never_refs: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ReserveRequest:
    """Keep slices for a user or a group, from ``start`` to ``end`` (RFC 3339).

    With neither they are for everybody's interactive jobs.
    Either ``slices`` names them by UUID, or ``count`` slices of ``profile`` are chosen.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    name: str
    start: str
    end: str
    user: str | None = None
    group: str | None = None
    slices: list[str] = field(default_factory=list)
    profile: str | None = None
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class ReservationView:
    """Slices kept for a user or group in a window; ``state`` is coming, on or over.

    With neither user nor group they are kept for interactive jobs.
    """

    name: str
    user: str | None
    group: str | None
    slices: list[str]
    labels: list[str]
    start: str
    end: str
    state: str
    by: str
