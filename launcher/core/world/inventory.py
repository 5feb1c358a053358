"""Applies what NVML reports: GPUs and slices are replaced, leases and quarantines stay."""

from __future__ import annotations

from launcher.core.messages.events import InventoryRead
from launcher.core.model.gpu import Slice
from launcher.core.model.slice_state import SliceState
from launcher.core.world.shared_gpus import mark_beside
from launcher.core.world.world import World


def take_inventory(world: World, read: InventoryRead) -> None:
    """Replace the GPUs and slices; leases and quarantines stay where they are."""
    inventory, foreign = read.inventory, dict(read.foreign)
    world.not_ours = dict(read.not_ours)
    world.gpus = {gpu.uuid: gpu for gpu in inventory.gpus}
    world.instances = {(i.gpu_uuid, i.gi): i for i in inventory.instances}
    world.cuts = inventory.cuts
    world.hidden = frozenset(inventory.hidden)
    world.silent, world.gpus_lost = dict(inventory.silent), inventory.lost
    for gpu_uuid, gi in world.made.keys() - world.instances.keys():
        op = world.layout_of(gpu_uuid)
        if op is not None and op.is_active:
            continue  # NVML was read before the instance was created
        if gpu_uuid not in world.hidden and not world.why_silent(gpu_uuid):
            world.set_made(gpu_uuid, gi, None)
    reported = {s.uuid: s for s in inventory.slices}
    for uuid, state in list(world.slices.items()):
        seen = reported.get(uuid)
        state.silent = world.why_silent(state.slice.gpu_uuid)
        if seen is None and state.silent is not None:
            continue  # unknown: it keeps its state
        leased = state.lease.slice if state.lease else None
        other = leased is not None and seen is not None and leased.identity != seen.identity
        state.lost, state.instead = seen is None or other, seen if other else None
        if seen is not None and leased is None:
            state.slice = seen
        if state.lost and not state.lease and not state.quarantine:
            del world.slices[uuid]
    for uuid, item in reported.items():
        if uuid not in world.slices:
            silent = world.why_silent(item.gpu_uuid)
            changing = _changed_by(world, item)
            world.slices[uuid] = SliceState(item, changing=changing, silent=silent)
    world.fitting.clear()
    for uuid, state in world.slices.items():
        state.foreign = None if state.lease else foreign.get(uuid)
    world.mark_drained()
    mark_beside(world.slices.values(), world.ref)


def _changed_by(world: World, new: Slice) -> int | None:
    """Return the layout change that a new slice belongs to.

    The active one of its GPU may still undo it; one that waits destroys it: MIG UUIDs recur.
    """
    op = world.layout_of(new.gpu_uuid)
    return op.id if op is not None and (op.is_active or new.uuid in op.changing) else None


def made_by_us(world: World, gpu_uuid: str, gi: int | None) -> bool:
    """Whether the launcher created this GPU instance."""
    key = (gpu_uuid, -1 if gi is None else gi)
    instance, place = world.instances.get(key), world.made.get(key)
    if instance is None or place is None:
        return False
    return (instance.profile_id, instance.placement.start) == (place.profile_id, place.start)
