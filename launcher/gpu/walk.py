"""One consistent list of all instances of a GPU, even if they change during the read.

MIG devices are listed by index, and indexes move when an instance is created or destroyed. A walk
during such a change can miss an existing slice, which would then look lost. A walk therefore counts
only under three conditions: it equals the previous one (in a quiet system that is the walk of the
last poll), every device known before and missing now is really gone by its UUID, and every GPU
instance without a device really has no compute instance.
"""

from __future__ import annotations

from dataclasses import dataclass

from launcher.core.model.gpu import Profile
from launcher.errors import GpuFault
from launcher.gpu.calls import nvml, nvml_compute

TRIES = 8


@dataclass(frozen=True, slots=True)
class WalkedDevice:
    """A MIG device as listed by index."""

    uuid: str
    gi: int
    ci: int
    profile_name: str | None
    gi_slices: int
    ci_slices: int
    memory_mib: int
    index: int


@dataclass(frozen=True, slots=True)
class InstanceWalk:
    """The MIG devices, and the GPU instances (None without the privilege to list them)."""

    devices: tuple[WalkedDevice, ...]
    instances: tuple[nvml.InstanceInfo, ...] | None

    def devices_of(self, gi: int) -> int:
        """Return how many MIG devices a GPU instance has: they share its memory."""
        return sum(device.gi == gi for device in self.devices)

    def instance(self, gi: int) -> nvml.InstanceInfo | None:
        """Return the GPU instance with that id, None if it was not listed."""
        return next((info for info in self.instances or () if info.gi == gi), None)


def walk(
    gpu: nvml.Handle, profiles: tuple[Profile, ...], before: InstanceWalk | None
) -> InstanceWalk:
    """Return the instances of a GPU; GpuFault if all attempts find a change in progress."""
    known = {device.uuid: device for device in (before.devices if before else ())}
    for _ in range(TRIES):
        now = _once(gpu, profiles)
        if now is not None:
            seen = {device.uuid: device for device in now.devices}
            if now == before and not _missed([known[uuid] for uuid in known.keys() - seen.keys()]):
                return now
            known |= seen
        before = now
    raise GpuFault(
        "the GPU's instances do not stop changing",
        fix="A repartitioning is in progress; the next poll retries.",
    )


def _missed(absent: list[WalkedDevice]) -> bool:
    """Whether a device missing from a walk still exists."""
    for device in absent:
        mig = nvml.device_by_uuid(device.uuid)
        if mig is not None and nvml.gi_and_ci(mig) == (device.gi, device.ci):
            return True
    return False


def _once(gpu: nvml.Handle, profiles: tuple[Profile, ...]) -> InstanceWalk | None:
    """Walk once; None if something vanished meanwhile."""
    devices: list[WalkedDevice] = []
    for index in range(nvml.max_mig_devices(gpu)):
        mig = nvml.mig_device_at(gpu, index)
        if mig is not None:
            device = _device(mig, index)
            if device is None:
                return None
            devices.append(device)
    if len({device.uuid for device in devices}) < len(devices):
        return None  # an index moved meanwhile: one device twice
    instances = _instances(gpu, profiles)
    if instances is None:
        return InstanceWalk(tuple(devices), None)
    used = {device.gi for device in devices}
    for gi in used - {info.gi for info in instances}:
        # Its profile is unknown to nvidia-ml-py, or it was created a moment ago.
        info = _instance(gpu, gi)
        if info is None:
            return None
        instances.append(info)
    bare = [info.gi for info in instances if info.gi not in used]
    if any(_has_compute_instance(gpu, gi) for gi in bare):
        return None
    return InstanceWalk(tuple(devices), tuple(sorted(instances, key=lambda info: info.gi)))


def _has_compute_instance(gpu: nvml.Handle, gi: int) -> bool:
    instance = nvml.gpu_instance_by_id(gpu, gi)
    return instance is not None and bool(nvml_compute.compute_instances(instance))


def _instance(gpu: nvml.Handle, gi: int) -> nvml.InstanceInfo | None:
    handle = nvml.gpu_instance_by_id(gpu, gi)
    return None if handle is None else nvml.gpu_instance_info(handle)


def _device(mig: nvml.Handle, index: int) -> WalkedDevice | None:
    uuid = nvml.device_uuid(mig)
    ids = nvml.gi_and_ci(mig)
    name = nvml.device_name(mig)
    sizes = nvml.attributes(mig)
    if uuid is None or ids is None or sizes is None:
        return None
    profile = (name or "").partition(" MIG ")[2] or None
    return WalkedDevice(
        uuid, *ids, profile, sizes.gi_slices, sizes.ci_slices, sizes.memory_mib, index
    )


def _instances(gpu: nvml.Handle, profiles: tuple[Profile, ...]) -> list[nvml.InstanceInfo] | None:
    """List the GPU instances of every profile, None without the privilege."""
    instance_infos: list[nvml.InstanceInfo] = []
    if not profiles:
        return None
    for profile in profiles:
        handles = nvml.gpu_instances(gpu, profile.profile_id, profile.max_instances)
        if handles is None:
            return None
        infos = [nvml.gpu_instance_info(handle) for handle in handles]
        instance_infos.extend(info for info in infos if info is not None)
    return instance_infos
