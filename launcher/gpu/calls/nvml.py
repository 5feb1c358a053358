"""Floor 1: one function per NVML call, return code to exception.

Thin over nvidia-ml-py, which is imported at the first call and only in ``asking``. Handles are
opaque. If NVML may legitimately refuse a query (no such function in this driver, not supported on
this board, nothing at that index) the function returns None: unknown is not failure. Every other
code becomes an error of ``launcher.errors`` by one table (``asking``). Sizes are MiB.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from launcher.gpu.calls.asking import (
    GONE,
    INVALID_ARGUMENT,
    NO_PERMISSION,
    UNINITIALIZED,
    UNKNOWABLE,
    pynvml_module,
    query,
)

Handle: TypeAlias = Any
"""A GPU, MIG device, or GPU instance: invalid once that is gone, and after shutdown."""

MIB = 1024 * 1024

_MIG_NAME = re.compile(r" MIG (?:(?P<ci>\d+)c\.)?(?P<gi>\d+)g\.", re.ASCII)


@dataclass(frozen=True, slots=True)
class ProfileInfo:
    """A GPU-instance profile; ``name`` is None if the driver is too old to report it."""

    id: int
    shape: int
    name: str | None
    slice_count: int
    max_instances: int
    memory_mib: int
    multiprocessors: int = 0
    engines: tuple[int, ...] = (0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class InstanceInfo:
    """A GPU instance: its id, its profile's id, its placement (memory units)."""

    gi: int
    profile_id: int
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Attributes:
    """The sizes of a MIG device; ``ci_slices`` < ``gi_slices`` if it shares its GPU instance."""

    gi_slices: int
    ci_slices: int
    memory_mib: int


def init() -> None:
    """Open NVML; raises NvmlLibraryMissing, DriverNotLoaded or DriverMismatch."""
    query("nvmlInit")


def shutdown() -> None:
    """Close NVML; every handle becomes invalid."""
    query("nvmlShutdown", unknown=frozenset({UNINITIALIZED}))


def driver_version() -> str:
    """Return the driver's version, such as ``580.95.05``."""
    return str(query("nvmlSystemGetDriverVersion"))


def device_count() -> int:
    """Return the number of GPUs."""
    return int(query("nvmlDeviceGetCount"))


def device_at(index: int) -> Handle:
    """Return the GPU with that index; GpuLost if it fell off the bus."""
    return query("nvmlDeviceGetHandleByIndex", index)


def device_by_uuid(uuid: str) -> Handle | None:
    """Return the GPU or MIG device with that UUID, None if there is none now."""
    return query("nvmlDeviceGetHandleByUUID", uuid, unknown=GONE)


def device_uuid(device: Handle) -> str | None:
    """Return the UUID of a GPU or MIG device, None if it is gone."""
    reply = query("nvmlDeviceGetUUID", device, unknown=GONE)
    return None if reply is None else str(reply)


def device_name(device: Handle) -> str | None:
    """Return the product name; that of a MIG device ends in `` MIG <profile>``."""
    reply = query("nvmlDeviceGetName", device, unknown=GONE | UNKNOWABLE)
    return None if reply is None else str(reply)


def device_index(device: Handle) -> int | None:
    """Return a GPU's index: for messages as in nvidia-smi, never as an identity."""
    reply = query("nvmlDeviceGetIndex", device, unknown=UNKNOWABLE)
    return None if reply is None else int(reply)


def minor_number(device: Handle) -> int | None:
    """Return n of /dev/nvidia<n>."""
    reply = query("nvmlDeviceGetMinorNumber", device, unknown=UNKNOWABLE)
    return None if reply is None else int(reply)


def persistence_mode(device: Handle) -> bool | None:
    """Return whether the driver keeps the GPU ready while it is unused; None if unknown."""
    reply = query("nvmlDeviceGetPersistenceMode", device, unknown=UNKNOWABLE | {NO_PERMISSION})
    return None if reply is None else bool(reply)


def memory_total(device: Handle) -> int | None:
    """Return a device's memory in MiB; None if it is gone or without MIG's privilege on a GPU."""
    unknown = UNKNOWABLE | GONE | {NO_PERMISSION}
    reply = query("nvmlDeviceGetMemoryInfo", device, unknown=unknown)
    return None if reply is None else int(reply.total) // MIB


