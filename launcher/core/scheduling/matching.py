"""Which slices a need could use, and which of them it should take."""

from __future__ import annotations

from launcher.core.model.compute_instances import WHOLE, sizes_in
from launcher.core.model.gpu import FULL, Profile, Slice, name_gb, scarcity, split_of
from launcher.core.model.slice_state import SliceState
from launcher.core.world.world import World
from launcher.spec.gpus import GpuRequest


def fits(need: GpuRequest, slice_: Slice) -> bool:
    """Whether this slice is of the kind that the need requests, free or not.

    A device with shared memory guarantees none: it fits only its own profile and UUID (I15).
    """
    match need.kind:
        case "uuid":
            return slice_.uuid in need.uuids
        case "full" | "all":
            return slice_.profile == FULL
        case "profile":
            return slice_.profile == need.profile
        case _:
            return not slice_.memory_shared and _is_large(need, slice_.profile, slice_.memory_mib)


def in_vain(need: GpuRequest, slice_: Slice) -> bool:
    """Whether a slice fits a need except for its shared memory, or its smaller share."""
    if not slice_.memory_shared:
        return False
    if need.kind == "profile":
        return split_of(slice_.profile)[1] == need.profile
    return _is_large(need, slice_.profile, slice_.memory_mib)


def most_offered(need: GpuRequest, profile: Profile) -> int:
    """Return how many matching slices the GPU instances of a profile can provide."""
    if need.kind != "profile":
        return profile.max_instances * _is_large(need, profile.name, profile.memory_mib)
    compute, of = split_of(need.profile or "")
    if profile.name != of:
        return 0
    if compute == WHOLE:
        return profile.max_instances
    divisible = compute in sizes_in(profile.slice_count)
    return profile.max_instances * (profile.slice_count // compute) * divisible


def _is_large(need: GpuRequest, profile: str, memory_mib: int) -> bool:
    if need.kind != "memory":
        return False
    if need.memory_gb is not None:
        return name_gb(profile, memory_mib) >= need.memory_gb
    return memory_mib >= (need.memory_mib or 0)


def _smallest_first(state: SliceState) -> tuple[int, tuple[int, int], int, int, str]:
    """Order slices by what is lost with them: memory, compute, media engines that others need."""
    s = state.slice
    start = s.placement.start if s.placement else 0
    return (s.memory_mib, scarcity(s.profile), s.gpu_index, start, s.uuid)


def wanted(world: World, need: GpuRequest) -> list[SliceState]:
    """Return every slice that the need could use, free or not, smallest first."""
    slice_states = world.fitting.get(need)
    if slice_states is None:
        slice_states = sorted(
            (s for s in world.slices.values() if fits(need, s.slice)), key=_smallest_first
        )
        world.fitting[need] = slice_states
    return slice_states


def slices_wanted(world: World, need: GpuRequest) -> int:
    """Return the number of slices that the need takes at once."""
    match need.kind:
        case "none":
            return 0
        case "uuid":
            return len(need.uuids)
        case "all":
            return max(1, len(wanted(world, need)))
        case _:
            return need.count


class SliceScarcity:
    """Counts the kinds of waiting jobs that would miss each slice; valid until a job starts.

    Each kind is examined once, however many jobs choose a slice.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._scarce: list[GpuRequest] | None = None
        self._missed: dict[str, int] = {}

    def least_first(self, need: GpuRequest, free: list[SliceState]) -> list[SliceState]:
        """Return the free slices in the order in which the need should take them.

        A request by memory may have a choice of profiles. It takes the slice whose loss blocks the
        fewest kinds of waiting jobs, and of those the smallest.
        """
        if need.kind != "memory" or len({s.slice.memory_mib for s in free}) < 2:
            return free
        # The need itself adds the same number for each slice: all of them fit it.
        return sorted(free, key=lambda s: (self._by(s), *_smallest_first(s)))

    def _by(self, state: SliceState) -> int:
        if self._scarce is None:
            needs = self._world.queue.needs()
            gpus = (need for need in needs if need.kind != "none")
            self._scarce = [need for need in gpus if _scarce(self._world, need)]
        uuid = state.slice.uuid
        if uuid not in self._missed:
            self._missed[uuid] = sum(fits(need, state.slice) for need in self._scarce)
        return self._missed[uuid]


def _scarce(world: World, need: GpuRequest) -> bool:
    """Whether no free slice would be left over; then every fitting slice would be missed."""
    free = sum(s.free for s in wanted(world, need))
    return 0 < free <= slices_wanted(world, need) * world.queue.waiting(need)
