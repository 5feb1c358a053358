"""What the fake GPU refuses, through the real nvidia-ml-py: as a card would, with its codes."""

from __future__ import annotations

import pynvml
import pytest

from launcher.fakegpu.boards import boards
from tests.support.machines import MakeMachine, build_directory, make_machine  # noqa: F401
from tests.support.nvidia import (
    create,
    gi_info,
    gpu,
    mig_devices,
    placements,
    profile_ids,
    refused,
    remaining,
    spanning_ci,
)

MIG_BOARDS = [key for key, board in boards().items() if board.profiles]


@pytest.fixture
def machine(make_machine: MakeMachine):  # noqa: F811
    def make(spec: str):
        made = make_machine(spec)
        pynvml.nvmlInit()
        return made

    return make


def test_two_instances_cannot_take_the_same_memory_unit(machine) -> None:
    machine("A30:")
    create(gpu(), "2g.12gb", 0)
    with refused(pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES):
        create(gpu(), "1g.6gb", 1)
    create(gpu(), "1g.6gb", 2)


def test_a_placement_the_board_does_not_have_is_an_invalid_argument(machine) -> None:
    machine("A30:")
    for start, size in ((1, 2), (0, 1), (4, 2)):
        with refused(pynvml.NVML_ERROR_INVALID_ARGUMENT):
            create(gpu(), "2g.12gb", start, size)


def test_a_profile_has_an_instance_count(machine) -> None:
    machine("A30:")
    create(gpu(), "1g.6gb+me", 0)
    assert remaining(gpu(), "1g.6gb+me") == 0
    assert remaining(gpu(), "1g.6gb") == 3
    with refused(pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES):
        create(gpu(), "1g.6gb+me", 1)


def test_media_engines_are_shared_out_once(machine) -> None:
    machine("A30:")
    create(gpu(), "2g.12gb+me", 0)
    with refused(pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES):
        create(gpu(), "1g.6gb+me", 2)
    assert remaining(gpu(), "1g.6gb+me") == 0
    create(gpu(), "1g.6gb", 2)


def test_an_instance_with_all_media_engines_leaves_room_only_for_those_without(machine) -> None:
    machine("RTX-PRO-6000:")
    create(gpu(), "1g.24gb+me.all", 0)
    for profile in ("1g.24gb", "1g.24gb+gfx", "1g.24gb+me", "2g.48gb", "2g.48gb+me.all"):
        assert remaining(gpu(), profile) == 0
        with refused(pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES):
            create(gpu(), profile, 6)
    assert remaining(gpu(), "1g.24gb-me") == 3
    create(gpu(), "2g.48gb-me", 6)


@pytest.mark.parametrize("engine", ["slices", "copy", "decoders", "encoders", "jpeg", "ofa"])
def test_every_engine_by_itself_can_be_what_there_is_too_little_of(machine, engine: str) -> None:
    made = machine("RTX-PRO-6000:")
    with made.locked() as state:
        board = state.gpus[0]
        for name, _ in board.limits._fields_:
            setattr(board.limits, name, 100)
        setattr(board.limits, engine, 2 if engine != "ofa" else 0)
    profile = "1g.24gb" if engine != "ofa" else "1g.24gb+me"
    fit = 2 if engine != "ofa" else 0
    assert remaining(gpu(), profile) == fit
    for _ in range(fit):
        create(gpu(), profile)
    with refused(pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES):
        create(gpu(), profile)


def test_the_instance_count_by_itself_limits_a_profile(machine) -> None:
    made = machine("A30:")
    with made.locked() as state:
        state.gpus[0].profiles[0].max_instances = 2
    assert remaining(gpu(), "1g.6gb") == 2


def test_compute_slices_run_out_before_memory_does(machine) -> None:
    machine("A100-40GB:")
    create(gpu(), "4g.20gb", 0)
    create(gpu(), "3g.20gb", 4)
    assert remaining(gpu(), "1g.5gb") == 0
    with refused(pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES):
        create(gpu(), "1g.5gb")