def memory_used(device: Handle) -> int | None:
    """Return a device's used memory in MiB; None if it is gone or NVML does not report it.

    Without what the driver reserves for itself, as nvidia-smi shows it; older drivers include that.
    """
    unknown = UNKNOWABLE | GONE | {NO_PERMISSION}
    for version in ((pynvml_module().nvmlMemory_v2,), ()):
        reply = query("nvmlDeviceGetMemoryInfo", device, *version, unknown=unknown)
        if reply is not None:
            return _mib(reply.used)
    return None


def mig_mode(device: Handle) -> tuple[bool, bool] | None:
    """Return (current, pending) of MIG mode, None if the board does not support MIG."""
    reply = query("nvmlDeviceGetMigMode", device, unknown=UNKNOWABLE)
    return None if reply is None else (bool(reply[0]), bool(reply[1]))


def profile_count() -> int:
    """Return the number of GPU-instance shapes in NVML's enum: newer boards add more."""
    return int(pynvml_module().NVML_GPU_INSTANCE_PROFILE_COUNT)


def profile_info(device: Handle, shape: int) -> ProfileInfo | None:
    """Return the profile of a shape (NVML's enum), None if the GPU does not offer it now."""
    unknown = UNKNOWABLE | {INVALID_ARGUMENT, NO_PERMISSION}
    call = "nvmlDeviceGetGpuInstanceProfileInfo"
    info = query(call, device, shape, 2, unknown=unknown)
    if info is None:
        # Drivers before R510 lack version 2, which adds the name.
        info = query(call, device, shape, 1, unknown=unknown)
    if info is None:
        return None
    name = str(getattr(info, "name", "")).removeprefix("MIG ").strip() or None
    engines = (
        info.copyEngineCount,
        info.decoderCount,
        info.encoderCount,
        info.jpegCount,
        info.ofaCount,
    )
    return ProfileInfo(
        info.id,
        shape,
        name,
        info.sliceCount,
        info.instanceCount,
        int(info.memorySizeMB),
        info.multiprocessorCount,
        engines,
    )


def possible_placements(device: Handle, profile_id: int) -> tuple[tuple[int, int], ...] | None:
    """Return every legal (start, size) of a profile, occupied or not; None if NVML reports none.

    Needs MIG mode on and the privilege of configuring MIG.
    """
    nvml = pynvml_module()
    call = "nvmlDeviceGetGpuInstancePossiblePlacements"
    refused = UNKNOWABLE | {NO_PERMISSION, INVALID_ARGUMENT}
    count = nvml.c_uint(0)
    if query(call, device, profile_id, None, nvml.byref(count), unknown=refused) is None:
        return None
    result = (nvml.c_nvmlGpuInstancePlacement_t * max(1, count.value))()
    if query(call, device, profile_id, result, nvml.byref(count), unknown=refused) is None:
        return None
    return tuple((result[i].start, result[i].size) for i in range(count.value))


def architecture(device: Handle) -> str | None:
    """Return the architecture's name as NVML spells it (``ampere``), None if unknown."""
    number = query("nvmlDeviceGetArchitecture", device, unknown=UNKNOWABLE)
    return _architectures().get(number)


@cache
def _architectures() -> dict[int, str]:
    prefix = "NVML_DEVICE_ARCH_"
    return {
        int(value): name.removeprefix(prefix).lower()
        for name, value in vars(pynvml_module()).items()
        if name.startswith(prefix) and name != f"{prefix}UNKNOWN"
    }


def pci_ids(device: Handle) -> tuple[int | None, int | None]:
    """Return the PCI ids of the device and of its subsystem in NVML's form.

    The device is above the vendor: 0x20B710DE for an A30.
    """
    info = query("nvmlDeviceGetPciInfo", device, unknown=UNKNOWABLE)
    return (None, None) if info is None else (int(info.pciDeviceId), int(info.pciSubSystemId))


