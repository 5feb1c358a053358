"""Events that users and programs follow: ``launch events``, webhooks, mail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class EventType(StrEnum):
    """The types of events of version 1; new types may be added, none changes its meaning."""

    JOB_SUBMITTED = "job.submitted"
    JOB_STARTED = "job.started"
    JOB_REQUEUED = "job.requeued"
    JOB_ENDED = "job.ended"
    ARRAY_SUBMITTED = "array.submitted"
    ARRAY_ENDED = "array.ended"
    SLICE_QUARANTINED = "slice.quarantined"
    SLICE_CLEARED = "slice.cleared"
    SLICES_CHANGED = "slices.changed"
    DRAIN_STARTED = "drain.started"
    DRAIN_ENDED = "drain.ended"
    LAYOUT_ENDED = "layout.ended"
    DOCKER_DOWN = "docker.down"
    DOCKER_UP = "docker.up"
    GPU_DOWN = "gpu.down"
    GPU_UP = "gpu.up"
    NOTIFY_TEST = "notify.test"


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """One event; ``at`` is seconds since 1970. ``uid`` and ``user`` are the owner of its job.

    ``data`` are JSON values: what is said of the job, array or other subject. Names, images and
    messages of jobs in it are for their owner and admins.
    """

    at: float
    type: EventType
    data: Mapping[str, Any]
    uid: int | None = None
    user: str | None = None