@pytest.mark.parametrize("key", MIG_BOARDS)
def test_each_board_takes_as_many_as_it_says_and_then_refuses(machine, key: str) -> None:
    machine(f"{key}:")
    for profile in boards()[key].profiles:
        assert remaining(gpu(), profile.name) == profile.max_instances
        made = [create(gpu(), profile.name) for _ in range(profile.max_instances)]
        assert remaining(gpu(), profile.name) == 0
        with refused(pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES):
            create(gpu(), profile.name)
        for instance in made:
            pynvml.nvmlGpuInstanceDestroy(instance)


def test_nothing_about_mig_works_while_the_mode_is_off(machine) -> None:
    machine("A30")
    assert pynvml.nvmlDeviceGetMigMode(gpu()) == [0, 0]
    assert pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu()) == 0
    calls = (
        lambda: pynvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu(), 0),
        lambda: pynvml.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu(), 14),
        lambda: pynvml.nvmlDeviceCreateGpuInstance(gpu(), 14),
        lambda: pynvml.nvmlDeviceGetGpuInstanceById(gpu(), 3),
        lambda: pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu(), 0),
    )
    for call in calls:
        with refused(pynvml.NVML_ERROR_NOT_SUPPORTED):
            call()


def test_a_board_without_mig_supports_no_mode(machine) -> None:
    machine("T4")
    with refused(pynvml.NVML_ERROR_NOT_SUPPORTED):
        pynvml.nvmlDeviceGetMigMode(gpu())
    with refused(pynvml.NVML_ERROR_NOT_SUPPORTED):
        pynvml.nvmlDeviceSetMigMode(gpu(), 1)
    assert pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu()) == 0


def test_an_instance_in_use_is_not_destroyed(machine) -> None:
    made = machine("A30:")
    instance = create(gpu(), "1g.6gb", 0)
    compute = spanning_ci(instance)
    with refused(pynvml.NVML_ERROR_IN_USE):
        pynvml.nvmlGpuInstanceDestroy(instance)
    made.add_process(mig_devices(gpu())[0], 4711)
    with refused(pynvml.NVML_ERROR_IN_USE):
        pynvml.nvmlComputeInstanceDestroy(compute)
    made.remove_process(4711)
    pynvml.nvmlComputeInstanceDestroy(compute)
    pynvml.nvmlGpuInstanceDestroy(instance)


def test_a_handle_dies_with_what_it_names(machine) -> None:
    machine("A30:")
    instance = create(gpu(), "1g.6gb", 0)
    compute = spanning_ci(instance)
    mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu(), 0)
    pynvml.nvmlComputeInstanceDestroy(compute)
    pynvml.nvmlGpuInstanceDestroy(instance)
    again = spanning_ci(create(gpu(), "1g.6gb", 0))
    for call in (
        lambda: pynvml.nvmlDeviceGetUUID(mig),
        lambda: pynvml.nvmlGpuInstanceGetInfo(instance),
        lambda: pynvml.nvmlGpuInstanceDestroy(instance),
        lambda: pynvml.nvmlComputeInstanceDestroy(compute),
    ):
        with refused(pynvml.NVML_ERROR_INVALID_ARGUMENT):
            call()
    pynvml.nvmlComputeInstanceDestroy(again)


def test_a_handle_of_before_a_shutdown_is_dead_after_it(machine) -> None:
    machine("A30:1g.6gb")
    old = gpu()
    pynvml.nvmlShutdown()
    with refused(pynvml.NVML_ERROR_UNINITIALIZED):
        pynvml.nvmlDeviceGetUUID(old)
    pynvml.nvmlInit()
    with refused(pynvml.NVML_ERROR_INVALID_ARGUMENT):
        pynvml.nvmlDeviceGetUUID(old)


def test_a_made_up_handle_cannot_crash_the_process(machine) -> None:
    machine("A30:1g.6gb")
    for number in (1, 0xDEADBEEF, 2**64 - 1):
        handle = pynvml.cast(pynvml.c_void_p(number), pynvml.c_nvmlDevice_t)
        with refused(pynvml.NVML_ERROR_INVALID_ARGUMENT):
            pynvml.nvmlDeviceGetUUID(handle)