def gpu_instances(device: Handle, profile_id: int, room: int) -> list[Handle] | None:
    """Return the GPU instances of one profile, None without the privilege.

    ``room`` is the profile's instance count: NVML writes that many without checking.
    """
    nvml = pynvml_module()
    handles = (nvml.c_nvmlGpuInstance_t * max(1, room))()
    count = nvml.c_uint(0)
    call = "nvmlDeviceGetGpuInstances"
    refused = UNKNOWABLE | {NO_PERMISSION}
    if query(call, device, profile_id, handles, nvml.byref(count), unknown=refused) is None:
        return None
    return [handles[i] for i in range(count.value)]


def gpu_instance_by_id(device: Handle, gi: int) -> Handle | None:
    """Return the GPU instance with that id, None if there is none or without the privilege."""
    refused = UNKNOWABLE | GONE | {NO_PERMISSION}
    return query("nvmlDeviceGetGpuInstanceById", device, gi, unknown=refused)


def gpu_instance_info(instance: Handle) -> InstanceInfo | None:
    """Return the data of a GPU instance, None if it is gone or NVML does not report it."""
    refused = UNKNOWABLE | GONE | {NO_PERMISSION}
    info = query("nvmlGpuInstanceGetInfo", instance, unknown=refused)
    if info is None:
        return None
    return InstanceInfo(info.id, info.profileId, info.placement.start, info.placement.size)


def remaining_capacity(device: Handle, profile_id: int) -> int | None:
    """Return how many more instances of a profile fit now; None if NVML does not report it."""
    call = "nvmlDeviceGetGpuInstanceRemainingCapacity"
    reply = query(call, device, profile_id, unknown=UNKNOWABLE | {NO_PERMISSION, INVALID_ARGUMENT})
    return None if reply is None else int(reply)


def max_mig_devices(device: Handle) -> int:
    """Return the number of MIG indexes to query; some of them may be unused."""
    return int(query("nvmlDeviceGetMaxMigDeviceCount", device, unknown=UNKNOWABLE) or 0)


def mig_device_at(device: Handle, index: int) -> Handle | None:
    """Return the MIG device at an index, None if it is unused. Indexes move: use the UUID."""
    call = "nvmlDeviceGetMigDeviceHandleByIndex"
    return query(call, device, index, unknown=GONE | UNKNOWABLE)


def parent_of(mig: Handle) -> Handle | None:
    """Return the GPU of a MIG device, None if it is gone."""
    return query("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", mig, unknown=GONE)


def gi_and_ci(mig: Handle) -> tuple[int, int] | None:
    """Return the ids of a MIG device's GPU and compute instance, None if it is gone."""
    gi = query("nvmlDeviceGetGpuInstanceId", mig, unknown=GONE)
    ci = query("nvmlDeviceGetComputeInstanceId", mig, unknown=GONE)
    return None if gi is None or ci is None else (int(gi), int(ci))


def attributes(mig: Handle) -> Attributes | None:
    """Return the sizes of a MIG device, None if it is gone or this driver does not report them.

    A driver without attributes reports them in the device's name.
    """
    reply = query("nvmlDeviceGetAttributes_v2", mig, unknown=GONE | UNKNOWABLE)
    if reply is None:
        return _named(mig)
    return Attributes(
        reply.gpuInstanceSliceCount, reply.computeInstanceSliceCount, int(reply.memorySizeMB)
    )


def _named(mig: Handle) -> Attributes | None:
    match = _MIG_NAME.search(device_name(mig) or "")
    memory = memory_total(mig) if match else None
    if match is None or memory is None:
        return None
    slices = int(match["gi"])
    return Attributes(slices, int(match["ci"] or slices), memory)


def running(device: Handle, kind: str) -> list[tuple[int, int | None]] | None:
    """Return (pid, memory in MiB or None) of the device's processes of a kind.

    ``kind`` is Compute, Graphics or MPSCompute. None if NVML does not report them; GpuPermission if
    it would report them to another user; GpuFault if the device is gone.
    """
    for version in ("_v3", "_v2"):
        call = f"nvmlDeviceGet{kind}RunningProcesses{version}"
        rows = query(call, device, unknown=UNKNOWABLE)
        if rows is not None:
            return [(int(row.pid), _mib(row.usedGpuMemory)) for row in rows]
    return None


def _mib(size: int | None) -> int | None:
    """nvidia-ml-py returns None if the driver has no figure."""
    return None if size is None else int(size) // MIB
