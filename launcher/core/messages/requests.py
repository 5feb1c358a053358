"""What people ask for, as events: submits, and everything that is done to jobs and slices."""

from __future__ import annotations

from dataclasses import dataclass, field

from launcher.core.model.arrays import Array, ArrayTemplate
from launcher.core.model.job import Dependency, ImageKey, Job, Outcome, Owner
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import JobSpec
from launcher.spec.notify import NotifyTarget


@dataclass(frozen=True, slots=True)
class NewElement:
    """Which of a submit's arrays a new job is an element of, and its place and values there."""

    array: int
    index: int
    values: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A checked spec, its serialised form for the store, and which pull it shares.

    ``beside`` are jobs of the same submit, by their place in it, that must end first, ``after`` are
    others with how they ended, None for those that have not. With ``element`` it is one of an
    array: it is stored as its array's template and its values, and its ``document`` is empty. A
    place in ``beside`` that is an element means its whole array; with ``after`` and ``aftercorr``
    it means that element.
    """

    spec: JobSpec
    document: str = field(repr=False)
    image: ImageKey
    beside: tuple[Dependency, ...] = ()
    after: tuple[tuple[Dependency, Outcome | None], ...] = ()
    element: NewElement | None = None


@dataclass(frozen=True, slots=True)
class NewArray:
    """An array of a submit: the name of its jobs, and how many run at once at most."""

    name: str
    template: ArrayTemplate
    max_parallel: int | None = None
    indices: str = ""


@dataclass(frozen=True, slots=True)
class Submitted:
    """Somebody asks for jobs; all of them are queued, or none. ``dry_run`` only checks.

    ``groups`` are the names of the owner's groups; an ``admin`` is not bound by the longest limit,
    a ``trusted`` user may name every profile of the policy.
    """

    owner: Owner
    jobs: tuple[NewJob, ...]
    dry_run: bool = False
    arrays: tuple[NewArray, ...] = ()
    groups: frozenset[str] = frozenset()
    admin: bool = False
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """A user or an admin wants a job ended; ``kill``: without a grace period."""

    job: int
    uid: int
    kill: bool = False


@dataclass(frozen=True, slots=True)
class HoldAsked:
    """Somebody who may do so keeps a pending job from starting.

    ``admin``: an admin, and not the owner; then only an admin may let it go.
    """

    job: int
    uid: int
    admin: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseAsked:
    """Somebody who may do so lets a held job go."""

    job: int
    uid: int
    admin: bool = False


@dataclass(frozen=True, slots=True)
class RequeueAsked:
    """Somebody who may do so wants a running job stopped and queued again."""

    job: int
    uid: int


@dataclass(frozen=True, slots=True)
class Retried:
    """An ended job as the store has it, and what it depends on with how that ended."""

    job: Job
    after: tuple[tuple[Dependency, Outcome | None], ...] = ()


@dataclass(frozen=True, slots=True)
class RetryAsked:
    """Somebody who may do so wants ended jobs queued again, under their ids, together.

    ``arrays`` are those of the jobs that have ended, with the counts of their elements; ``groups``
    the groups of the jobs' owners, by uid. Priorities that only
    an ``admin`` may give are lowered for others. ``read_at`` is what ``RecentEnds`` counted before
    the jobs were read.
    """

    jobs: tuple[Retried, ...]
    uid: int
    admin: bool = False
    arrays: tuple[Array, ...] = ()
    groups: tuple[tuple[int, frozenset[str]], ...] = ()
    read_at: int = 0


@dataclass(frozen=True, slots=True)
class Prunable:
    """An ended job that is old enough to be deleted, and the array that it is an element of."""

    job: int
    array: int | None = None


@dataclass(frozen=True, slots=True)
class PruneAsked:
    """These ended jobs shall be deleted, as far as nothing that has not ended needs them."""

    jobs: tuple[Prunable, ...]


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
    need: GpuRequest | None = None
    hold: bool | None = None


@dataclass(frozen=True, slots=True)
class SignalAsked:
    """Somebody who may do so sends a running job a signal, by name."""

    job: int
    signal: str


@dataclass(frozen=True, slots=True)
class ReserveAsked:
    """An admin keeps slices for a user or group: those named, or ``count`` of a profile.

    With neither user nor group they are for interactive jobs.
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
class DrainAsked:
    """An admin wants no new lease on a slice or GPU; ``reason`` None lets it be used again."""

    owner: Owner
    uuid: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class NotifyAsked:
    """A user set the targets for all their jobs; none takes them back."""

    owner: Owner
    targets: tuple[NotifyTarget, ...]


@dataclass(frozen=True, slots=True)
class NotifyTestAsked:
    """A user asked for a notification to their own targets."""

    owner: Owner


@dataclass(frozen=True, slots=True)
class NotifyReported:
    """Notifications could not be sent: (uid, job or array, target, why) of each."""

    failures: tuple[tuple[int, int | None, str, str], ...]
