"""The GiB of slices that an attempt holds, for which users are charged."""

from __future__ import annotations

from collections.abc import Iterable

from launcher.core.model.lease import Lease
from launcher.core.policy.settings import FairShare


def rate_of(leases: Iterable[Lease], rules: FairShare, cpu_slots: int = 1) -> float:
    """Return the GiB that an attempt with these leases holds; a CPU job counts by its slots."""
    gib = sum(lease.slice.share_mib for lease in leases) / 1024
    return gib or rules.cpu_slot_gib * cpu_slots
