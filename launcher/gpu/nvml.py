"""Floor 1: one function per NVML call, return code to exception, nothing else.

Thin over nvidia-ml-py, which is imported at the first call and only in this module. Handles are
opaque. Where NVML may refuse a query for good reasons (no such function in this driver, not
supported on this board, nothing at that index) the function returns None: unknown is not failure.
Every other code becomes an error of ``launcher.errors`` by the one table below. Sizes are MiB.
"""

from __future__ import annotations

import ctypes
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from launcher.errors import (
    DriverMismatch,
    DriverNotLoaded,
    GpuFault,
    GpuLost,
    GpuPermission,
    GpuUnavailable,
    LauncherError,
    NvmlLibraryMissing,
)

Handle: TypeAlias = Any
"""A GPU, a MIG device, or a GPU instance: dies with what it names, and at shutdown."""

MIB = 1024 * 1024

UNINITIALIZED = 1
INVALID_ARGUMENT = 2
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
INSUFFICIENT_SIZE = 7
DRIVER_NOT_LOADED = 9
TIMEOUT = 10
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
OPERATING_SYSTEM = 17
LIB_RM_VERSION_MISMATCH = 18
IN_USE = 19
NOT_READY = 27
UNKNOWN = 999

UNKNOWABLE = frozenset({NOT_SUPPORTED, FUNCTION_NOT_FOUND})
"""This driver or board does not tell."""

GONE = frozenset({INVALID_ARGUMENT, NOT_FOUND})
"""What the handle or id named is not there any more: a stale handle is INVALID_ARGUMENT."""

TRANSIENT = frozenset({INSUFFICIENT_SIZE, TIMEOUT, IN_USE, NOT_READY, UNKNOWN})
"""Worth asking again for a read: the list grew between the two calls, the driver is starting or
busy with a change of instances. All others say the same thing every time."""

_MIG_NAME = re.compile(r" MIG (?:(?P<ci>\d+)c\.)?(?P<gi>\d+)g\.", re.ASCII)

ATTEMPTS = 3
FIRST_WAIT_S = 0.02

_ERRORS: dict[int, tuple[type[LauncherError], str, str]] = {
    LIBRARY_NOT_FOUND: (
        NvmlLibraryMissing,
        "The NVIDIA management library (libnvidia-ml.so.1) is not installed.",
        "Install the NVIDIA driver, or try without a GPU: launch serve --fake-gpu 'A30:1g.6gb*4'.",
    ),
    DRIVER_NOT_LOADED: (
        DriverNotLoaded,
        "The NVIDIA kernel driver is not loaded.",
        "Run nvidia-smi and look at dmesg; load it with modprobe nvidia, or install the driver.",
    ),
    LIB_RM_VERSION_MISMATCH: (
        DriverMismatch,
        "The NVIDIA library and the loaded kernel driver have different versions.",
        "The driver was upgraded under a running system: reboot, then start the launcher again.",
    ),
    GPU_IS_LOST: (
        GpuLost,
        "A GPU fell off the bus or stopped answering.",
        "Look for NVRM Xid lines in dmesg; reboot the machine if it does not come back.",
    ),
    NO_PERMISSION: (
        GpuPermission,
        "NVML refused the call: no permission.",
        "Run the daemon as root, or let its group read /dev/nvidia-caps (config and monitor).",
    ),
    OPERATING_SYSTEM: (
        GpuUnavailable,
        "The operating system keeps this process from the GPU.",
        "A device cgroup took it away (systemctl daemon-reload does): start the daemon again.",
    ),
}


class NvmlClosed(Exception):
    """NVML was not, or is no longer, initialised: open it again. Never leaves this room."""


