"""Slices that resemble a job's request, and why the job does not get them."""

from __future__ import annotations

from collections import Counter

from launcher.core.scheduling.matching import fits, in_vain
from launcher.core.world.world import World
from launcher.spec.gpus import GpuRequest


def similar_slices(world: World, need: GpuRequest) -> str:
    """Return text about similar slices, to follow the number that exist; empty for none."""
    return _shared(world, need) + _held_otherwise(world, need)


def _shared(world: World, need: GpuRequest) -> str:
    """Describe the devices of the requested size that share their memory (I15)."""
    result = Counter(s.slice.profile for s in world.slices.values() if in_vain(need, s.slice))
    if not result:
        return ""
    names = " and ".join(f"{count} x {profile}" for profile, count in sorted(result.items()))
    return (
        f"; {names} share the memory of their GPU instance with others: "
        f"only a request for exactly that profile gets one (`--profile {min(result)}`)"
    )


def _held_otherwise(world: World, need: GpuRequest) -> str:
    """Describe requested UUIDs that were created again while a job holds their earlier slice."""
    sentences = [
        f"; {s.slice.uuid} {s.unusable}, and job {s.lease.job} has it"
        for s in world.slices.values()
        if s.lease is not None and s.instead is not None and fits(need, s.instead)
    ]
    return "".join(sentences)
