"""What one decision changed, for the next transaction."""

from __future__ import annotations

from dataclasses import dataclass, field

from launcher.core.messages.published import PublishedEvent
from launcher.core.model.arrays import Array, ArrayTemplate
from launcher.core.model.job import Job, Owner
from launcher.core.model.layout_change import LayoutOp
from launcher.core.model.lease import Attempt, Lease
from launcher.core.model.own_image import OwnImage, PulledImage
from launcher.core.model.packing import Place
from launcher.core.model.reservation import Reservation
from launcher.core.model.use import Profiles, Use
from launcher.spec.notify import NotifyTarget


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One line of a job's history; ``at`` is seconds since 1970."""

    job: int
    at: float
    event: str
    detail: str


@dataclass(frozen=True, slots=True)
class Drain:
    """A slice or GPU that takes no new lease; ``at`` is seconds since 1970."""

    uuid: str
    reason: str
    owner: Owner
    at: float


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Why nobody gets a slice, and since when (seconds since 1970, None where not known).

    A lasting one ends by an admin's word only.
    """

    why: str
    lasting: bool = False
    since: float | None = None


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One audit line: a request and its decision; times are seconds since 1970.

    ``role`` is admin or user, ``jobs`` are ids as text, ``outcome`` is ok or the kind of the error.
    ``count`` requests that were refused alike are one line, from ``at`` to ``until``.
    """

    uid: int
    at: float
    until: float
    user: str
    role: str
    route: str
    jobs: str
    outcome: str
    detail: str
    count: int
    policy_version: int


@dataclass(frozen=True, slots=True)
class NotifyFailed:
    """A notification that could not be sent; ``at`` is seconds since 1970.

    ``job`` is the id of the job or array, ``target`` says to whom without secrets.
    """

    at: float
    uid: int
    job: int | None
    target: str
    detail: str


@dataclass(slots=True)
class Changes:
    """What the next transaction must write, each row once however often it changed."""

    new_jobs: list[tuple[Job, str]] = field(default_factory=list)
    jobs: dict[int, Job] = field(default_factory=dict)
    attempts: dict[tuple[int, int], Attempt] = field(default_factory=dict)
    leases: dict[tuple[int, int, str], Lease] = field(default_factory=dict)
    quarantines: dict[str, Quarantine | None] = field(default_factory=dict)
    drains: dict[str, Drain | None] = field(default_factory=dict)
    layouts: dict[int, LayoutOp] = field(default_factory=dict)
    made: dict[tuple[str, int], Place | None] = field(default_factory=dict)
    arrays: dict[int, tuple[Array, ArrayTemplate]] = field(default_factory=dict)
    """New arrays."""
    reopened: set[int] = field(default_factory=set)
    uses: dict[int, Use] = field(default_factory=dict)
    reservations: dict[str, Reservation | None] = field(default_factory=dict)
    private_images: dict[str, frozenset[int]] = field(default_factory=dict)
    public_images: dict[str, bool] = field(default_factory=dict)
    own_images: dict[tuple[int, str], OwnImage | None] = field(default_factory=dict)
    pulled_images: dict[str, PulledImage | None] = field(default_factory=dict)
    pulls: dict[tuple[str, int], bool] = field(default_factory=dict)
    """Whether a pull is open, by reference and uid."""
    pruned: dict[int, float] = field(default_factory=dict)
    """The ended jobs to delete, and when that was decided (seconds since 1970)."""
    events: list[PublishedEvent] = field(default_factory=list)
    notify_targets: dict[Owner, tuple[NotifyTarget, ...]] = field(default_factory=dict)
    """The targets that users set for all their jobs; none deletes them."""
    notify_failures: list[NotifyFailed] = field(default_factory=list)
    closed: dict[int, Array] = field(default_factory=dict)
    """Arrays whose last element ended."""
    history: list[HistoryLine] = field(default_factory=list)
    audit: list[AuditLine] = field(default_factory=list)
    capacity: tuple[float, Profiles] | None = None
    """The slices of the machine from a time on (seconds since 1970), where they are others."""
    clock: float | None = None
    """What the wall clock is ahead of CLOCK_BOOTTIME, where that is another than before."""
    clock_step: float = 0.0
    """By how many seconds the wall clock was set."""

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)