@dataclass(frozen=True, slots=True)
class ProfileInfo:
    """A GPU-instance profile; ``name`` is None where the driver is too old to tell it."""

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
    """A GPU instance: its id, its profile's id, where it stands (memory units)."""

    gi: int
    profile_id: int
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a MIG device has; ``ci_slices`` < ``gi_slices`` where it shares its GPU instance."""

    gi_slices: int
    ci_slices: int
    memory_mib: int


_under_way: dict[int, tuple[str, float]] = {}


def under_way(thread: int | None) -> tuple[str, float] | None:
    """Return the last call that a thread began, and when (time.monotonic)."""
    return None if thread is None else _under_way.get(thread)


def begins(call: str) -> None:
    """Note the call that this thread makes now: one that hangs can tell nobody any more."""
    _under_way[threading.get_ident()] = (call, time.monotonic())


@cache
def _pynvml() -> Any:
    import pynvml

    return pynvml


@cache
def is_stand_in() -> bool:
    """Return whether NVML is ``launcher.fakegpu``'s, by a symbol that only that library has.

    The library that pynvml loads, or has loaded; nothing is asked of it. OSError: there is none.
    """
    return hasattr(ctypes.CDLL("libnvidia-ml.so.1"), "fakegpu_use")


def code_name(code: int) -> str:
    """Return NVML's name of a return code: ``IN_USE`` for 19."""
    prefix = "NVML_ERROR_"
    for name, value in vars(_pynvml()).items():
        if name.startswith(prefix) and value == code:
            return str(name).removeprefix(prefix)
    return f"code {code}"


def error_for(call: str, code: int) -> Exception:
    """Return the exception for a return code of ``call``."""
    if code == UNINITIALIZED:
        return NvmlClosed(call)
    if code in _ERRORS:
        cls, message, fix = _ERRORS[code]
        return cls(f"{message} ({call}: {code_name(code)})", fix=fix)
    return GpuFault(
        f"NVML refused {call}: {code_name(code)} (code {code})",
        fix="Run launch doctor; dmesg has the driver's own words.",
    )


def _ask(call: str, *arguments: Any, unknown: frozenset[int] = frozenset()) -> Any:
    """Make a reading call; None for a code in ``unknown``; a transient code is asked again."""
    nvml = _pynvml()
    make: Callable[..., Any] = getattr(nvml, call)

    def function(*arguments: Any) -> Any:
        begins(call)
        return make(*arguments)

    try:
        return function(*arguments)
    except nvml.NVMLError as error:
        code = int(error.value)
    if code in TRANSIENT and code not in unknown:
        code, value = _ask_again(function, arguments)
        if code == 0:
            return value
    if code in unknown:
        return None
    raise error_for(call, code)


def _ask_again(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[int, Any]:
    """Repeat a call that failed for a passing reason; (0, value) or (code, None)."""
    import tenacity

    nvml = _pynvml()

    def passing(error: BaseException) -> bool:
        return isinstance(error, nvml.NVMLError) and int(error.value) in TRANSIENT

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(passing),
        stop=tenacity.stop_after_attempt(ATTEMPTS - 1),
        wait=tenacity.wait_exponential(multiplier=FIRST_WAIT_S),
        sleep=tenacity.nap.sleep,
        reraise=True,
    )
    try:
        return 0, retrying(function, *arguments)
    except nvml.NVMLError as error:
        return int(error.value), None


def init() -> None:
    """Open NVML; NvmlLibraryMissing, DriverNotLoaded or DriverMismatch where it cannot be."""
    _ask("nvmlInit")


def shutdown() -> None:
    """Close NVML; every handle dies."""
    _ask("nvmlShutdown", unknown=frozenset({UNINITIALIZED}))


def driver_version() -> str:
    """Return the driver's version, such as ``580.95.05``."""
    return str(_ask("nvmlSystemGetDriverVersion"))


def device_count() -> int:
    """Return how many GPUs there are."""
    return int(_ask("nvmlDeviceGetCount"))


def device_at(index: int) -> Handle:
    """Return the GPU with that index; GpuLost if it fell off the bus."""
    return _ask("nvmlDeviceGetHandleByIndex", index)


def device_by_uuid(uuid: str) -> Handle | None:
    """Return the GPU or MIG device with that UUID, None where there is none now."""
    return _ask("nvmlDeviceGetHandleByUUID", uuid, unknown=GONE)


def device_uuid(device: Handle) -> str | None:
    """Return the UUID of a GPU or MIG device, None if it is gone."""
    found = _ask("nvmlDeviceGetUUID", device, unknown=GONE)
    return None if found is None else str(found)


def device_name(device: Handle) -> str | None:
    """Return the product name; that of a MIG device ends in `` MIG <profile>``."""
    found = _ask("nvmlDeviceGetName", device, unknown=GONE | UNKNOWABLE)
    return None if found is None else str(found)


