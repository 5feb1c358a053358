"""Disk space of jobs and of users' caches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from launcher.spec.bounds import STRICT


@dataclass(frozen=True)
class JobDisk:
    """HOME, /tmp and the writable layer of one running job, in bytes."""

    id: int
    bytes: int


@dataclass(frozen=True)
class UserDisk:
    """What one user's jobs have on disk, and the limits, in bytes.

    ``waits`` says why no job of the user starts; None if they may.
    """

    user: str
    uid: int
    cache: int
    cache_limit: int
    jobs: list[JobDisk]
    job_limit: int
    waits: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClearCacheRequest:
    """Empty ~/.cache of a user's jobs: the caller's, or as an admin that of ``user``."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    user: str | None = None


@dataclass(frozen=True)
class ClearCacheReply:
    """Whose cache was emptied, and the bytes that it had."""

    user: str
    bytes: int
