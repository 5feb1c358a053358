"""Events: everything that can happen to the world, as values.

What belongs to an attempt names it, so that a late word of an old attempt is recognised (I11).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from launcher.core.arrays import Array
from launcher.core.gpu import Inventory
from launcher.core.job import After, Dependency, ImageKey, Job, JobSpec, Need, Outcome, Owner
from launcher.core.layoutop import Busy, Step, Wish


@dataclass(frozen=True, slots=True)
class Now:
    """The time, twice: wall clock for display, CLOCK_BOOTTIME for limits. Both in seconds."""

    wall: float
    boot: float


@dataclass(frozen=True, slots=True)
class NewJob:
    """A checked spec, its serialised form for the store, and which pull it shares.

    ``beside`` are jobs of the same submit by their place in it that must end first, ``after`` are
    others with how they ended, None for those that have not. With ``element`` it is one of an
    array; a place in ``beside`` that is an element means its whole array.
    """

    spec: JobSpec
    document: str
    image: ImageKey
    beside: tuple[tuple[int, After], ...] = ()
    after: tuple[tuple[Dependency, Outcome | None], ...] = ()
    element: NewElement | None = None


@dataclass(frozen=True, slots=True)
class NewElement:
    """Which of a submit's arrays a new job is an element of, and its place and values there."""

    array: int
    index: int
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class NewArray:
    """An array of a submit: the name of its jobs, and how many run at once at most."""

    name: str
    max_parallel: int | None = None
    indices: str = ""


@dataclass(frozen=True, slots=True)
class Submitted:
    """Somebody asks for jobs; all of them are queued, or none. ``dry_run`` only checks.

    ``groups`` are the names of the owner's groups; an ``admin`` is not bound by the longest limit.
    """

    owner: Owner
    jobs: tuple[NewJob, ...]
    dry_run: bool = False
    arrays: tuple[NewArray, ...] = ()
    groups: frozenset[str] = frozenset()
    admin: bool = False


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """Somebody who may do so wants a job ended."""

    job: int
    uid: int


@dataclass(frozen=True, slots=True)
class HoldAsked:
    """Somebody who may do so keeps a pending job from starting."""

    job: int
    uid: int


@dataclass(frozen=True, slots=True)
class ReleaseAsked:
    """Somebody who may do so lets a held job go."""

    job: int
    uid: int


@dataclass(frozen=True, slots=True)
class RequeueAsked:
    """Somebody who may do so wants a running job stopped and queued again."""

    job: int
    uid: int


@dataclass(frozen=True, slots=True)
class RetryAsked:
    """Somebody who may do so wants an ended job queued again, under its id.

    ``job`` is as the store has it, ``array`` its array with the counts of its ended elements,
    ``after`` what it still depends on with how that ended.
    """

    job: Job
    uid: int
    array: Array | None = None
    after: tuple[tuple[Dependency, Outcome | None], ...] = ()


@dataclass(frozen=True, slots=True)
class EditAsked:
    """Somebody who may do so changes a pending job, or the time limit of a running one.

    None leaves a thing as it is; a ``time_limit`` of 0 takes the limit away.
    """

    job: int
    owner: Owner
    admin: bool
    priority: int | None = None
    time_limit: float | None = None
    need: Need | None = None
    hold: bool | None = None


@dataclass(frozen=True, slots=True)
class ReserveAsked:
    """An admin keeps slices for a user or group: those named, or ``count`` of a profile.

    ``start`` and ``end`` are seconds since 1970.
    """

    name: str
    by: Owner
    start: float
    end: float
    user: str | None = None
    group: str | None = None
    slices: tuple[str, ...] = ()
    profile: str | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class UnreserveAsked:
    """An admin takes a reservation back."""

    name: str


@dataclass(frozen=True, slots=True)
class SignalAsked:
    """Somebody who may do so sends a running job a signal, by name."""

    job: int
    signal: str


@dataclass(frozen=True, slots=True)
class ImageResolved:
    """The image is here; ``image_id`` is what will be run."""

    image: ImageKey
    image_id: str


@dataclass(frozen=True, slots=True)
class ImageMissing:
    """The image is not here and must be pulled."""

    image: ImageKey


@dataclass(frozen=True, slots=True)
class ImageFailed:
    """The image cannot be had; ``message`` has the registry's words.

    ``transient``: the registry could not be asked; a later try may work.
    """

    image: ImageKey
    message: str
    transient: bool = False


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """Inspect shows the attempt's container started, on exactly the leased slices."""

    job: int
    attempt: int
    container_id: str
    started_at: str


