"""A job's share of the host's memory: the same share as its slices have of the GPUs' memory."""

from __future__ import annotations

from collections.abc import Iterable

from launcher.core.model.gpu import Gpu, Slice, share_mib
from launcher.core.model.need import slots_for
from launcher.core.scheduling.matching import most_offered, slices_wanted, wanted
from launcher.core.world.world import World
from launcher.spec.gpus import GpuRequest


def memory_with(world: World, slices: Iterable[Slice], cpus: float | None) -> int:
    """Return the bytes of host memory for these slices; without slices, for ``cpus``."""
    leased = list(slices)
    part = _part(leased, world.gpus) if leased else _part_of_cores(world, cpus)
    return int(world.rules.policy.host_memory * part)


def memory_for(world: World, need: GpuRequest, cpus: float | None) -> int:
    """Return the minimum of host memory, in bytes, for slices of this need."""
    if need.kind == "none":
        return memory_with(world, (), cpus)
    result = [state.slice for state in wanted(world, need)][: slices_wanted(world, need)]
    part = _part(result, world.gpus) if result else _part_of_profile(world, need)
    return int(world.rules.policy.host_memory * part)


def _part_of_cores(world: World, cpus: float | None) -> float:
    return min(1.0, slots_for(cpus) / max(1, world.cpu_slots))


def _part(slices: list[Slice], gpus: dict[str, Gpu]) -> float:
    """Return the slices' share of the GPUs; an unknown GPU counts as large as its slice."""
    parts = 0.0
    for slice_ in slices:
        gpu = gpus.get(slice_.gpu_uuid)
        parts += slice_.share_mib / max(1, slice_.memory_mib, gpu.memory_mib if gpu else 0)
    return min(1.0, parts / max(1, len(gpus)))


def _part_of_profile(world: World, need: GpuRequest) -> float:
    """Return the share of a slice that does not exist yet; 1 if nothing is known of it."""
    sizes = [
        share_mib(need.profile or p.name, p.memory_mib) / max(gpu.memory_mib, p.memory_mib)
        for gpu in world.gpus.values()
        for p in gpu.profiles
        if most_offered(need, p)
    ]
    return min(1.0, need.count * min(sizes, default=1.0) / max(1, len(world.gpus)))
