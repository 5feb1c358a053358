"""Events: everything that can happen to the world, as values.

What people ask for is in ``asked``, changes of the layout in ``layoutevent``; all go by ``event``.
What belongs to an attempt names it, so that a late word of an old attempt is recognised (I11).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from launcher.core.messages.layout_events import LayoutAsked as LayoutAsked
from launcher.core.messages.layout_events import LayoutCancelAsked as LayoutCancelAsked
from launcher.core.messages.layout_events import LayoutNoted as LayoutNoted
from launcher.core.messages.layout_events import LayoutSeen as LayoutSeen
from launcher.core.messages.layout_events import LayoutStepDone as LayoutStepDone
from launcher.core.messages.layout_events import LayoutStepFailed as LayoutStepFailed
from launcher.core.messages.requests import CancelAsked as CancelAsked
from launcher.core.messages.requests import DrainAsked as DrainAsked
from launcher.core.messages.requests import EditAsked as EditAsked
from launcher.core.messages.requests import HoldAsked as HoldAsked
from launcher.core.messages.requests import NewArray as NewArray
from launcher.core.messages.requests import NewElement as NewElement
from launcher.core.messages.requests import NewJob as NewJob
from launcher.core.messages.requests import NotifyAsked as NotifyAsked
from launcher.core.messages.requests import NotifyReported as NotifyReported
from launcher.core.messages.requests import NotifyTestAsked as NotifyTestAsked
from launcher.core.messages.requests import Prunable as Prunable
from launcher.core.messages.requests import PruneAsked as PruneAsked
from launcher.core.messages.requests import ReleaseAsked as ReleaseAsked
from launcher.core.messages.requests import RequeueAsked as RequeueAsked
from launcher.core.messages.requests import ReserveAsked as ReserveAsked
from launcher.core.messages.requests import Retried as Retried
from launcher.core.messages.requests import RetryAsked as RetryAsked
from launcher.core.messages.requests import SignalAsked as SignalAsked
from launcher.core.messages.requests import Submitted as Submitted
from launcher.core.messages.requests import UnreserveAsked as UnreserveAsked
from launcher.core.model.gpu import Inventory, Xid
from launcher.core.model.job import ImageKey
from launcher.core.model.measurement import UNMEASURED, Measurement
from launcher.core.model.own_image import OwnImage


@dataclass(frozen=True, slots=True)
class Now:
    """The time, twice: wall clock for display, CLOCK_BOOTTIME for limits. Both in seconds."""

    wall: float
    boot: float


@dataclass(frozen=True, slots=True)
class ImageResolved:
    """The image is here; ``image_id`` is what will be run.

    ``pulled``: the registry has just given it, to the key's owner or to anybody; ``new``: it was
    not here before. ``admins`` are those who wait for it and administer the machine.
    """

    image: ImageKey
    image_id: str
    pulled: bool = False
    new: bool = False
    admins: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ImagesMeasured:
    """The sizes of the images here, in bytes by id; pulled ones may have ``most`` together."""

    sizes: Mapping[str, int]
    most: int


@dataclass(frozen=True, slots=True)
class ImageRemoved:
    """An image that was chosen for removal is gone, or not; ``gone`` also if it is not ours."""

    image_id: str
    gone: bool


@dataclass(frozen=True, slots=True)
class OwnImageLoaded:
    """A user has loaded an image under a name."""

    image: OwnImage


@dataclass(frozen=True, slots=True)
class OwnImageRemoved:
    """A user's image, or its name, was removed."""

    uid: int
    name: str


@dataclass(frozen=True, slots=True)
class DiskJudged:
    """Disk space was measured: whose new starts wait (by uid), which jobs end; each with the why.

    Whoever is not named does not wait.
    """

    waits: Mapping[int, str]
    ends: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class TerminalsSeen:
    """For how many seconds nobody has used the terminals of interactive jobs, by job."""

    idle: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class PullSettled:
    """What a pull with credentials left behind whose end is not on record; None: nothing."""

    reference: str
    uid: int
    image_id: str | None


@dataclass(frozen=True, slots=True)
class ImagesGone:
    """Images of which it is on record whose they are were removed from the machine."""

    image_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class ImagesPublished:
    """An admin makes images everybody's, by id."""

    image_ids: frozenset[str]


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
class CredentialsMissing:
    """The image is to be pulled with its owner's credentials, and they are gone from memory."""

    image: ImageKey


@dataclass(frozen=True, slots=True)
class CredentialsGiven:
    """A user has given credentials for registries: images that wait for them can be pulled."""

    uid: int
    registries: frozenset[str]


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
    #: Somebody asked for its end before it had started.
    STOPPED = "stopped"
    #: Docker could not be reached, before anything was made.
    ENGINE_AWAY = "engine-away"
    #: Docker has no NVIDIA hook or CDI: no GPU job can start.
    NO_GPU_SUPPORT = "no-gpu-support"
    #: The slice is not what was leased any more.
    SLICE_CHANGED = "slice-changed"
    #: NVML could not be asked about the slice.
    GPU_AWAY = "gpu-away"
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
    measured: Measurement = UNMEASURED


@dataclass(frozen=True, slots=True)
class AttemptLost:
    """How it ended cannot be known: the container is gone, or Docker's word is not to be believed.

    The times are Docker's, where it has any. ``container_id`` is that of a container whose start
    nobody saw, "" where that is not known.
    """

    job: int
    attempt: int
    message: str
    idle: tuple[str, ...] = ()
    started_at: str | None = None
    ended_at: str | None = None
    container_id: str = ""
    measured: Measurement = UNMEASURED


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
class XidSeen:
    """The driver reports an error of a GPU or of a slice."""

    xid: Xid


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
class IdsSeen:
    """There are containers of this store with job ids up to ``highest``: none is used again.

    Higher than any on record where a database was put back from a copy.
    """

    highest: int


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The start-up comparison is over: scheduling may begin."""


@dataclass(frozen=True, slots=True)
class DaemonDrained:
    """The daemon starts nothing new from here on; what runs goes on."""


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
    | PruneAsked
    | NotifyAsked
    | NotifyTestAsked
    | NotifyReported
    | Submitted
    | ImageResolved
    | DiskJudged
    | TerminalsSeen
    | ImagesMeasured
    | ImageRemoved
    | OwnImageLoaded
    | OwnImageRemoved
    | PullSettled
    | ImagesPublished
    | ImagesGone
    | ImageMissing
    | ImageFailed
    | CredentialsMissing
    | CredentialsGiven
    | InventoryRead
    | InventoryFailed
    | XidSeen
    | EngineUp
    | EngineDown
    | QuarantineCleared
    | IdsSeen
    | Reconciled
    | DaemonDrained
    | Tick
)
