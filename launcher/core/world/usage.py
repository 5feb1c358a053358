"""What an attempt holds, in GiB of slices: users are charged for it."""

from __future__ import annotations

from collections.abc import Iterable

from launcher.core.model.lease import Lease
from launcher.core.policy.settings import FairShare


def rate_of(leases: Iterable[Lease], rules: FairShare, cpu_slots: int = 1) -> float:
    """Return how many GiB an attempt with these leases holds; a CPU job counts by its slots."""
    gib = sum(lease.slice.share_mib for lease in leases) / 1024
    return gib or rules.cpu_slot_gib * cpu_slots
