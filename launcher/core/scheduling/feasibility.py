"""Checks whether a request could ever run on this machine."""

from __future__ import annotations

from launcher.core.model.gpu import FULL, split_of
from launcher.core.scheduling import cpu_slots
from launcher.core.scheduling.matching import fits, most_offered
from launcher.core.world.world import World
from launcher.errors import ImpossibleRequest
from launcher.spec.gpus import GpuRequest


def check_possible(world: World, need: GpuRequest) -> None:
    """Raise ``ImpossibleRequest`` if no GPU here could ever satisfy the request.

    Profiles count, not the current slices, because the layout can change. A MIG-capable GPU with
    unread profiles refuses nothing, and neither does a machine with unknown GPUs.
    """
    cpu_slots.check_possible(world, need)
    unknown = world.gpu_down or "" in world.silent or world.gpus_lost
    if need.kind == "none" or not world.gpus or unknown:
        return
    match need.kind:
        case "uuid":
            missing = [u for u in need.uuids if u not in world.slices]
            if missing:
                raise ImpossibleRequest(
                    f"gpus: slice {missing[0]} does not exist",
                    fix="`launch slices` lists the UUIDs of the slices that exist.",
                )
        case "full" | "all":
            if need.count > len(world.gpus):
                raise ImpossibleRequest(
                    f"gpus: {need} requested, this machine has {len(world.gpus)} GPU(s)"
                )
        case _:
            _check_profiles(world, need)


def _check_profiles(world: World, need: GpuRequest) -> None:
    if any(g.mig_capable and not g.profiles_known for g in world.gpus.values()):
        return
    most = sum(fits(need, s.slice) for s in world.slices.values())
    could = 0
    for gpu in world.gpus.values():
        could += max((most_offered(need, p) for p in gpu.profiles), default=0)
    if max(could, most) < need.count:
        offered = {p.name for g in world.gpus.values() for p in g.profiles}
        offered |= {s.slice.profile for s in world.slices.values()}
        have = ", ".join(map(_described, sorted(offered))) or FULL
        much = f"at most {max(could, most)} at once" if max(could, most) else "none of it"
        raise ImpossibleRequest(
            f"gpus: {need} requested, but the GPUs of this machine can provide {much}",
            fix=f"Available profiles: {have}.",
        )


def _described(profile: str) -> str:
    return f"{profile} (shares its memory)" if split_of(profile)[0] else profile
