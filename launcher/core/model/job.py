"""Jobs as the scheduler knows them.

State, outcome and reason are three fields: where a job is, how it ended, why it is where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from launcher.indices import element
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import Retries, SignalBefore

MOST_TOLD = 100
"""A job that waits for more others than these has a line in its history for the last end alone."""


class State(Enum):
    """Where a job is."""

    PENDING = "PENDING"
    #: A lease is committed; a container may exist.
    STARTING = "STARTING"
    #: The container was seen started.
    RUNNING = "RUNNING"
    #: Ended; outcome and exit code are set, a slice is not yet proven free.
    COMPLETING = "COMPLETING"
    DONE = "DONE"


class Outcome(Enum):
    """How a job ended."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMEOUT = "TIMEOUT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    #: What became of the container cannot be known.
    LOST = "LOST"


class Reason(Enum):
    """Why a job is where it is; Slurm's words where Slurm has one."""

    RESOURCES = "Resources"
    PRIORITY = "Priority"
    DEPENDENCY = "Dependency"
    DEPENDENCY_NEVER_SATISFIED = "DependencyNeverSatisfied"
    BEGIN_TIME = "BeginTime"
    JOB_HELD_USER = "JobHeldUser"
    JOB_HELD_ADMIN = "JobHeldAdmin"
    QUOTA = "Quota"
    RESERVATION = "Reservation"
    IMAGE_PULL = "ImagePull"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    NO_SUCH_PROFILE = "NoSuchProfile"
    SLICE_DRAINED = "SliceDrained"
    FOREIGN_USE = "ForeignUse"
    ENGINE_UNAVAILABLE = "EngineUnavailable"
    GPU_UNAVAILABLE = "GpuUnavailable"
    RECONCILING = "Reconciling"
    DRAINING = "DaemonDraining"
    IMAGE_GONE = "ImageGone"
    NEVER_STARTED = "NeverStarted"
    RESTORED = "Restored"
    ARRAY_LIMIT = "JobArrayTaskLimit"


class After(Enum):
    """What a job waits for in another one; Slurm's words."""

    OK = "afterok"
    NOT_OK = "afternotok"
    ANY = "afterany"
    #: It must have started, or ended without a start.
    START = "after"
    #: As OK, of the element with the same index.
    CORR = "aftercorr"
    #: Of no certain job: those of the same user and name that were there before must have ended.
    SINGLETON = "singleton"

    def holds(self, outcome: Outcome) -> bool:
        """Whether an end like this is what was waited for."""
        if self in (After.ANY, After.START):
            return True
        return (outcome is Outcome.COMPLETED) is (self is not After.NOT_OK)


@dataclass(frozen=True, slots=True)
class Dependency:
    """Another job that must have ended or started first, and how.

    With ``either`` one of the job's dependencies suffices. ``delay`` are the seconds after a start,
    ``since`` is when the job started (seconds since 1970) if it had ended when it was asked for.
    ``ref`` is the name by which people know the other job, if that is not its id.
    """

    job: int
    after: After = After.OK
    either: bool = field(default=False, compare=False)
    delay: float = field(default=0.0, compare=False)
    since: float | None = field(default=None, compare=False)
    ref: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """The name by which people know the other job."""
        return self.ref or str(self.job)


ALONE = Dependency(0, After.SINGLETON)
"""The dependency of a job that runs as the only one of its user and name."""


_NOTHING: dict[Dependency, None] = {}
"""What jobs wait for that wait for nothing: one for all of them, never filled."""


@dataclass(frozen=True, slots=True)
class Element:
    """A job's place in an array or matrix, with the values of its combination."""

    array: int
    index: int
    values: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def ref(self) -> str:
        """The name by which people know the element: ``42[0]``."""
        return element(self.array, self.index)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who a job belongs to, as the kernel reported the submitter."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True, slots=True)
class ImageKey:
    """What one pull serves: a reference, how it may be had, and whose credentials are used.

    ``credentials_uid`` is None for a pull without credentials: what one user's password opened is
    not handed to another.
    """

    reference: str
    policy: str
    credentials_uid: int | None = None