def device_index(device: Handle) -> int | None:
    """Return a GPU's index: for the words of nvidia-smi, never to know it again."""
    found = _ask("nvmlDeviceGetIndex", device, unknown=UNKNOWABLE)
    return None if found is None else int(found)


def minor_number(device: Handle) -> int | None:
    """Return n of /dev/nvidia<n>."""
    found = _ask("nvmlDeviceGetMinorNumber", device, unknown=UNKNOWABLE)
    return None if found is None else int(found)


def persistence_mode(device: Handle) -> bool | None:
    """Return whether the driver keeps the GPU ready while nobody uses it; None where not told."""
    found = _ask("nvmlDeviceGetPersistenceMode", device, unknown=UNKNOWABLE | {NO_PERMISSION})
    return None if found is None else bool(found)


def memory_total(device: Handle) -> int | None:
    """Return a device's memory in MiB; None if it is gone or without MIG's privilege on a GPU."""
    unknown = UNKNOWABLE | GONE | {NO_PERMISSION}
    found = _ask("nvmlDeviceGetMemoryInfo", device, unknown=unknown)
    return None if found is None else int(found.total) // MIB


def mig_mode(device: Handle) -> tuple[bool, bool] | None:
    """Return (current, pending) of MIG mode, None where the board cannot do MIG."""
    found = _ask("nvmlDeviceGetMigMode", device, unknown=UNKNOWABLE)
    return None if found is None else (bool(found[0]), bool(found[1]))


def profile_count() -> int:
    """Return how many GPU-instance shapes NVML's enum has here: newer boards bring more."""
    return int(_pynvml().NVML_GPU_INSTANCE_PROFILE_COUNT)


def profile_info(device: Handle, shape: int) -> ProfileInfo | None:
    """Return the profile of a shape (NVML's enum), None where the GPU does not offer it now."""
    unknown = UNKNOWABLE | {INVALID_ARGUMENT, NO_PERMISSION}
    call = "nvmlDeviceGetGpuInstanceProfileInfo"
    info = _ask(call, device, shape, 2, unknown=unknown)
    if info is None:
        # Drivers before R510 have no version 2, which is what brings the name.
        info = _ask(call, device, shape, 1, unknown=unknown)
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
    """Return every legal (start, size) of a profile, taken or not; None where NVML does not tell.

    Needs MIG mode on and the privilege of configuring MIG.
    """
    nvml = _pynvml()
    call = "nvmlDeviceGetGpuInstancePossiblePlacements"
    refused = UNKNOWABLE | {NO_PERMISSION, INVALID_ARGUMENT}
    count = nvml.c_uint(0)
    if _ask(call, device, profile_id, None, nvml.byref(count), unknown=refused) is None:
        return None
    found = (nvml.c_nvmlGpuInstancePlacement_t * max(1, count.value))()
    if _ask(call, device, profile_id, found, nvml.byref(count), unknown=refused) is None:
        return None
    return tuple((found[i].start, found[i].size) for i in range(count.value))


def architecture(device: Handle) -> str | None:
    """Return the architecture's name in NVML's words (``ampere``), None where it is not told."""
    number = _ask("nvmlDeviceGetArchitecture", device, unknown=UNKNOWABLE)
    return _architectures().get(number)


@cache
def _architectures() -> dict[int, str]:
    prefix = "NVML_DEVICE_ARCH_"
    return {
        int(value): name.removeprefix(prefix).lower()
        for name, value in vars(_pynvml()).items()
        if name.startswith(prefix) and name != f"{prefix}UNKNOWN"
    }


def pci_device_id(device: Handle) -> int | None:
    """Return the PCI id as NVML has it, device above vendor (0x20B710DE for an A30)."""
    info = _ask("nvmlDeviceGetPciInfo", device, unknown=UNKNOWABLE)
    return None if info is None else int(info.pciDeviceId)