def test_a_gpu_handle_is_no_mig_handle(machine) -> None:
    machine("A30:1g.6gb")
    mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu(), 0)
    assert pynvml.nvmlDeviceIsMigDeviceHandle(mig).value == 1
    assert pynvml.nvmlDeviceIsMigDeviceHandle(gpu()).value == 0
    with refused(pynvml.NVML_ERROR_NOT_SUPPORTED):
        pynvml.nvmlDeviceGetGpuInstanceId(gpu())
    with refused(pynvml.NVML_ERROR_INVALID_ARGUMENT):
        pynvml.nvmlDeviceGetMigMode(mig)


def test_without_privileges_nothing_is_changed_and_little_is_told(machine) -> None:
    made = machine("A30:1g.6gb")
    instance = create(gpu(), "1g.6gb", 3)
    made.set_privilege("nobody")
    mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu(), 0)
    for call in (
        lambda: pynvml.nvmlDeviceSetMigMode(gpu(), 0),
        lambda: pynvml.nvmlDeviceCreateGpuInstance(gpu(), 14),
        lambda: pynvml.nvmlGpuInstanceDestroy(instance),
        lambda: pynvml.nvmlGpuInstanceCreateComputeInstance(instance, 0),
        lambda: pynvml.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu(), 14),
        lambda: pynvml.nvmlDeviceGetGpuInstanceById(gpu(), 3),
        lambda: pynvml.nvmlDeviceGetMemoryInfo(gpu()),
        lambda: pynvml.nvmlDeviceGetComputeRunningProcesses_v3(gpu()),
    ):
        with refused(pynvml.NVML_ERROR_NO_PERMISSION):
            call()
    assert pynvml.nvmlDeviceGetMemoryInfo(mig).total == 5952 * 1024 * 1024
    assert pynvml.nvmlDeviceGetComputeRunningProcesses_v3(mig) == []


def test_a_buffer_too_small_is_refused_with_the_size_needed(machine) -> None:
    made = machine("A30:1g.6gb")
    count = pynvml.c_uint(3)
    with refused(pynvml.NVML_ERROR_INSUFFICIENT_SIZE):
        pynvml.nvmlDeviceGetGpuInstancePossiblePlacements(
            gpu(), 14, (pynvml.c_nvmlGpuInstancePlacement_t * 3)(), pynvml.byref(count)
        )
    assert count.value == 4
    made.add_process(mig_devices(gpu())[0], 1)
    made.add_process(mig_devices(gpu())[0], 2)
    function = pynvml._nvmlGetFunctionPointer("nvmlDeviceGetComputeRunningProcesses_v3")
    count = pynvml.c_uint(1)
    rows = (pynvml.c_nvmlProcessInfo_v3_t * 1)()
    assert function(gpu(), pynvml.byref(count), rows) == pynvml.NVML_ERROR_INSUFFICIENT_SIZE
    assert count.value == 2


def test_before_init_everything_is_uninitialised(make_machine: MakeMachine) -> None:  # noqa: F811
    make_machine("A30:1g.6gb")
    pynvml._LoadNvmlLibrary()
    for call in (
        pynvml.nvmlDeviceGetCount,
        pynvml.nvmlSystemGetDriverVersion,
        pynvml.nvmlShutdown,
    ):
        with refused(pynvml.NVML_ERROR_UNINITIALIZED):
            call()


def test_an_unknown_profile_id_or_enum_is_an_invalid_argument(machine) -> None:
    machine("A30:")
    with refused(pynvml.NVML_ERROR_INVALID_ARGUMENT):
        pynvml.nvmlDeviceCreateGpuInstance(gpu(), 19)
    with refused(pynvml.NVML_ERROR_INVALID_ARGUMENT):
        pynvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu(), pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT)
    with refused(pynvml.NVML_ERROR_NOT_SUPPORTED):
        pynvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu(), pynvml.NVML_GPU_INSTANCE_PROFILE_7_SLICE)