@dataclass(slots=True)
class Job:
    """One live job: only what deciding needs. The spec stays in the store.

    ``stop_asked`` is when the end of its attempt was asked for (seconds since 1970): an attempt
    that had ended before that has ended by itself. ``again`` says why it is queued again once its
    slices are free: it has no outcome then. ``retried`` counts the retries it has used,
    ``pulls_failed`` the pulls that failed through no fault of the job. ``policy_version`` is that
    of the policy under which it was queued, None if unknown. ``kept_bytes`` is about what it takes
    in the database, 0 if an older version queued it. ``held`` says why it does not start until it
    is released, ``begin`` is the time (seconds since 1970) before which it does not start,
    ``depends_on`` are the jobs that must end first, ``waits_for`` those of them that have not (the
    keys, in order: one of thousands is taken out each time that one ends).

    ``interactive``: its container reads what a client sends.

    ``changes`` is how often users changed it since the daemon's start. ``kill_at`` is when the
    grace period of an attempt that is being stopped ends, ``kill_now`` whether the attempt gets
    no grace period, or no more of it.

    Docker's own start and end times are RFC 3339 text; ``submitted_at`` and ``started_wall`` are
    seconds since 1970; ``deadline``, ``warn_at``, ``kill_at`` and ``idle_since`` are
    CLOCK_BOOTTIME seconds.
    """

    id: int
    owner: Owner
    name: str
    need: GpuRequest
    image: ImageKey
    priority: int
    submitted_at: float
    time_limit: float | None = None
    stop_grace: float = 10.0
    state: State = State.PENDING
    outcome: Outcome | None = None
    reason: Reason | None = None
    message: str | None = None
    attempt: int = 0
    slices: tuple[str, ...] = ()
    image_id: str | None = None
    container_id: str | None = None
    exit_code: int | None = None
    started_at: str | None = None
    ended_at: str | None = None
    started_wall: float | None = None
    cancelled_by: int | None = None
    timed_out: bool = False
    never_started: int = 0
    held: Reason | None = None
    begin: float | None = None
    depends_on: tuple[Dependency, ...] = ()
    waits_for: dict[Dependency, None] = field(default_factory=lambda: _NOTHING)
    deadline: float | None = None
    element: Element | None = None
    retries: Retries | None = None
    warn: SignalBefore | None = None
    idle_timeout: float | None = None
    preemptible: bool = False
    interactive: bool = False
    has_ports: bool = False
    again: str | None = None
    stop_asked: float | None = None
    retried: int = 0
    pulls_failed: int = 0
    policy_version: int | None = None
    kept_bytes: int = 0
    warn_at: float | None = None
    kill_now: bool = False
    kill_at: float | None = None
    idle_since: float | None = None
    changes: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """The place among the jobs of one user: priority, then first come first served."""
        return (-self.priority, self.id)

    @property
    def ref(self) -> str:
        """The name by which people know the job: its id; of an element of an array ``42[0]``."""
        return str(self.id) if self.element is None else self.element.ref

    @property
    def index(self) -> int | None:
        """The job's place in its array, None if it is not an element of one."""
        return None if self.element is None else self.element.index

    @property
    def on_host(self) -> bool:
        """Whether it runs on the machine itself: such a job has no image."""
        return not self.image.reference

    @property
    def stopping(self) -> bool:
        """Whether somebody, a limit or another job asked for the end of this attempt."""
        return self.cancelled_by is not None or self.timed_out or self.again is not None

    def gives_way_to(self, other: Job) -> bool:
        """Whether the other job may take this one's slices, once this has run for long enough."""
        return self.preemptible and self.priority < other.priority


def short_id(whole: str) -> str:
    """Return the first 12 digits of the id of a container or image, as Docker's tables show it."""
    return whole.removeprefix("sha256:")[:12]


def wall_of(text: str | None) -> float | None:
    """Return Docker's RFC 3339 time as seconds since 1970, None where there is none."""
    try:
        return None if text is None else datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
