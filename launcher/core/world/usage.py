"""Charges users for what their jobs hold, in slice-GiB-seconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from launcher.core.model.use import Use, accrued, decayed

if TYPE_CHECKING:
    from launcher.core.model.lease import Lease
    from launcher.core.policy.settings import FairShare


def rate_of(leases: Iterable[Lease], rules: FairShare, cpu_slots: int = 1) -> float:
    """Return how many GiB an attempt with these leases holds; a CPU job counts by its slots."""
    gib = sum(lease.slice.share_mib for lease in leases) / 1024
    return gib or rules.cpu_slot_gib * cpu_slots


def charged(
    before: Use | None, user: str, rate: float, since: float, until: float, half_life: float
) -> Use:
    """Return a user's use with ``rate`` GiB from ``since`` to ``until`` (seconds since 1970)."""
    past = decayed(before.amount, until - before.at, half_life) if before else 0.0
    at = max(until, before.at) if before else until
    return Use(user, past + accrued(rate, until - since, half_life), at)