class StartFailure(Enum):
    """Why an attempt's container provably does not run."""

    #: The user's command or request cannot run: the job fails.
    USER = "user"
    #: Docker could not be reached, before anything was made.
    ENGINE_AWAY = "engine-away"
    #: Docker has no NVIDIA hook or CDI: no GPU job can start.
    NO_GPU_SUPPORT = "no-gpu-support"
    #: The slice is not what was leased any more.
    SLICE_CHANGED = "slice-changed"
    #: Somebody else's process is on the slice.
    FOREIGN = "foreign"
    #: The pinned image is not there any more.
    IMAGE_GONE = "image-gone"
    #: The container did not get what was leased, and was killed (I9).
    TAMPERED = "tampered"
    #: Anything else outside the user's reach.
    INFRA = "infra"


@dataclass(frozen=True, slots=True)
class StartFailed:
    """No container of this attempt runs, and that was looked at; ``slice`` names the culprit."""

    job: int
    attempt: int
    failure: StartFailure
    message: str
    exit_code: int | None = None
    slice: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """Inspect shows the container not running. ``idle``: slices seen without any process since."""

    job: int
    attempt: int
    exit_code: int
    oom: bool
    started_at: str | None
    ended_at: str | None
    idle: tuple[str, ...] = ()
    message: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptLost:
    """The container is gone and with it the truth about how it ended."""

    job: int
    attempt: int
    message: str
    idle: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SlicesIdle:
    """These slices of an ended attempt have no process on them."""

    job: int
    attempt: int
    uuids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SliceStuck:
    """A slice of an ended attempt could not be proven free in time."""

    job: int
    attempt: int
    uuid: str
    why: str


@dataclass(frozen=True, slots=True)
class InventoryRead:
    """What NVML reports now.

    ``foreign``: slice UUID -> who else uses it. ``not_ours``: GPU UUID -> which daemon has it.
    ``blind``: why Docker does not tell which containers use what. ``idle``: leased slices on which
    no process was seen.
    """

    inventory: Inventory
    foreign: tuple[tuple[str, str], ...] = ()
    not_ours: tuple[tuple[str, str], ...] = ()
    blind: str | None = None
    idle: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class InventoryFailed:
    """NVML cannot be used; running jobs are left alone, no GPU job starts."""

    message: str


@dataclass(frozen=True, slots=True)
class EngineUp:
    """Docker answers."""


@dataclass(frozen=True, slots=True)
class EngineDown:
    """Docker does not answer."""

    message: str


@dataclass(frozen=True, slots=True)
class QuarantineCleared:
    """A quarantined slice was seen idle often enough."""

    uuid: str


@dataclass(frozen=True, slots=True)
class LayoutAsked:
    """An admin wants the layout changed: ``verb`` and ``request`` as he wrote them."""

    owner: Owner
    verb: str
    request: str
    wishes: tuple[Wish, ...]
    busy: Busy = Busy.REFUSE


@dataclass(frozen=True, slots=True)
class LayoutCancelAsked:
    """A change of the layout that still waits is not wanted any more."""

    op: int


@dataclass(frozen=True, slots=True)
class LayoutNoted:
    """An admin did something about the layout that changes no GPU; it goes on record."""

    owner: Owner
    verb: str
    request: str


@dataclass(frozen=True, slots=True)
class LayoutStepDone:
    """A step of a change was carried out; ``gi`` of what was made, or was found (``made`` False).

    ``pending`` says why a switched MIG mode is not in effect yet.
    """

    op: int
    step: Step
    gi: int | None = None
    made: bool = True
    pending: str | None = None


@dataclass(frozen=True, slots=True)
class LayoutStepFailed:
    """A step of a change was not carried out, and what it had begun was taken back."""

    op: int
    step: Step
    message: str


@dataclass(frozen=True, slots=True)
class LayoutSeen:
    """A look for a change is over: the inventory is what NVML shows, or ``problem`` says why not.

    ``blind`` says why Docker does not tell which containers use it.
    """

    op: int
    problem: str | None = None
    blind: str | None = None


@dataclass(frozen=True, slots=True)
class DrainAsked:
    """An admin wants no new lease on a slice or GPU; ``reason`` None lets it be used again."""

    owner: Owner
    uuid: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The start-up comparison is over: scheduling may begin."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


JobEvent = (
    CancelAsked
    | HoldAsked
    | ReleaseAsked
    | RequeueAsked
    | RetryAsked
    | EditAsked
    | SignalAsked
    | AttemptStarted
    | StartFailed
    | AttemptEnded
    | AttemptLost
    | SlicesIdle
    | SliceStuck
)
LayoutEvent = (
    LayoutAsked | LayoutCancelAsked | LayoutNoted | LayoutStepDone | LayoutStepFailed | LayoutSeen
)
Event = (
    JobEvent
    | LayoutEvent
    | DrainAsked
    | ReserveAsked
    | UnreserveAsked
    | Submitted
    | ImageResolved
    | ImageMissing
    | ImageFailed
    | InventoryRead
    | InventoryFailed
    | EngineUp
    | EngineDown
    | QuarantineCleared
    | Reconciled
    | Tick
)