def gpu_instances(device: Handle, profile_id: int, room: int) -> list[Handle] | None:
    """Return the GPU instances of one profile, None without the privilege.

    ``room`` is the profile's instance count: NVML writes that many without asking.
    """
    nvml = _pynvml()
    handles = (nvml.c_nvmlGpuInstance_t * max(1, room))()
    count = nvml.c_uint(0)
    call = "nvmlDeviceGetGpuInstances"
    refused = UNKNOWABLE | {NO_PERMISSION}
    if _ask(call, device, profile_id, handles, nvml.byref(count), unknown=refused) is None:
        return None
    return [handles[i] for i in range(count.value)]


def gpu_instance_by_id(device: Handle, gi: int) -> Handle | None:
    """Return the GPU instance with that id, None if there is none or without the privilege."""
    refused = UNKNOWABLE | GONE | {NO_PERMISSION}
    return _ask("nvmlDeviceGetGpuInstanceById", device, gi, unknown=refused)


def gpu_instance_info(instance: Handle) -> InstanceInfo | None:
    """Return what a GPU instance is, None if it is gone or NVML does not tell us."""
    refused = UNKNOWABLE | GONE | {NO_PERMISSION}
    info = _ask("nvmlGpuInstanceGetInfo", instance, unknown=refused)
    if info is None:
        return None
    return InstanceInfo(info.id, info.profileId, info.placement.start, info.placement.size)


def remaining_capacity(device: Handle, profile_id: int) -> int | None:
    """Return how many more instances of a profile fit now; None where NVML does not tell."""
    call = "nvmlDeviceGetGpuInstanceRemainingCapacity"
    found = _ask(call, device, profile_id, unknown=UNKNOWABLE | {NO_PERMISSION, INVALID_ARGUMENT})
    return None if found is None else int(found)


def max_mig_devices(device: Handle) -> int:
    """Return how many MIG indexes to ask for; there are holes among them."""
    return int(_ask("nvmlDeviceGetMaxMigDeviceCount", device, unknown=UNKNOWABLE) or 0)


def mig_device_at(device: Handle, index: int) -> Handle | None:
    """Return the MIG device at an index, None at a hole. Indexes move: use the UUID."""
    call = "nvmlDeviceGetMigDeviceHandleByIndex"
    return _ask(call, device, index, unknown=GONE | UNKNOWABLE)


def parent_of(mig: Handle) -> Handle | None:
    """Return the GPU of a MIG device, None if it is gone."""
    return _ask("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", mig, unknown=GONE)


def gi_and_ci(mig: Handle) -> tuple[int, int] | None:
    """Return the ids of a MIG device's GPU and compute instance, None if it is gone."""
    gi = _ask("nvmlDeviceGetGpuInstanceId", mig, unknown=GONE)
    ci = _ask("nvmlDeviceGetComputeInstanceId", mig, unknown=GONE)
    return None if gi is None or ci is None else (int(gi), int(ci))


def attributes(mig: Handle) -> Attributes | None:
    """Return the sizes of a MIG device, None if it is gone or this driver does not tell.

    A driver that has no attributes tells them by the device's name.
    """
    found = _ask("nvmlDeviceGetAttributes_v2", mig, unknown=GONE | UNKNOWABLE)
    if found is None:
        return _named(mig)
    return Attributes(
        found.gpuInstanceSliceCount, found.computeInstanceSliceCount, int(found.memorySizeMB)
    )


def _named(mig: Handle) -> Attributes | None:
    found = _MIG_NAME.search(device_name(mig) or "")
    memory = memory_total(mig) if found else None
    if found is None or memory is None:
        return None
    slices = int(found["gi"])
    return Attributes(slices, int(found["ci"] or slices), memory)


def running(device: Handle, kind: str) -> list[tuple[int, int | None]] | None:
    """Return (pid, memory in MiB or None) of the device's processes of a kind.

    ``kind`` is Compute, Graphics or MPSCompute. None where NVML does not tell; GpuPermission where
    it would tell somebody else; GpuFault where the device is gone.
    """
    for version in ("_v3", "_v2"):
        call = f"nvmlDeviceGet{kind}RunningProcesses{version}"
        rows = _ask(call, device, unknown=UNKNOWABLE)
        if rows is not None:
            return [(int(row.pid), _mib(row.usedGpuMemory)) for row in rows]
    return None


def _mib(size: int | None) -> int | None:
    """nvidia-ml-py gives None where the driver has no figure."""
    return None if size is None else int(size) // MIB
