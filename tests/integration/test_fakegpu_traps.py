"""The real traps of MIG, which a kinder stand-in would hide."""

from __future__ import annotations

import uuid

import pynvml
import pytest

from launcher.fakegpu import Machine
from tests.support.machines import MakeMachine, build_directory, make_machine  # noqa: F401
from tests.support.nvidia import (
    create,
    gi_info,
    gpu,
    mig_devices,
    profile_ids,
    refused,
    spanning_ci,
)


@pytest.fixture
def machine(make_machine: MakeMachine):  # noqa: F811
    def make(spec: str) -> Machine:
        made = make_machine(spec)
        pynvml.nvmlInit()
        return made

    return make


def test_a_profile_id_is_not_the_enum(machine) -> None:
    machine("A30:,A100-40GB:")
    one_slice = pynvml.NVML_GPU_INSTANCE_PROFILE_1_SLICE
    assert pynvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu(0), one_slice).id == 14
    assert pynvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu(1), one_slice).id == 19
    # The number of the 1g profile's enum is another profile's id: the whole GPU.
    assert pynvml.nvmlDeviceGetGpuInstanceProfileInfoById(gpu(0), one_slice).sliceCount == 4


def test_the_name_of_a_profile_has_a_word_before_it(machine) -> None:
    machine("A30:")
    assert pynvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu(), 0).name == "MIG 1g.6gb"


def test_the_order_of_creation_decides_what_fits(machine) -> None:
    machine("A100-40GB:")
    made = [create(gpu(), name) for name in ("1g.5gb", "1g.5gb", "2g.10gb")]
    with refused(pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES):
        create(gpu(), "3g.20gb")
    for instance in made:
        pynvml.nvmlGpuInstanceDestroy(instance)
    for name in ("3g.20gb", "2g.10gb", "1g.5gb", "1g.5gb"):
        create(gpu(), name)


def test_the_same_gi_id_is_another_placement_on_another_driver(machine) -> None:
    made = machine("A30:")
    first = create(gpu(), "2g.12gb", 0)
    assert gi_info(first) == (1, 0, 2)
    pynvml.nvmlGpuInstanceDestroy(first)
    made.mirror_ids(made.gpu_uuids()[0], mirrored=True)
    assert gi_info(create(gpu(), "2g.12gb", 2)) == (1, 2, 2)


def test_an_index_moves_when_another_instance_comes_and_the_uuid_does_not(machine) -> None:
    machine("A30:1g.6gb*2")
    before = mig_devices(gpu())
    assert list(before) == [0, 1]
    spanning_ci(create(gpu(), "2g.12gb", 2))
    after = mig_devices(gpu())
    assert after[1] == before[0]
    assert after[2] == before[1]
    assert after[0] not in before.values()


def test_a_gpu_instance_without_a_compute_instance_is_a_hole_in_the_indexes(machine) -> None:
    machine("A30:")
    create(gpu(), "1g.6gb", 0)
    spanning_ci(create(gpu(), "1g.6gb", 1))
    assert list(mig_devices(gpu())) == [1]
    with refused(pynvml.NVML_ERROR_NOT_FOUND):
        pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu(), 0)
    with refused(pynvml.NVML_ERROR_INVALID_ARGUMENT):
        pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu(), 4)


def test_a_mig_uuid_is_version_5_and_comes_back_for_another_profile(machine) -> None:
    machine("A30:")
    instance = create(gpu(), "1g.6gb", 0)
    compute = spanning_ci(instance)
    was = mig_devices(gpu())[0]
    assert uuid.UUID(was.removeprefix("MIG-")).version == 5
    pynvml.nvmlComputeInstanceDestroy(compute)
    pynvml.nvmlGpuInstanceDestroy(instance)
    with refused(pynvml.NVML_ERROR_NOT_FOUND):
        pynvml.nvmlDeviceGetHandleByUUID(was)
    spanning_ci(create(gpu(), "1g.6gb+me", 0))
    assert mig_devices(gpu())[0] == was
    mig = pynvml.nvmlDeviceGetHandleByUUID(was)
    assert pynvml.nvmlDeviceGetName(mig) == "NVIDIA A30 MIG 1g.6gb+me"


def test_two_machines_have_different_uuids_and_one_keeps_its_own(
    make_machine: MakeMachine,  # noqa: F811
) -> None:
    one, two = make_machine("A30:1g.6gb"), make_machine("A30:1g.6gb")
    assert set(one.gpu_uuids() + one.mig_uuids()).isdisjoint(two.gpu_uuids() + two.mig_uuids())
    again = Machine.create(one.directory, "A30:1g.6gb*1")
    assert again.mig_uuids() == one.mig_uuids()
    again.close()


def test_a_mode_change_that_needs_a_reset_is_a_success_that_changed_nothing(machine) -> None:
    made = machine("A30")
    made.set_reset_works(made.gpu_uuids()[0], works=False)
    status = pynvml.nvmlDeviceSetMigMode(gpu(), 1)
    assert status == pynvml.NVML_ERROR_RESET_REQUIRED
    assert pynvml.nvmlDeviceGetMigMode(gpu()) == [0, 1]
    made.reset_gpu(made.gpu_uuids()[0])
    assert pynvml.nvmlDeviceGetMigMode(gpu()) == [1, 1]


