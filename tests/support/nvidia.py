"""Short words for the calls tests make through the real nvidia-ml-py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pynvml
import pytest


@contextmanager
def refused(code: int) -> Iterator[None]:
    """The block must fail with exactly this NVML return code."""
    with pytest.raises(pynvml.NVMLError) as caught:
        yield
    assert caught.value.value == code, f"{caught.value}"


def gpu(index: int = 0) -> Any:
    """The GPU's handle."""
    return pynvml.nvmlDeviceGetHandleByIndex(index)


def profile_ids(device: Any) -> dict[str, int]:
    """Profile ids by name, as the driver tells them."""
    found = {}
    for shape in range(pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
        try:
            info = pynvml.nvmlDeviceGetGpuInstanceProfileInfo(device, shape)
        except pynvml.NVMLError_NotSupported:
            continue
        found[info.name.removeprefix("MIG ")] = info.id
    return found


def create(device: Any, profile: str, start: int | None = None, size: int | None = None) -> Any:
    """Create a GPU instance, at a placement or where the driver likes."""
    profile_id = profile_ids(device)[profile]
    if start is None:
        return pynvml.nvmlDeviceCreateGpuInstance(device, profile_id)
    if size is None:
        size = placements(device, profile)[0][1]
    place = pynvml.c_nvmlGpuInstancePlacement_t(start, size)
    return pynvml.nvmlDeviceCreateGpuInstanceWithPlacement(device, profile_id, pynvml.byref(place))


def placements(device: Any, profile: str) -> list[tuple[int, int]]:
    """All legal placements of a profile, taken or not."""
    profile_id = profile_ids(device)[profile]
    count = pynvml.c_uint(0)
    pynvml.nvmlDeviceGetGpuInstancePossiblePlacements(device, profile_id, None, pynvml.byref(count))
    array = (pynvml.c_nvmlGpuInstancePlacement_t * count.value)()
    pynvml.nvmlDeviceGetGpuInstancePossiblePlacements(
        device, profile_id, array, pynvml.byref(count)
    )
    return [(place.start, place.size) for place in array]


def remaining(device: Any, profile: str) -> int:
    """How many more of the profile the driver says it can create."""
    profile_id = profile_ids(device)[profile]
    return int(pynvml.nvmlDeviceGetGpuInstanceRemainingCapacity(device, profile_id))


def spanning_ci(instance: Any) -> Any:
    """Create the compute instance that spans a GPU instance."""
    for shape in reversed(range(pynvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT)):
        try:
            info = pynvml.nvmlGpuInstanceGetComputeInstanceProfileInfo(instance, shape, 0)
        except pynvml.NVMLError_NotSupported:
            continue
        if info.instanceCount == 1 and "c." not in info.name:
            return pynvml.nvmlGpuInstanceCreateComputeInstance(instance, info.id)
    raise AssertionError("no compute instance spans this GPU instance")


def mig_devices(device: Any) -> dict[int, str]:
    """UUIDs of the MIG devices by index; holes are left out."""
    found = {}
    for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(device)):
        try:
            mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(device, index)
        except pynvml.NVMLError_NotFound:
            continue
        found[index] = pynvml.nvmlDeviceGetUUID(mig)
    return found


def gi_info(instance: Any) -> tuple[int, int, int]:
    """(GI id, start, size) of a GPU instance."""
    info = pynvml.nvmlGpuInstanceGetInfo(instance)
    return info.id, info.placement.start, info.placement.size
