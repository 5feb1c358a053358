"""Converts a layout request, with users' names of GPUs, profiles and slices, to the core's."""

from __future__ import annotations

from collections.abc import Sequence

from launcher import wire
from launcher.core.model.gpu import Gpu, split_of
from launcher.core.model.layout_change import LayoutTarget, Want
from launcher.core.model.packing import Place
from launcher.core.world.world import World
from launcher.errors import ImpossibleLayout, StaleRequest, UserError


def target_layouts(world: World, request: wire.LayoutRequest) -> tuple[LayoutTarget, ...]:
    """Return the requested layout of each GPU; raises ``UserError`` for an invalid request."""
    wishes: dict[str, LayoutTarget] = {}
    replaceable: set[str] = set()
    for entry in request.entries:
        for gpu in select(world, entry, clears=request.verb == "clear"):
            if gpu.uuid in wishes and not (entry.matches and gpu.uuid in replaceable):
                raise UserError(f"GPU {gpu.uuid} is named by more than one entry")
            if entry.matches:
                replaceable.add(gpu.uuid)
            wishes[gpu.uuid] = _target(world, gpu, entry)
    if not wishes:
        _must_be_intended(world, request)
    return tuple(wishes.values())


def _must_be_intended(world: World, request: wire.LayoutRequest) -> None:
    """Raise ``UserError`` for entries that select no GPU, unless there is nothing to change.

    A GPU that does not support MIG is clear, and its MIG mode is off; a saved layout may need no
    change at all.
    """
    _must_know_gpus(world)
    met = [entry for entry in request.entries if entry.mode is False and _matching(world, entry)]
    restored = request.verb == "restore" and not request.entries
    if request.verb == "clear" or met or restored:
        return
    if not request.entries:
        raise UserError("the request has no entries: it selects no GPU")
    matched = [gpu for entry in request.entries for gpu in _matching(world, entry)]
    problem = "none of the selected GPUs supports MIG" if matched else "no GPU here matches"
    raise UserError(
        f"{problem}: the request is for {_described(request.entries)}",
        fix=f"GPUs here: {_named(_all(world))}.",
    )


MOST_DESCRIBED = 12
"""As many selections of a request are listed in an error."""


def _described(entries: Sequence[wire.LayoutEntry]) -> str:
    """Return the selections of entries: devices and filters, each once."""
    each = [
        f"devices {', '.join(entry.gpus or ['all'])}"
        + (f" with PCI id {', '.join(entry.models)}" if entry.models else "")
        for entry in entries
    ]
    texts = list(dict.fromkeys(each))
    more = len(texts) - MOST_DESCRIBED
    return "; ".join(texts[:MOST_DESCRIBED]) + (f"; and {more} more" if more > 0 else "")


def select(world: World, entry: wire.LayoutEntry, *, clears: bool = False) -> list[Gpu]:
    """Return the GPUs that an entry selects."""
    if entry.drop and entry.gpus is None:
        return [world.gpus[uuid] for uuid in {_slice_place(world, s)[0] for s in entry.drop}]
    if entry.matches:
        return _capable_of(entry, _matching(world, entry))
    capable = [gpu for gpu in _all(world) if gpu.mig_capable]
    if not entry.gpus and not capable:
        _must_know_gpus(world)
        if clears:
            return []
        raise UserError(f"none of the GPUs here supports MIG: {_named(_all(world))}")
    if entry.gpus is None:
        return [_only_one(capable, entry, clears=clears)]
    named = [find_gpu(world, text) for text in entry.gpus] if entry.gpus else capable
    return [gpu for gpu in dict.fromkeys(named) if _is_model(gpu, entry.models)]


def _only_one(capable: Sequence[Gpu], entry: wire.LayoutEntry, *, clears: bool) -> Gpu:
    """Return the one GPU that an entry without a GPU can only mean."""
    candidates, state = [g for g in capable if g.mig_current], "have MIG mode on"
    if clears or entry.mode is False:
        candidates = [g for g in capable if g.mig_current or g.mig_pending] or list(capable)
    if entry.mode:
        candidates, state = list(capable), "support MIG"
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        for gpu in capable:
            _must_not_be_pending(gpu)
        raise UserError(
            "no GPU has MIG mode on",
            fix="`launch layout enable --gpu N` switches it on, and so does `apply --enable`.",
        )
    raise UserError(
        f"{len(candidates)} GPUs {state}: select with --gpu N or --all",
        fix=f"MIG-capable GPUs here: {', '.join(f'{g.index} ({g.name})' for g in candidates)}.",
    )


