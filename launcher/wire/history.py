"""Deleting jobs that ended, and their logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from launcher.spec.bounds import STRICT


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
