"""One job in full, as ``show`` prints it; and the smaller requests about a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from launcher.wire.jobs import JobRequest, JobView

_STRICT: dict[str, Any] = {"extra": "forbid", "strict": False}


@dataclass(frozen=True, kw_only=True)
class SignalRequest:
    """A signal for a running job's container, by name (``SIGINT``)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    signal: str


@dataclass(frozen=True, kw_only=True)
class Blocker:
    """One unmet need of a pending job: what it needs and what there is, as text for people."""

    kind: str
    need: str
    have: str


@dataclass(frozen=True, kw_only=True)
class AttemptView:
    """One try at running a job."""

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


@dataclass(frozen=True, kw_only=True)
class EventView:
    """One line of a job's history."""

    at: str
    event: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class JobDetail:
    """What ``show`` prints: the job, its whole spec, its attempts, its history, its blockers."""

    job: JobView
    spec: JobRequest | None
    image_id: str | None
    blockers: list[Blocker]
    position: int | None
    attempts: list[AttemptView]
    events: list[EventView]