def _must_not_be_pending(gpu: Gpu) -> None:
    if gpu.mig_pending and not gpu.mig_current:
        raise UserError(
            f"GPU {gpu.index} ({gpu.name}): MIG mode was switched on, "
            "and takes effect after a reset of the GPU or a reboot",
            fix="Reboot the machine, then try again; `launch layout apply --enable` waits for it.",
        )
    if gpu.mig_current and gpu.mig_pending is False:
        raise UserError(
            f"GPU {gpu.index} ({gpu.name}): MIG mode was switched off, and goes off with a reset "
            "of the GPU or a reboot: new slices would be lost",
            fix=f"`launch layout enable --gpu {gpu.index}` keeps it on.",
        )


def _must_know_gpus(world: World) -> None:
    """Raise if the machine shows no GPU at all."""
    if world.gpus:
        return
    unknown = world.gpu_down or next(iter(world.silent.values()), None)
    if unknown:
        raise StaleRequest(
            f"the GPUs here are unknown: {unknown}", fix="`launch doctor` says more."
        )
    raise UserError("this machine has no GPU that NVML reports")


def _matching(world: World, entry: wire.LayoutEntry) -> list[Gpu]:
    """Return the GPUs that devices and filters match, whether they support MIG or not."""
    return [
        gpu
        for gpu in _all(world)
        if (not entry.gpus or str(gpu.index) in entry.gpus or gpu.uuid in entry.gpus)
        and _is_model(gpu, entry.models)
    ]


def _capable_of(entry: wire.LayoutEntry, matching: Sequence[Gpu]) -> list[Gpu]:
    """Return the matching GPUs that support MIG; raises if a listed one must and does not."""
    for gpu in matching:
        if entry.gpus and entry.mode and not gpu.mig_capable:
            raise UserError(
                f"GPU {gpu.index} ({gpu.name}) does not support MIG",
                fix="Remove it from `devices`, or write `mig-enabled: false` for it.",
            )
    return [gpu for gpu in matching if gpu.mig_capable]


def _all(world: World) -> list[Gpu]:
    return sorted(world.gpus.values(), key=lambda gpu: gpu.index)


def _named(gpus: Sequence[Gpu]) -> str:
    """Return GPUs by index, name and PCI ids."""
    return ", ".join(f"{g.index} ({g.name}, PCI id {_pci_id(g)})" for g in gpus) or "none"


def _pci_id(gpu: Gpu) -> str:
    if gpu.pci_device_id is None:
        return "unknown"
    subsystem = "" if not gpu.pci_subsystem_id else f":0x{gpu.pci_subsystem_id:08X}"
    return f"0x{gpu.pci_device_id:08X}{subsystem}"


def _is_model(gpu: Gpu, models: Sequence[str]) -> bool:
    """Whether a GPU has one of these PCI ids; no ids at all match every GPU."""
    return not models or any(_has_id(gpu, text) for text in models)


def _has_id(gpu: Gpu, text: str) -> bool:
    device, _, subsystem = text.partition(":")
    try:
        wanted = int(device, 16), int(subsystem, 16) if subsystem else gpu.pci_subsystem_id
    except ValueError:
        raise UserError(f"{text!r} is not a PCI id of a model such as 0x20B710DE") from None
    return wanted == (gpu.pci_device_id, gpu.pci_subsystem_id)


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


def _target(world: World, gpu: Gpu, entry: wire.LayoutEntry) -> LayoutTarget:
    wants = None if entry.specs is None else tuple(_want(spec) for spec in entry.specs)
    places = [_slice_place(world, text) for text in entry.drop]
    drop = frozenset(
        (gi, Place(instance.profile_id, instance.placement.start))
        for uuid, gi in places
        if uuid == gpu.uuid and (instance := world.instances.get((uuid, gi))) is not None
    )
    if entry.specs and entry.mode is None:
        _must_not_be_pending(gpu)
    return LayoutTarget(gpu.uuid, wants, entry.exact, entry.add, drop, entry.mode)


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