def test_a_wrong_struct_version_is_refused(machine) -> None:
    machine("A30:")
    info = pynvml.c_nvmlGpuInstanceProfileInfo_v2_t()
    info.version = 0x03000098
    function = pynvml._nvmlGetFunctionPointer("nvmlDeviceGetGpuInstanceProfileInfoV")
    code = function(gpu(), 0, pynvml.byref(info))
    assert code == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH


def test_compute_instances_share_out_the_slices_of_their_gpu_instance(machine) -> None:
    machine("A100-40GB:")
    instance = create(gpu(), "3g.20gb", 0)
    with refused(pynvml.NVML_ERROR_NOT_SUPPORTED):
        pynvml.nvmlGpuInstanceCreateComputeInstance(instance, 3)
    two = pynvml.nvmlGpuInstanceCreateComputeInstance(instance, 1)
    assert pynvml.nvmlGpuInstanceGetComputeInstanceRemainingCapacity(instance, 0) == 1
    pynvml.nvmlGpuInstanceCreateComputeInstance(instance, 0)
    for shape in (0, 1, 2):
        with refused(pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES):
            pynvml.nvmlGpuInstanceCreateComputeInstance(instance, shape)
    assert len(mig_devices(gpu())) == 2
    mig = pynvml.nvmlComputeInstanceGetInfo(two).device
    assert pynvml.nvmlDeviceGetName(mig).endswith(" MIG 2c.3g.20gb")
    assert pynvml.nvmlDeviceGetAttributes(mig).multiprocessorCount == 28


def test_a_compute_instance_can_be_placed(machine) -> None:
    machine("A100-40GB:")
    instance = create(gpu(), "4g.20gb", 0)
    count = pynvml.c_uint(0)
    pynvml.nvmlGpuInstanceGetComputeInstancePossiblePlacements(
        instance, 1, None, pynvml.byref(count)
    )
    assert count.value == 2
    place = pynvml.c_nvmlComputeInstancePlacement_t(2, 2)
    made = pynvml.nvmlGpuInstanceCreateComputeInstanceWithPlacement(
        instance, 1, pynvml.byref(place)
    )
    assert pynvml.nvmlComputeInstanceGetInfo(made).placement.start == 2
    wrong = pynvml.c_nvmlComputeInstancePlacement_t(1, 2)
    with refused(pynvml.NVML_ERROR_INVALID_ARGUMENT):
        pynvml.nvmlGpuInstanceCreateComputeInstanceWithPlacement(instance, 1, pynvml.byref(wrong))


def test_possible_placements_do_not_care_what_is_taken(machine) -> None:
    machine("A30:")
    before = placements(gpu(), "1g.6gb")
    create(gpu(), "4g.24gb", 0)
    assert placements(gpu(), "1g.6gb") == before == [(0, 1), (1, 1), (2, 1), (3, 1)]
    assert remaining(gpu(), "1g.6gb") == 0


def test_the_instances_of_a_profile_are_listed_and_found_by_id(machine) -> None:
    machine("A30:")
    made = [gi_info(create(gpu(), "1g.6gb", start)) for start in (2, 0)]
    handles = (pynvml.c_nvmlGpuInstance_t * 4)()
    count = pynvml.c_uint(0)
    ids = profile_ids(gpu())
    pynvml.nvmlDeviceGetGpuInstances(gpu(), ids["1g.6gb"], handles, pynvml.byref(count))
    assert sorted(gi_info(handles[i]) for i in range(count.value)) == sorted(made)
    pynvml.nvmlDeviceGetGpuInstances(gpu(), ids["2g.12gb"], handles, pynvml.byref(count))
    assert count.value == 0
    assert gi_info(pynvml.nvmlDeviceGetGpuInstanceById(gpu(), made[0][0])) == made[0]
    with refused(pynvml.NVML_ERROR_NOT_FOUND):
        pynvml.nvmlDeviceGetGpuInstanceById(gpu(), 1)
