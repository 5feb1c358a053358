"""Converts a layout request, with users' names of GPUs, profiles and slices, to the core's."""

from __future__ import annotations

from collections import Counter

from launcher import wire
from launcher.core.model.gpu import Gpu, split_of
from launcher.core.model.layout_change import Want, Wish
from launcher.core.model.packing import Place
from launcher.core.world.world import World
from launcher.errors import ImpossibleLayout, UserError


def target_layouts(world: World, request: wire.LayoutRequest) -> tuple[Wish, ...]:
    """Return the requested layout of each GPU; raises ``UserError`` for an invalid request."""
    result = [
        _target(world, gpu, entry)
        for entry in request.entries
        for gpu in select(world, entry, clears=request.verb == "clear")
    ]
    twice = [uuid for uuid, count in Counter(w.gpu_uuid for w in result).items() if count > 1]
    if twice:
        raise UserError(f"GPU {twice[0]} is named by more than one entry")
    return tuple(result)


def select(world: World, entry: wire.LayoutEntry, *, clears: bool = False) -> list[Gpu]:
    """Return the GPUs that an entry selects."""
    if entry.drop and entry.gpus is None:
        return [world.gpus[uuid] for uuid in {_slice_place(world, s)[0] for s in entry.drop}]
    capable = sorted((g for g in world.gpus.values() if g.mig_capable), key=lambda g: g.index)
    if entry.gpus is None:
        on = [g for g in capable if g.mig_current]
        candidates = capable if entry.mode or (clears and not on) else on
        if len(candidates) == 1:
            return candidates
        if capable and not candidates:
            raise UserError(
                "no GPU has MIG mode on", fix="`launch layout enable --gpu N` switches it on."
            )
        which = ", ".join(f"{g.index} ({g.name})" for g in candidates or capable) or "none"
        state = "support MIG" if candidates is capable else "have MIG mode on"
        raise UserError(
            f"{len(candidates)} GPUs {state}: select one with --gpu",
            fix=f"MIG-capable GPUs here: {which}.",
        )
    named = [find_gpu(world, text) for text in entry.gpus] if entry.gpus else capable
    models = {_model(text) for text in entry.models}
    return [g for g in named if not models or g.pci_device_id in models]


def _model(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise UserError(f"{text!r} is not a PCI id of a model such as 0x20B710DE") from None


def find_gpu(world: World, text: str) -> Gpu:
    """Return the GPU of an index or UUID."""
    for gpu in world.gpus.values():
        if text in (gpu.uuid, str(gpu.index)):
            return gpu
    raise UserError(
        f"GPU {text} does not exist",
        fix="GPUs here: "
        + (", ".join(f"{g.index} ({g.uuid})" for g in world.gpus.values()) or "none"),
    )


def _target(world: World, gpu: Gpu, entry: wire.LayoutEntry) -> Wish:
    wants = None if entry.specs is None else tuple(_want(spec) for spec in entry.specs)
    places = [_slice_place(world, text) for text in entry.drop]
    drop = frozenset(
        (gi, Place(instance.profile_id, instance.placement.start))
        for uuid, gi in places
        if uuid == gpu.uuid and (instance := world.instances.get((uuid, gi))) is not None
    )
    if entry.mode is False:  # the mode cannot be switched off while instances exist
        return Wish(gpu.uuid, (), exact=True, mode=False)
    return Wish(gpu.uuid, wants, entry.exact, entry.add, drop, entry.mode)


def also_gone(world: World, request: wire.LayoutRequest) -> str:
    """Return a text with the other slices that a request destroys: all compute instances of a
    GPU instance are destroyed with it."""
    dropped = {text for entry in request.entries for text in entry.drop if text in world.slices}
    places = {_slice_place(world, text) for text in dropped}
    others = sorted(
        uuid
        for uuid, state in world.slices.items()
        if (state.slice.gpu_uuid, state.slice.gi) in places and uuid not in dropped
    )
    return f" (and of the same GPU instance {', '.join(others)})" if others else ""


def _want(spec: wire.LayoutSpec) -> Want:
    divided = split_of(spec.profile.lower())[0] > 0
    if spec.count < 1 or (spec.start is not None and spec.count > 1 and not divided):
        raise ImpossibleLayout(
            f"{spec.profile}: {spec.count} cannot share one place",
            fix="Write one SPEC per place, such as 1g.6gb@0 1g.6gb@2.",
        )
    return Want(spec.profile, spec.count, spec.start)


def _slice_place(world: World, text: str) -> tuple[str, int]:
    """Return (GPU UUID, GI id) of a MIG UUID, or of ``GPU/GI`` if there is no MIG device."""
    state = world.slices.get(text)
    if state is not None and state.slice.gi is not None:
        return state.slice.gpu_uuid, state.slice.gi
    gpu, slash, gi = text.rpartition("/")
    if slash and gi.isdecimal() and len(gi) < 10:
        place = (find_gpu(world, gpu).uuid, int(gi))
        if place in world.instances:
            return place
    raise UserError(
        f"MIG slice {text} does not exist",
        fix="`launch layout show` lists them; without a MIG UUID write GPU/GI, such as 0/5.",
    )