@pytest.mark.parametrize("board", ["H100-80GB", "RTX-PRO-6000"])
def test_newer_boards_change_their_mode_at_once(machine, board: str) -> None:
    made = machine(board)
    made.set_reset_works(made.gpu_uuids()[0], works=False)
    assert pynvml.nvmlDeviceSetMigMode(gpu(), 1) == pynvml.NVML_SUCCESS
    assert pynvml.nvmlDeviceGetMigMode(gpu()) == [1, 1]


def test_a_mode_change_under_a_process_is_a_success_that_says_in_use(machine) -> None:
    made = machine("A30")
    made.add_process(made.gpu_uuids()[0], 99)
    assert pynvml.nvmlDeviceSetMigMode(gpu(), 1) == pynvml.NVML_ERROR_IN_USE
    assert pynvml.nvmlDeviceGetMigMode(gpu()) == [0, 1]
    made.remove_process(99)
    assert pynvml.nvmlDeviceSetMigMode(gpu(), 1) == pynvml.NVML_SUCCESS
    assert pynvml.nvmlDeviceGetMigMode(gpu()) == [1, 1]


def test_mig_mode_does_not_end_while_instances_stand(machine) -> None:
    made = machine("A30:1g.6gb")
    assert pynvml.nvmlDeviceSetMigMode(gpu(), 0) == pynvml.NVML_ERROR_IN_USE
    assert pynvml.nvmlDeviceGetMigMode(gpu()) == [1, 0]
    assert len(made.mig_uuids()) == 1


def test_ampere_keeps_its_mode_over_a_reboot_and_newer_boards_forget_it(machine) -> None:
    made = machine("A30:1g.6gb*4,H100-80GB:3g.40gb,RTX-PRO-6000:1g.24gb")
    made.reboot()
    modes = [made.mig_mode(uuid) for uuid in made.gpu_uuids()]
    assert modes == [(True, True), (False, False), (False, False)]
    assert made.mig_uuids() == []


def test_a_pending_mode_becomes_current_with_the_reboot(machine) -> None:
    made = machine("A30")
    made.set_reset_works(made.gpu_uuids()[0], works=False)
    pynvml.nvmlDeviceSetMigMode(gpu(), 1)
    made.reboot()
    assert made.mig_mode(made.gpu_uuids()[0]) == (True, True)


def test_a_process_that_had_nvml_open_finds_it_closed_after_a_reboot(machine) -> None:
    made = machine("A30")
    handle = gpu()
    made.reboot()
    with refused(pynvml.NVML_ERROR_UNINITIALIZED):
        pynvml.nvmlDeviceGetUUID(handle)
    pynvml.nvmlInit()
    assert pynvml.nvmlDeviceGetUUID(gpu()) == made.gpu_uuids()[0]


def test_newer_boards_tell_their_profiles_with_the_mode_off(machine) -> None:
    machine("H100-80GB,A30")
    assert "1g.10gb" in profile_ids(gpu(0))
    assert profile_ids(gpu(1)) == {}
    resetless, independent = (
        pynvml.NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED,
        pynvml.NVML_FI_DEV_IS_MIG_MODE_INDEPENDENT_MIG_QUERY_CAPABLE,
    )
    for index, expected in ((0, 1), (1, 0)):
        values = pynvml.nvmlDeviceGetFieldValues(gpu(index), [resetless, independent, 1])
        assert [value.value.uiVal for value in values[:2]] == [expected, expected]
        assert values[2].nvmlReturn == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_the_uuid_of_a_new_device_is_had_from_its_compute_instance(machine) -> None:
    machine("A30:")
    compute = spanning_ci(create(gpu(), "1g.6gb", 3))
    info = pynvml.nvmlComputeInstanceGetInfo(compute)
    assert pynvml.nvmlDeviceGetUUID(info.device) == mig_devices(gpu())[0]
    assert gi_info(info.gpuInstance) == (6, 3, 1)
    parent = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(info.device)
    assert pynvml.nvmlDeviceGetUUID(parent) == pynvml.nvmlDeviceGetUUID(gpu())


def test_a_gpu_is_found_by_uuid_and_by_bus_id_too(machine) -> None:
    made = machine("A30,T4")
    bus = pynvml.nvmlDeviceGetPciInfo(gpu(1)).busId
    handle = pynvml.nvmlDeviceGetHandleByPciBusId(bus)
    assert pynvml.nvmlDeviceGetUUID(handle) == made.gpu_uuids()[1]
    assert pynvml.nvmlDeviceGetIndex(handle) == 1
    assert pynvml.nvmlDeviceGetMinorNumber(handle) == 1
    with refused(pynvml.NVML_ERROR_NOT_FOUND):
        pynvml.nvmlDeviceGetHandleByPciBusId("00000000:FE:00.0")
