"""One suite, two subjects: the fake machine, and a real card.

Without LAUNCHER_TEST_GPU the subject is a fake A30 with MIG mode on and nothing on it. With
LAUNCHER_TEST_GPU=GPU-<uuid> (and ``-m hardware``) it is that GPU, which must have MIG mode on and
no GPU instance: the suite creates and destroys some on it. What holds here for both is what the
launcher and the other tests may rely on.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml
import pytest

from launcher.core.model.gpu import Gpu
from launcher.fakegpu import Machine
from launcher.gpu import GpuReader
from tests.support.machines import build_directory  # noqa: F401
from tests.support.nvidia import (
    create,
    gi_info,
    mig_devices,
    placements,
    profile_ids,
    refused,
    remaining,
    spanning_ci,
)

REAL = os.environ.get("LAUNCHER_TEST_GPU")
if REAL:
    pytestmark = pytest.mark.hardware


@dataclass
class Card:
    """The subject: a GPU with MIG mode on and no instances."""

    uuid: str
    device: Any

    @property
    def smallest(self) -> str:
        """A plain profile of one slice: the one that stands most often."""
        return max(profile_ids(self.device), key=lambda name: remaining(self.device, name))


@pytest.fixture
def card(tmp_path: Path, build_directory: Path) -> Iterator[Card]:  # noqa: F811
    gpu_uuid = REAL
    if gpu_uuid is None:
        machine = Machine.create(tmp_path, "A30:")
        machine.load(build_directory)
        gpu_uuid = machine.gpu_uuids()[0]
    pynvml.nvmlInit()
    device = pynvml.nvmlDeviceGetHandleByUUID(gpu_uuid)
    assert pynvml.nvmlDeviceGetMigMode(device) == [1, 1], f"{gpu_uuid}: MIG mode must be on"
    assert instances(device) == [], f"{gpu_uuid} must have no GPU instance"
    yield Card(gpu_uuid, device)
    destroy_all(device)
    pynvml.nvmlShutdown()


def instances(device: Any) -> list[Any]:
    found: list[Any] = []
    for profile_id in profile_ids(device).values():
        handles = (pynvml.c_nvmlGpuInstance_t * 8)()
        count = pynvml.c_uint(0)
        pynvml.nvmlDeviceGetGpuInstances(device, profile_id, handles, pynvml.byref(count))
        found.extend(handles[i] for i in range(count.value))
    return found


def destroy_all(device: Any) -> None:
    for instance in instances(device):
        for shape in range(pynvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT):
            handles = (pynvml.c_nvmlComputeInstance_t * 8)()
            count = pynvml.c_uint(0)
            with suppress(pynvml.NVMLError):
                pynvml.nvmlGpuInstanceGetComputeInstances(
                    instance, shape, handles, pynvml.byref(count)
                )
            for i in range(count.value):
                pynvml.nvmlComputeInstanceDestroy(handles[i])
        pynvml.nvmlGpuInstanceDestroy(instance)


def read_gpu(reader: GpuReader, gpu_uuid: str) -> Gpu:
    return next(gpu for gpu in reader.inventory().gpus if gpu.uuid == gpu_uuid)


def test_what_is_created_is_read_with_its_identity_and_verified(card: Card) -> None:
    name = card.smallest
    start, size = placements(card.device, name)[-1]
    instance = create(card.device, name, start, size)
    spanning_ci(instance)
    reader = GpuReader()
    (slice_,) = [s for s in reader.inventory().slices if s.gpu_uuid == card.uuid]
    assert slice_.placement is not None
    assert (slice_.profile, slice_.placement.start, slice_.placement.size) == (name, start, size)
    assert slice_.gi == gi_info(instance)[0]
    assert slice_.profile_id == profile_ids(card.device)[name]
    assert reader.verify(slice_) is None
    assert reader.processes(slice_.uuid) == []
    reader.close()


def test_the_profiles_agree_with_what_the_driver_says_fits(card: Card) -> None:
    reader = GpuReader()
    profiles = read_gpu(reader, card.uuid).profiles
    assert {p.name: p.profile_id for p in profiles} == profile_ids(card.device)
    for profile in profiles:
        assert 1 <= remaining(card.device, profile.name) <= profile.max_instances
    reader.close()


def test_no_two_instances_overlap_and_the_driver_says_so(card: Card) -> None:
    name = card.smallest
    start, size = placements(card.device, name)[0]
    create(card.device, name, start, size)
    with refused(pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES):
        create(card.device, name, start, size)


def test_capacity_goes_down_with_each_instance_to_nothing(card: Card) -> None:
    name = card.smallest
    left = remaining(card.device, name)
    while left:
        create(card.device, name)
        assert remaining(card.device, name) == left - 1
        left -= 1
    with refused(pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES):
        create(card.device, name)


def test_possible_placements_do_not_depend_on_what_stands(card: Card) -> None:
    before = {name: placements(card.device, name) for name in profile_ids(card.device)}
    create(card.device, card.smallest)
    assert {name: placements(card.device, name) for name in before} == before


def test_a_gpu_instance_alone_is_no_mig_device_but_a_bare_instance(card: Card) -> None:
    instance = create(card.device, card.smallest)
    reader = GpuReader()
    inventory = reader.inventory()
    assert [s for s in inventory.slices if s.gpu_uuid == card.uuid] == []
    (bare,) = [b for b in inventory.bare if b.gpu_uuid == card.uuid]
    gi, start, size = gi_info(instance)
    assert (bare.gi, bare.placement.start, bare.placement.size) == (gi, start, size)
    reader.close()


def test_an_instance_with_a_compute_instance_is_in_use(card: Card) -> None:
    instance = create(card.device, card.smallest)
    compute = spanning_ci(instance)
    with refused(pynvml.NVML_ERROR_IN_USE):
        pynvml.nvmlGpuInstanceDestroy(instance)
    pynvml.nvmlComputeInstanceDestroy(compute)
    pynvml.nvmlGpuInstanceDestroy(instance)
    assert instances(card.device) == []


def test_a_mig_uuid_is_version_5_and_comes_back_with_its_gi_and_ci(card: Card) -> None:
    name = card.smallest
    start, size = placements(card.device, name)[0]
    seen = set()
    for _ in range(2):
        instance = create(card.device, name, start, size)
        compute = spanning_ci(instance)
        device = pynvml.nvmlComputeInstanceGetInfo(compute).device
        seen.add((gi_info(instance)[0], pynvml.nvmlDeviceGetUUID(device)))
        pynvml.nvmlComputeInstanceDestroy(compute)
        pynvml.nvmlGpuInstanceDestroy(instance)
    ((_, name_seen),) = seen
    assert uuid.UUID(name_seen.removeprefix("MIG-")).version == 5


def test_mig_devices_are_found_again_by_their_uuid(card: Card) -> None:
    for _ in range(2):
        spanning_ci(create(card.device, card.smallest))
    found = mig_devices(card.device)
    assert len(set(found.values())) == 2
    for mig_uuid in found.values():
        handle = pynvml.nvmlDeviceGetHandleByUUID(mig_uuid)
        assert pynvml.nvmlDeviceIsMigDeviceHandle(handle).value == 1
        parent = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
        assert pynvml.nvmlDeviceGetUUID(parent) == card.uuid
