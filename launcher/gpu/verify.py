"""Checks that a slice is still the leased one: MIG UUIDs recur after a re-creation."""

from __future__ import annotations

from launcher.core.model.gpu import Placement, Slice
from launcher.gpu.calls import nvml


def difference(expected: Slice) -> str | None:
    """Return None if the slice is exactly as given, otherwise the difference, as a sentence."""
    device = nvml.device_by_uuid(expected.uuid)
    if device is None:
        return f"{expected.uuid} does not exist now"
    if expected.gi is None:
        mode = nvml.mig_mode(device)
        return f"MIG mode is now on at {expected.uuid}" if mode and mode[0] else None
    ids = nvml.gi_and_ci(device)
    parent = nvml.parent_of(device)
    if ids is None or parent is None:
        return f"{expected.uuid} does not exist now"
    if nvml.device_uuid(parent) != expected.gpu_uuid:
        return f"{expected.uuid} is now on another GPU than {expected.gpu_uuid}"
    if ids != (expected.gi, expected.ci):
        was = f"GPU instance {expected.gi}, compute instance {expected.ci}"
        return f"{expected.uuid} was {was} and is now {ids[0]} and {ids[1]}"
    return _instance_difference(expected, device, parent)


def _instance_difference(expected: Slice, device: nvml.Handle, parent: nvml.Handle) -> str | None:
    instance = nvml.gpu_instance_by_id(parent, expected.gi or 0)
    info = None if instance is None else nvml.gpu_instance_info(instance)
    if info is None:
        name = (nvml.device_name(device) or "").partition(" MIG ")[2]
        if name and name != expected.profile:
            return f"{expected.uuid} was a {expected.profile} and is now a {name}"
        return None
    if expected.profile_id not in (None, info.profile_id):
        return (
            f"{expected.uuid} was a {expected.profile} (profile {expected.profile_id}) and has now "
            f"profile {info.profile_id}"
        )
    place = Placement(info.start, info.size)
    if expected.placement not in (None, place):
        return f"{expected.uuid} was placed at {expected.placement} and is now at {place}"
    sizes = nvml.attributes(device)
    if sizes is not None and _ci_slices(expected.profile, sizes.gi_slices) != sizes.ci_slices:
        return f"{expected.uuid} was a {expected.profile} and has now {sizes.ci_slices} slices"
    return None


def _ci_slices(profile: str, gi_slices: int) -> int:
    """Return the compute slices of a device: 1 of ``1c.3g.20gb``, all of ``3g.20gb``."""
    count, shares, _ = profile.partition("c.")
    return int(count) if shares and count.isdigit() else gi_slices
