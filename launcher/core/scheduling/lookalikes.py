"""Slices that resemble a job's request, and why the job does not get them."""

from __future__ import annotations

from collections import Counter

from launcher.core.model.gpu import Gpu, Profile, scarcity
from launcher.core.model.packing import Place, arrange, board_of
from launcher.core.scheduling.matching import fits, in_vain, most_offered
from launcher.core.world.world import World
from launcher.spec.gpus import GpuRequest


def similar_slices(world: World, need: GpuRequest) -> str:
    """Return text about similar slices, to follow the number that exist; empty for none."""
    return _shared(world, need) + _held_otherwise(world, need) or _present(world, need)


def _present(world: World, need: GpuRequest) -> str:
    """List the slices that exist, and the command that would create a requested one."""
    if need.kind in ("full", "all"):
        return _all_cut(world)
    if need.kind not in ("profile", "memory"):
        return ""
    profiles = Counter(s.slice.profile for s in world.slices.values() if not s.lost)
    names = ", ".join(f"{count} x {name}" for name, count in sorted(profiles.items()))
    return f"; slices here: {names or 'none'}{_how_to_create(world, need)}"


def _all_cut(world: World) -> str:
    """Say that whole GPUs are missing because MIG mode is on."""
    on = sorted(gpu.index for gpu in world.gpus.values() if gpu.mig_current)
    if not on:
        return ""
    profiles = sorted({s.slice.profile for s in world.slices.values() if not s.lost})
    hint = f": request a slice (`--profile {profiles[0]}`)" if profiles else ""
    return f"; MIG mode is on at GPU {', '.join(map(str, on))}, so it is not given whole{hint}"


def _how_to_create(world: World, need: GpuRequest) -> str:
    """Name the command for the first GPU that has room, could be emptied, or has MIG mode off."""
    gpus = sorted((g for g in world.gpus.values() if g.mig_capable), key=lambda g: g.index)
    offers = [(gpu, profile) for gpu in gpus for profile in _offered(gpu, need)]
    for gpu, profile in offers:
        board = board_of(gpu.profiles) if gpu.mig_current else None
        if board and arrange(board, _places(world, gpu), [profile.profile_id]) is not None:
            name = need.profile if need.kind == "profile" else profile.name
            return f"; an admin can add one: `launch layout create {name} --gpu {gpu.index}`"
    for gpu, profile in offers:
        name = need.profile if need.kind == "profile" else profile.name
        if not gpu.mig_current:
            return f"; MIG mode of GPU {gpu.index} is off: `launch layout enable --gpu {gpu.index}`"
        return (
            f"; GPU {gpu.index} could have one in place of others: "
            f"`launch layout plan --exact {name} --gpu {gpu.index}`"
        )
    known = list(dict.fromkeys(p.name for gpu in gpus for p in gpu.profiles))
    if not known:
        return ""
    return f"; no GPU here offers it, but {', '.join(known)}"


def _offered(gpu: Gpu, need: GpuRequest) -> list[Profile]:
    """Return the profiles of a GPU that serve a need, the smallest first."""
    matching = [p for p in gpu.profiles if most_offered(need, p)]
    return sorted(matching, key=lambda p: (p.memory_mib, scarcity(p.name)))


def _places(world: World, gpu: Gpu) -> list[Place]:
    return [
        Place(i.profile_id, i.placement.start)
        for i in world.instances.values()
        if i.gpu_uuid == gpu.uuid
    ]


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
        f"; {s.slice.uuid} {s.unusable}, and job {world.ref(s.lease.job)} has it"
        for s in world.slices.values()
        if s.lease is not None and s.instead is not None and fits(need, s.instead)
    ]
    return "".join(sentences)
