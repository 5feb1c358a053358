"""What the launcher reads through the real nvidia-ml-py, over fake machines."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pynvml
import pytest

from launcher.core.model.gpu import FULL, Placement
from launcher.errors import (
    DriverMismatch,
    DriverNotLoaded,
    GpuFault,
    GpuLost,
    GpuPermission,
    LauncherError,
)
from launcher.fakegpu import Machine
from launcher.fakegpu.boards import boards
from launcher.gpu import GpuProcess, GpuReader
from tests.support.machines import (  # noqa: F401
    MakeMachine,
    build_directory,
    library_without_mark,
    make_machine,
)
from tests.support.nvidia import create, gpu, spanning_ci
from tests.support.plain_work import cost
from tests.support.wait import wait_until

Made = tuple[Machine, GpuReader]
MIG_BOARDS = [key for key, board in boards().items() if board.profiles]


@pytest.fixture
def made(make_machine: MakeMachine) -> Iterator[Callable[[str], Made]]:  # noqa: F811
    readers: list[GpuReader] = []

    def make(spec: str) -> Made:
        machine, reader = make_machine(spec), GpuReader()
        readers.append(reader)
        return machine, reader

    yield make
    for reader in readers:
        reader.close()


@pytest.mark.parametrize("key", MIG_BOARDS)
def test_the_profiles_of_a_board_are_read_as_it_tells_them(made, key: str) -> None:
    _, reader = made(f"{key}:")
    (gpu,) = reader.inventory().gpus
    read = {
        (p.profile_id, p.name, p.memory_mib, p.slice_count, p.max_instances) for p in gpu.profiles
    }
    assert read == {
        (p.id, p.name, p.memory_mib, p.engines[0], p.max_instances) for p in boards()[key].profiles
    }
    assert gpu.profiles_known


@pytest.mark.parametrize("key", MIG_BOARDS)
def test_a_driver_that_names_no_profiles_gives_the_same_names(made, key: str) -> None:
    machine, reader = made(f"{key}:")
    named = reader.inventory().gpus[0].profiles
    reader.close()
    machine.absent("nvmlDeviceGetGpuInstanceProfileInfoV")
    assert reader.inventory().gpus[0].profiles == named


def test_every_slice_is_read_with_its_identity(made) -> None:
    machine, reader = made("A30:1g.6gb*2/2g.12gb")
    slices = reader.inventory().slices
    gpu_uuid = machine.gpu_uuids()[0]
    assert {(s.profile, s.profile_id, s.memory_mib, s.gi, s.ci, s.placement) for s in slices} == {
        ("2g.12gb", 5, 11968, 1, 0, Placement(0, 2)),
        ("1g.6gb", 14, 5952, 5, 0, Placement(2, 1)),
        ("1g.6gb", 14, 5952, 6, 0, Placement(3, 1)),
    }
    assert {s.uuid for s in slices} == set(machine.mig_uuids())
    assert {(s.gpu_uuid, s.gpu_index) for s in slices} == {(gpu_uuid, 0)}


def test_the_fake_library_is_known_as_one_and_no_other_is(made, tmp_path: Path) -> None:
    machine, reader = made("A30:1g.6gb")
    assert reader.is_stand_in()
    library_without_mark(tmp_path)
    code = (
        "from launcher.gpu import GpuReader; reader = GpuReader();"
        "print(len(reader.inventory().slices), reader.is_stand_in())"
    )
    places = {"LD_LIBRARY_PATH": str(tmp_path), "FAKEGPU_STATE": str(machine.path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | places,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1 False\n"


def test_a_gpu_is_a_full_slice_only_where_mig_mode_is_off(made) -> None:
    machine, reader = made("A30:1g.6gb,H100-80GB,T4,A30:")
    inventory = reader.inventory()
    full = [s for s in inventory.slices if s.profile == FULL]
    uuids = machine.gpu_uuids()
    assert [(s.uuid, s.gpu_uuid, s.gpu_index) for s in full] == [
        (uuids[1], uuids[1], 1),
        (uuids[2], uuids[2], 2),
    ]
    assert all((s.gi, s.ci, s.placement, s.profile_id) == (None,) * 4 for s in full)
    assert [gpu.mig_current for gpu in inventory.gpus] == [True, False, None, True]
    assert [gpu.mig_capable for gpu in inventory.gpus] == [True, True, False, True]


def test_profiles_are_unknown_where_the_mode_is_off_and_the_driver_does_not_tell(made) -> None:
    _, reader = made("A30,H100-80GB,T4")
    known = [(g.profiles_known, bool(g.profiles)) for g in reader.inventory().gpus]
    assert known == [(False, False), (True, True), (True, False)]


def test_profiles_are_asked_once_and_again_after_a_mode_change(made) -> None:
    machine, reader = made("A30")
    reader.inventory()
    reader.inventory()
    asked = machine.calls("nvmlDeviceGetGpuInstanceProfileInfoV")
    machine.set_mig_mode(machine.gpu_uuids()[0], on=True)
    assert len(reader.inventory().gpus[0].profiles) == 5
    assert machine.calls("nvmlDeviceGetGpuInstanceProfileInfoV") == 2 * asked
    reader.inventory()
    assert machine.calls("nvmlDeviceGetGpuInstanceProfileInfoV") == 2 * asked


def test_a_gpu_instance_without_a_compute_instance_is_shown_as_bare(made) -> None:
    machine, reader = made("A30:1g.6gb")
    machine.add_instance(machine.gpu_uuids()[0], "2g.12gb", bare=True)
    inventory = reader.inventory()
    (bare,) = inventory.bare
    assert (bare.profile, bare.gi, bare.placement) == ("2g.12gb", 2, Placement(2, 2))
    assert [s.profile for s in inventory.slices] == ["1g.6gb"]


def test_holes_in_the_indexes_hide_no_slice(made) -> None:
    machine, reader = made("A100-80GB:1g.10gb*4")
    gpu_uuid = machine.gpu_uuids()[0]
    first = machine.instances()[0]
    machine.remove_instance(gpu_uuid, first.gi)
    machine.add_instance(gpu_uuid, first.profile, first.start, bare=True)
    seen = {s.uuid for s in reader.inventory().slices}
    assert seen == set(machine.mig_uuids())
    assert len(seen) == 3


@pytest.mark.parametrize("who", ["everyone", "nobody"])
def test_an_inventory_while_instances_come_and_go_misses_none_that_stand(made, who: str) -> None:
    machine, reader = made("A30:1g.6gb*3")
    machine.set_privilege(who)
    gpu_uuid = machine.gpu_uuids()[0]
    assert len(reader.inventory().slices) == 3
    steady = {i.uuids[0] for i in machine.instances() if i.gi != 3}
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            machine.remove_instance(gpu_uuid, 3)
            machine.add_instance(gpu_uuid, "1g.6gb", 0)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        looks = 0
        end = time.monotonic() + 20
        while looks < 30 and time.monotonic() < end:
            try:
                seen = {s.uuid for s in reader.inventory().slices}
            except GpuFault as error:
                assert "do not stop changing" in error.message
                continue
            looks += 1
            assert steady <= seen
    finally:
        stop.set()
        thread.join()
    assert looks


@pytest.mark.parametrize("change", ["one goes", "one comes"])
def test_a_first_look_while_the_indexes_move_is_not_believed(made, change: str) -> None:
    machine, reader = made("A30:2g.12gb/1g.6gb*2" if change == "one goes" else "A30:1g.6gb*2")
    machine.set_privilege("nobody")
    gpu_uuid, call = machine.gpu_uuids()[0], "nvmlDeviceGetMigDeviceHandleByIndex"
    machine.hang(call, 60.0, at=2)
    found: list[str] = []
    look = threading.Thread(target=lambda: found.extend(s.uuid for s in reader.inventory().slices))
    look.start()
    wait_until(lambda: machine.calls(call) == 2, what="the look to be between two indexes")
    if change == "one goes":
        machine.remove_instance(gpu_uuid, 1)
    else:
        machine.add_instance(gpu_uuid, "2g.12gb", 2)
    machine.clear_faults()
    look.join(timeout=10)
    assert sorted(found) == sorted(machine.mig_uuids())


def test_a_uuid_that_comes_back_as_another_profile_is_read_as_that(made) -> None:
    machine, reader = made("A30:1g.6gb")
    (was,) = reader.inventory().slices
    machine.remove_instance(was.gpu_uuid, was.gi or 0)
    machine.add_instance(was.gpu_uuid, "1g.6gb+me", 0)
    (now,) = reader.inventory().slices
    assert (now.uuid, now.profile, now.profile_id) == (was.uuid, "1g.6gb+me", 21)
    assert now.identity != was.identity


def test_a_pending_mode_is_a_warning(made) -> None:
    machine, reader = made("A30")
    machine.set_mig_mode(machine.gpu_uuids()[0], on=True, pending_only=True)
    inventory = reader.inventory()
    assert (inventory.gpus[0].mig_current, inventory.gpus[0].mig_pending) == (False, True)
    (warning,) = inventory.warnings
    assert "MIG mode is off and will be on after a reset" in warning


def test_without_privileges_slices_have_names_and_no_placements(made) -> None:
    machine, reader = made("A30:1g.6gb/2g.12gb+me")
    machine.set_privilege("nobody")
    inventory = reader.inventory()
    rows = {(s.profile, s.profile_id, s.placement, s.memory_mib) for s in inventory.slices}
    assert rows == {("1g.6gb", 14, None, 5952), ("2g.12gb+me", 6, None, 11968)}
    assert any("without privileges" in warning for warning in inventory.warnings)


def test_a_profile_nobody_has_a_number_for_yet_is_still_a_slice(made) -> None:
    machine, reader = made("A30:1g.6gb/2g.12gb")
    # nvidia-ml-py's enum ends before the shape of a newer board's profile: it is not listed.
    machine.fail("nvmlDeviceGetGpuInstanceProfileInfoV", "NOT_SUPPORTED", at=2, times=1)
    machine.fail("nvmlDeviceGetGpuInstanceProfileInfo", "NOT_SUPPORTED", at=1, times=1)
    inventory = reader.inventory()
    assert "2g.12gb" not in {p.name for p in inventory.gpus[0].profiles}
    rows = {(s.profile, s.profile_id, s.placement) for s in inventory.slices}
    assert rows == {("2g.12gb", 5, Placement(0, 2)), ("1g.6gb", 14, Placement(2, 1))}


def test_a_lost_gpu_among_others_is_left_out_with_a_warning(made) -> None:
    machine, reader = made("A30:1g.6gb,T4")
    machine.lose_gpu(machine.gpu_uuids()[0])
    inventory = reader.inventory()
    assert [gpu.name for gpu in inventory.gpus] == ["Tesla T4"]
    assert [s.profile for s in inventory.slices] == [FULL]
    assert any("GPU 0 is lost" in warning for warning in inventory.warnings)
    assert inventory.lost == 1
    machine.lose_gpu(machine.gpu_uuids()[1])
    with pytest.raises(GpuLost):
        reader.inventory()


@pytest.mark.parametrize(
    ("state", "error"), [("not-loaded", DriverNotLoaded), ("mismatch", DriverMismatch)]
)
def test_a_driver_that_cannot_be_used_is_told_apart_and_can_recover(
    made, state: str, error: type[LauncherError]
) -> None:
    machine, reader = made("A30:1g.6gb")
    machine.set_driver(state=state)
    for _ in range(2):
        with pytest.raises(error) as caught:
            reader.inventory()
        assert caught.value.fix
    machine.set_driver(state="loaded")
    assert len(reader.inventory().slices) == 1


def test_a_missing_library_is_told_apart() -> None:
    code = (
        "from launcher.gpu import GpuReader\n"
        "try:\n    GpuReader().inventory()\n"
        "except Exception as error:\n    print(type(error).__name__, error)"
    )
    clean = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "FAKEGPU_STATE")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True
    )
    # On a machine with NVIDIA's library but no GPU it is the driver that is missing.
    assert done.stdout.startswith(("NvmlLibraryMissing", "DriverNotLoaded"))
    assert "--fake-gpu" in done.stdout or "modprobe" in done.stdout


def test_a_passing_error_is_asked_again_and_a_lasting_one_is_not_hidden(made) -> None:
    machine, reader = made("A30:1g.6gb")
    machine.fail("nvmlDeviceGetMigMode", "UNKNOWN", times=2)
    assert len(reader.inventory().slices) == 1
    machine.fail("nvmlDeviceGetMigMode", "UNKNOWN", times=None)
    with pytest.raises(GpuFault, match="nvmlDeviceGetMigMode: UNKNOWN"):
        reader.inventory()


def test_a_refusal_that_will_not_pass_is_not_repeated(made) -> None:
    machine, reader = made("A30:1g.6gb")
    machine.fail("nvmlDeviceGetUUID", "RESET_REQUIRED", times=None)
    with pytest.raises(GpuFault, match="RESET_REQUIRED"):
        reader.inventory()
    assert machine.calls("nvmlDeviceGetUUID") == 1


def test_nvml_closed_under_the_reader_is_opened_again(made) -> None:
    machine, reader = made("A30:1g.6gb")
    assert len(reader.inventory().slices) == 1
    machine.reboot()
    inventory = reader.inventory()
    assert (inventory.gpus[0].mig_current, inventory.slices) == (True, ())


def test_nvml_stays_open_between_polls_until_it_is_closed(made) -> None:
    machine, reader = made("A30:1g.6gb")
    for _ in range(3):
        reader.inventory()
    assert machine.calls("nvmlInitWithFlags") == 1
    reader.close()
    reader.close()
    assert machine.calls("nvmlShutdown") == 1
    assert reader.driver_version() == "580.95.05"
    assert machine.calls("nvmlInitWithFlags") == 2


def test_processes_of_every_kind_are_told_with_their_memory(made) -> None:
    machine, reader = made("A30:1g.6gb*2,T4")
    one, two = machine.mig_uuids()
    machine.add_process(one, 21, 300)
    machine.add_process(one, 22, None, kind="mps")
    machine.add_process(machine.gpu_uuids()[1], 23, 10, kind="graphics")
    assert reader.processes(one) == [GpuProcess(21, 300, "compute"), GpuProcess(22, None, "mps")]
    assert reader.processes(two) == []
    assert reader.processes(machine.gpu_uuids()[1]) == [GpuProcess(23, 10, "graphics")]


@pytest.mark.parametrize("code", ["NO_PERMISSION", "NOT_SUPPORTED", "FUNCTION_NOT_FOUND"])
def test_a_refused_process_query_is_never_an_empty_list(made, code: str) -> None:
    machine, reader = made("A30:1g.6gb")
    for version in ("_v3", "_v2"):
        machine.fail(f"nvmlDeviceGetComputeRunningProcesses{version}", code, times=None)
    with pytest.raises(GpuPermission):
        reader.processes(machine.mig_uuids()[0])


def test_kinds_a_driver_does_not_list_are_no_failure(made) -> None:
    machine, reader = made("A30:1g.6gb")
    machine.absent("nvmlDeviceGetMPSComputeRunningProcesses_v3")
    machine.fail("nvmlDeviceGetGraphicsRunningProcesses_v3", "NOT_SUPPORTED", times=None)
    assert reader.processes(machine.mig_uuids()[0]) == []


def test_processes_of_a_slice_that_is_gone_are_an_error(made) -> None:
    machine, reader = made("A30:1g.6gb")
    (instance,) = machine.instances()
    machine.remove_instance(instance.gpu_uuid, instance.gi)
    with pytest.raises(GpuFault, match="does not exist now"):
        reader.processes(instance.uuids[0])


def test_i12_an_unchanged_slice_is_verified(made) -> None:
    _, reader = made("A30:1g.6gb*4,T4")
    for slice_ in reader.inventory().slices:
        assert reader.verify(slice_) is None


def test_i12_a_uuid_that_came_back_with_another_profile_is_not_the_leased_slice(made) -> None:
    machine, reader = made("A30:1g.6gb")
    (leased,) = reader.inventory().slices
    machine.remove_instance(leased.gpu_uuid, leased.gi or 0)
    assert reader.verify(leased) == f"{leased.uuid} does not exist now"
    again = machine.add_instance(leased.gpu_uuid, "1g.6gb+me", 0)
    assert again.uuids == (leased.uuid,)
    assert "was a 1g.6gb (profile 14) and has now profile 21" in str(reader.verify(leased))
    machine.set_privilege("nobody")
    assert reader.verify(leased) == f"{leased.uuid} was a 1g.6gb and is now a 1g.6gb+me"


def test_i12_a_uuid_that_came_back_at_another_place_is_not_the_leased_slice(made) -> None:
    machine, reader = made("A30:2g.12gb")
    (leased,) = reader.inventory().slices
    machine.remove_instance(leased.gpu_uuid, leased.gi or 0)
    machine.mirror_ids(leased.gpu_uuid, mirrored=True)
    again = machine.add_instance(leased.gpu_uuid, "2g.12gb", 2)
    assert again.uuids == (leased.uuid,)
    assert "was placed at Placement(start=0, size=2)" in str(reader.verify(leased))


def test_a_device_that_shares_its_gpu_instance_is_named_so(made) -> None:
    _, reader = made("A100-40GB:")
    pynvml.nvmlInit()
    instance = create(gpu(), "3g.20gb", 0)
    two, one = (pynvml.nvmlGpuInstanceCreateComputeInstance(instance, n) for n in (1, 0))
    inventory = reader.inventory()
    assert {(s.profile, s.profile_id, s.ci) for s in inventory.slices} == {
        ("2c.3g.20gb", 9, 0),
        ("1c.3g.20gb", 9, 1),
    }
    assert all(s.memory_shared and s.memory_mib == 19968 for s in inventory.slices)
    assert inventory.warnings == ()
    assert [reader.verify(s) for s in inventory.slices] == [None, None]
    pynvml.nvmlComputeInstanceDestroy(two)
    pynvml.nvmlComputeInstanceDestroy(one)
    spanning_ci(instance)
    first = next(s for s in inventory.slices if s.ci == 0)
    assert reader.verify(first) == f"{first.uuid} was a 2c.3g.20gb and has now 3 slices"


def test_a_lone_compute_instance_that_does_not_span_its_gpu_instance_is_named_so(made) -> None:
    _, reader = made("A100-40GB:")
    pynvml.nvmlInit()
    pynvml.nvmlGpuInstanceCreateComputeInstance(create(gpu(), "3g.20gb", 0), 0)
    (only,) = reader.inventory().slices
    assert (only.profile, only.memory_shared) == ("1c.3g.20gb", True)


@pytest.mark.parametrize("unknown", ["nvmlDeviceGetAttributes_v2", "nvmlDeviceGetName"])
@pytest.mark.parametrize("privilege", ["everyone", "nobody"])
def test_shared_memory_is_seen_without_one_of_the_calls_that_tell_of_it(
    made, unknown: str, privilege: str
) -> None:
    machine, reader = made("A100-40GB:2g.10gb")
    pynvml.nvmlInit()
    instance = create(gpu(), "3g.20gb", 4)
    for shape in (1, 0):
        pynvml.nvmlGpuInstanceCreateComputeInstance(instance, shape)
    machine.set_privilege(privilege)
    machine.absent(unknown)
    assert {(s.profile, s.memory_mib) for s in reader.inventory().slices} == {
        ("2g.10gb", 9856),
        ("2c.3g.20gb", 19968),
        ("1c.3g.20gb", 19968),
    }


def test_i12_a_whole_gpu_whose_mode_was_switched_on_is_not_the_leased_slice(made) -> None:
    machine, reader = made("A30")
    (leased,) = reader.inventory().slices
    machine.set_mig_mode(leased.uuid, on=True)
    assert "MIG mode is now on" in str(reader.verify(leased))


def test_a_hanging_call_does_not_hold_up_other_threads(made) -> None:
    machine, reader = made("A30:1g.6gb")
    (slice_,) = reader.inventory().slices
    machine.hang("nvmlDeviceGetCount_v2", 60.0)
    before = machine.calls("nvmlDeviceGetCount_v2")
    poll = threading.Thread(target=reader.inventory)
    poll.start()
    wait_until(lambda: machine.calls("nvmlDeviceGetCount_v2") > before, what="the poll to hang")
    assert reader.verify(slice_) is None
    assert reader.processes(slice_.uuid) == []
    assert poll.is_alive()
    machine.clear_faults()
    poll.join(timeout=10)
    assert not poll.is_alive()


def test_the_device_node_of_a_gpu_is_told(made) -> None:
    machine, reader = made("T4,A30")
    assert reader.device_node(machine.gpu_uuids()[1]) == Path("/dev/nvidia1")
    assert reader.device_node("GPU-nowhere") is None


def test_a_poll_of_eight_gpus_with_56_slices_costs_at_most_half_a_percent(made) -> None:
    _, reader = made(",".join(["H100-80GB:1g.10gb*7"] * 8))
    assert len(reader.inventory().slices) == 56
    assert cost(reader.inventory, 5) <= 5  # 50 ms of the ten seconds between two polls


def test_persistence_mode_is_told_or_unknown(made) -> None:
    machine, reader = made("T4")
    (uuid,) = machine.gpu_uuids()
    assert reader.persistence(uuid) is True
    machine.set_persistence(on=False)
    assert reader.persistence(uuid) is False
    machine.absent("nvmlDeviceGetPersistenceMode")
    assert reader.persistence(uuid) is None
    assert reader.persistence("GPU-00000000-0000-0000-0000-000000000000") is None


def test_the_memory_of_a_slice_is_what_its_processes_use_there(made) -> None:
    machine, reader = made("A30:1g.6gb*2/2g.12gb")
    first, second, _ = reader.inventory().slices
    assert reader.memory_used(first.uuid) == 0
    machine.add_process(first.uuid, 4711, memory_mib=300)
    machine.add_process(first.uuid, 4712, memory_mib=None)
    assert (reader.memory_used(first.uuid), reader.memory_used(second.uuid)) == (300, 0)
    memory = {process.pid: process.memory_mib for process in reader.processes(first.uuid)}
    assert memory == {4711: 300, 4712: None}


def test_an_older_driver_reports_memory_by_the_older_call(made) -> None:
    machine, reader = made("T4")
    machine.absent("nvmlDeviceGetMemoryInfo_v2")
    (whole,) = reader.inventory().slices
    machine.add_process(whole.uuid, 4711, memory_mib=300)
    assert reader.memory_used(whole.uuid) == 300


@pytest.mark.parametrize("code", ["NOT_SUPPORTED", "NO_PERMISSION"])
def test_memory_that_is_not_reported_is_unknown_and_not_zero(made, code: str) -> None:
    machine, reader = made("A30:1g.6gb*4")
    slices = reader.inventory().slices
    for call in ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"):
        machine.fail(call, code, times=None)
    assert reader.memory_used(slices[0].uuid) is None
