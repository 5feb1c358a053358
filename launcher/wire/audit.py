"""The audit as an admin reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AuditView:
    """A request that changed something, or was refused. ``role`` is admin or user.

    ``jobs`` are the jobs that it was about (``12,15-20,42[0-9]``); ``outcome`` is ok or the
    error's kind.
    Refusals that repeat are one line: ``count`` of them from ``at`` to ``until``.
    """

    at: str
    until: str
    uid: int
    user: str
    role: str
    route: str
    jobs: str
    outcome: str
    detail: str
    count: int
    policy_version: int
