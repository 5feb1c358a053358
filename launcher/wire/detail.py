"""One job in full, as ``show`` prints it; and the smaller requests about a job."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from launcher.spec.bounds import STRICT, Most
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import JobSpec
from launcher.wire.history import NotifyFailureView
from launcher.wire.shown import ArrayView, BlockerView, JobView

MOST_REF = 1024
"""Of one reference to jobs, in characters; a request has at most 1000 of them."""


@dataclass(frozen=True, kw_only=True)
class SignalRequest:
    """A signal for a running job's container, by name (``SIGINT``)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    signal: str


@dataclass(frozen=True, kw_only=True)
class RetryJobs:
    """Which ended jobs shall run again, together; with ``failed`` those of them that failed."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    refs: list[Annotated[str, Most(MOST_REF)]]
    failed: bool = False


@dataclass(frozen=True, kw_only=True)
class EditRequest:
    """What to change of a job; None leaves it as it is. A ``time_limit`` of 0 is none."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    priority: int | None = None
    time_limit: float | None = None
    gpus: GpuRequest | None = None
    hold: bool | None = None


@dataclass(frozen=True, kw_only=True)
class AttemptView:
    """One try at running a job. ``output_gaps``: in how many places its log says something is
    missing or cut; None where that was not looked at.

    The last seven say what it used, while it runs so far; None where that is unknown. Host memory
    is with the page cache, as the memory limit counts it. ``gpu_memory_mib`` is what its slices
    have.
    """

    attempt: int
    slices: list[str]
    container_id: str | None
    container_name: str
    image_id: str | None
    started_at: str | None
    ended_at: str | None
    exit_code: int | None
    oom: bool
    cause: str | None
    output_gaps: int | None = None
    memory_peak_bytes: int | None = None
    cpu_seconds: float | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    gpu_memory_peak_mib: int | None = None
    gpu_activity_percent: float | None = None
    gpu_memory_mib: int | None = None


@dataclass(frozen=True, kw_only=True)
class EventView:
    """One line of a job's history."""

    at: str
    event: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class LimitsView:
    """What a live job's container may take: bytes of memory, processes, open files; None: all."""

    memory: int | None
    pids: int | None
    nofile: int | None


@dataclass(frozen=True, kw_only=True)
class TerminalView:
    """Who is attached to a running interactive job: whether one ``writes``, and how many there are.

    It ends when nobody has used it for ``limit`` seconds; ``idle`` are those that have passed.
    """

    writes: bool
    clients: int
    idle: float
    limit: float


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


@dataclass(frozen=True, kw_only=True)
class JobDetail:
    """What ``show`` prints: the job, its whole spec, its attempts, its history, its blockers.

    Values of environment variables are the owner's alone to see. ``policy_version`` is that of the
    policy under which it was queued, None where nobody knows. ``advice`` is on an ended job.
    ``not_sent`` are notifications that could not be sent.
    """

    job: JobView
    spec: JobSpec | None
    image_id: str | None
    blockers: list[BlockerView]
    position: int | None
    attempts: list[AttemptView]
    events: list[EventView]
    limits: LimitsView | None = None
    policy_version: int | None = None
    terminal: TerminalView | None = None
    advice: list[AdviceView] = field(default_factory=list)
    not_sent: list[NotifyFailureView] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ArrayPage:
    """An array, and some of its elements: by part, then by id.

    ``array`` counts all elements; ``more``: further elements follow. ``not_sent`` are the last
    notifications of the array and its elements that could not be sent.
    """

    array: ArrayView
    elements: list[JobView]
    more: bool
    not_sent: list[NotifyFailureView] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class DockerCommand:
    """The words of the ``docker run`` that does the same as a job: options, image, command.

    Each option is one word, with its value behind ``=``. ``notes`` say where the two differ.
    """

    words: list[str]
    notes: list[str]
