"""The GiB of slices: those that an attempt holds, and those of the machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from launcher.core.messages import events as ev
from launcher.core.model.lease import Lease
from launcher.core.policy.settings import FairShare

if TYPE_CHECKING:
    from launcher.core.world.world import World


def rate_of(leases: Iterable[Lease], rules: FairShare, cpu_slots: int = 1) -> float:
    """Return the GiB that an attempt with these leases holds; a CPU job counts by its slots."""
    gib = sum(lease.slice.share_mib for lease in leases) / 1024
    return gib or rules.cpu_slot_gib * cpu_slots


def record_capacity(world: World, now: ev.Now) -> None:
    """Record the slices of the machine if they differ from those on record."""
    found: dict[str, tuple[int, int]] = {}
    for state in world.slices.values():
        if not state.lost:
            count, mib = found.get(state.slice.profile, (0, 0))
            found[state.slice.profile] = count + 1, mib + state.slice.share_mib
    if found != world.capacity.slices:
        world.capacity.slices = found
        world.changes.capacity = (now.wall, found)


def record_reboot(world: World) -> None:
    """Record that there were no slices from the last record before a reboot on."""
    seen_at = world.capacity.seen_at
    if seen_at is not None and world.capacity.slices:
        world.capacity.slices = {}
        world.changes.capacity = (seen_at, {})
