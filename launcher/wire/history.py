"""What happened: published events, who is told of them, and deleting jobs that ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from launcher.spec.bounds import STRICT, Most
from launcher.spec.notify import NotifyTarget

MOST_REPORTED = 100
"""Of one report."""
MOST_DETAIL = 300


@dataclass(frozen=True, kw_only=True)
class PruneRequest:
    """Delete the caller's jobs that ended ``older_than`` seconds ago; an admin's are everybody's.

    ``logs``: only their logs. ``dry_run``: only count. Without ``older_than`` what ``[history]`` of
    launcher.toml says counts.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    older_than: float | None = None
    logs: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class PruneReply:
    """How many jobs or logs were deleted, or would be; ``more``: there was no time for the rest."""

    jobs: int
    logs: int
    log_bytes: int
    older_than: float
    more: bool = False


EVENT_TYPES = (
    "job.submitted", "job.started", "job.requeued", "job.ended", "array.submitted", "array.ended",
    "slice.quarantined", "slice.cleared", "slices.changed", "drain.started", "drain.ended",
    "layout.ended", "docker.down", "docker.up", "gpu.down", "gpu.up",
    "notify.test",
)  # fmt: skip
"""The types of events of schema version 1."""


@dataclass(frozen=True, kw_only=True)
class PublishedJob:
    """The job of an event; name, image and message are None for who may not see them.

    ``array`` is the element's ``{"id", "index"}``, None for a job of its own.
    """

    id: int
    name: str | None
    image: str | None
    array: dict[str, Any] | None
    attempt: int
    slices: list[str]
    outcome: str | None
    reason: str | None
    exit_code: int | None
    message: str | None


@dataclass(frozen=True, kw_only=True)
class PublishedArray:
    """The array of an event; ``ends`` counts its elements by outcome."""

    id: int
    name: str | None
    size: int
    outcome: str | None
    ends: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class EventLine:
    """One event of schema version 1, as `launch events` prints it and webhooks send it.

    ``seq`` grows from event to event. ``user`` owns the job or array. ``subject`` is the slice, GPU
    or layout change of the other types, ``detail`` a sentence about it. ``text`` says all of it to
    people. New types and keys may be added within a version.
    """

    version: int
    seq: int
    at: str
    type: str
    user: str | None
    job: PublishedJob | None
    array: PublishedArray | None
    subject: str | None
    detail: str | None
    text: str


@dataclass(frozen=True, kw_only=True)
class EventPage:
    """The next events; go on after ``next``. ``missed``: some before them are stored no more."""

    events: list[EventLine]
    next: int
    missed: bool


@dataclass(frozen=True, kw_only=True)
class Notification:
    """An event, with the uid of its owner and the targets that are told of it."""

    event: EventLine
    uid: int
    targets: list[NotifyTarget] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class NotificationPage:
    """The next notifications; go on after ``next``. ``missed``: some before are stored no more."""

    notifications: list[Notification]
    next: int
    missed: bool


@dataclass(frozen=True, kw_only=True)
class NotifyFailure:
    """A notification that was given up; ``job`` is the id of its job or array."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    uid: int
    job: int | None
    target: Annotated[str, Most(MOST_DETAIL)]
    detail: Annotated[str, Most(MOST_DETAIL)]


@dataclass(frozen=True, kw_only=True)
class NotifyReport:
    """What `launch web` could not send."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    failures: Annotated[list[NotifyFailure], Most(MOST_REPORTED)]


@dataclass(frozen=True, kw_only=True)
class NotifyReceipt:
    """How many failures were recorded."""

    recorded: int


@dataclass(frozen=True, kw_only=True)
class NotifyFailureView:
    """A notification that could not be sent, as its owner sees it."""

    at: str
    job: int | None
    target: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class NotifyRequest:
    """The caller's targets for all jobs without their own ones; none takes them back."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    targets: list[NotifyTarget] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class NotifyView:
    """The caller's targets, and the last notifications that could not be sent.

    ``problem`` says why notifications wait, None if they do not.
    """

    targets: list[NotifyTarget] = field(repr=False)
    failures: list[NotifyFailureView]
    problem: str | None
