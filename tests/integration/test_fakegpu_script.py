"""Scripting a fake machine, and sharing it between processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pynvml
import pytest

from launcher.errors import LauncherError, UserError
from launcher.fakegpu import Machine
from tests.support.machines import MakeMachine, build_directory, make_machine  # noqa: F401
from tests.support.nvidia import gpu, mig_devices, refused
from tests.support.wait import wait_until

COUNT = "nvmlDeviceGetCount_v2"


@pytest.fixture
def machine(make_machine: MakeMachine):  # noqa: F811
    def make(spec: str) -> Machine:
        made = make_machine(spec)
        pynvml.nvmlInit()
        return made

    return make


def child(machine: Machine, build: Path, code: str, **more) -> subprocess.Popen[str]:
    """Start a fresh interpreter that finds the library by LD_LIBRARY_PATH alone."""
    return subprocess.Popen(
        [sys.executable, "-c", f"import pynvml\n{code}"],
        env=os.environ | machine.environment(build),
        stdout=subprocess.PIPE,
        text=True,
        **more,
    )


def test_the_nth_call_fails_and_the_others_do_not(machine) -> None:
    made = machine("T4")
    made.fail(COUNT, "TIMEOUT", at=2, times=2)
    assert pynvml.nvmlDeviceGetCount() == 1
    for _ in range(2):
        with refused(pynvml.NVML_ERROR_TIMEOUT):
            pynvml.nvmlDeviceGetCount()
    assert pynvml.nvmlDeviceGetCount() == 1


def test_persistence_mode_is_switched_for_all_gpus(machine) -> None:
    made = machine("T4,T4")
    assert [pynvml.nvmlDeviceGetPersistenceMode(gpu(i)) for i in (0, 1)] == [1, 1]
    made.set_persistence(on=False)
    assert [pynvml.nvmlDeviceGetPersistenceMode(gpu(i)) for i in (0, 1)] == [0, 0]


def test_from_the_nth_call_on_every_call_fails_until_the_faults_are_cleared(machine) -> None:
    made = machine("T4")
    made.fail(COUNT, 999, at=2, times=None)
    assert pynvml.nvmlDeviceGetCount() == 1
    for _ in range(3):
        with refused(pynvml.NVML_ERROR_UNKNOWN):
            pynvml.nvmlDeviceGetCount()
    made.clear_faults()
    assert pynvml.nvmlDeviceGetCount() == 1


def test_a_star_stands_for_every_function(machine) -> None:
    made = machine("T4")
    made.fail("*", "GPU_IS_LOST", times=None)
    with refused(pynvml.NVML_ERROR_GPU_IS_LOST):
        pynvml.nvmlDeviceGetCount()
    with refused(pynvml.NVML_ERROR_GPU_IS_LOST):
        pynvml.nvmlSystemGetDriverVersion()


def test_a_function_can_be_absent_as_in_an_older_driver(machine) -> None:
    made = machine("A30:")
    made.absent("nvmlDeviceGetGpuInstanceProfileInfoV")
    with refused(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND):
        pynvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu(), 0)
    assert pynvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu(), 0, version=1).id == 14


def test_a_function_we_do_not_provide_is_missing_from_the_library(machine) -> None:
    machine("T4")
    with refused(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND):
        pynvml.nvmlDeviceGetFanSpeed(gpu())


def test_a_hanging_call_holds_up_nobody_else_and_wakes_when_told(machine) -> None:
    made = machine("T4")
    made.hang(COUNT, 60.0)
    answers: list[int] = []
    caller = threading.Thread(target=lambda: answers.append(pynvml.nvmlDeviceGetCount()))
    caller.start()
    wait_until(lambda: made.calls(COUNT) == 1, what="the call")
    assert pynvml.nvmlSystemGetDriverVersion()
    assert caller.is_alive()
    made.clear_faults()
    caller.join(timeout=10)
    assert answers == [1]


def test_a_hang_ends_by_itself_after_its_time(machine) -> None:
    made = machine("T4")
    made.hang(COUNT, 0.05)
    before = time.monotonic()
    assert pynvml.nvmlDeviceGetCount() == 1
    assert time.monotonic() - before >= 0.05


def test_processes_are_on_the_device_they_were_put_on(machine) -> None:
    made = machine("A30:1g.6gb*2,T4")
    first, second = mig_devices(gpu(0)).values()
    made.add_process(first, 11, 512, name="train")
    made.add_process(second, 12, None, kind="mps")
    made.add_process(made.gpu_uuids()[1], 13, kind="graphics")
    mig = pynvml.nvmlDeviceGetHandleByUUID(first)
    (row,) = pynvml.nvmlDeviceGetComputeRunningProcesses_v3(mig)
    assert (row.pid, row.usedGpuMemory) == (11, 512 * 1024 * 1024)
    assert (row.gpuInstanceId, row.computeInstanceId) == (3, 0)
    assert pynvml.nvmlSystemGetProcessName(11) == "train"
    assert pynvml.nvmlDeviceGetMemoryInfo(mig).used == 512 * 1024 * 1024
    (row,) = pynvml.nvmlDeviceGetMPSComputeRunningProcesses_v3(gpu(0))
    assert (row.pid, row.usedGpuMemory) == (12, None)
    (row,) = pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3(gpu(1))
    assert (row.pid, row.gpuInstanceId) == (13, 0xFFFFFFFF)
    made.remove_process(11)
    assert pynvml.nvmlDeviceGetComputeRunningProcesses_v3(mig) == []
    with pytest.raises(UserError, match="no process 11"):
        made.remove_process(11)


def test_a_process_can_leave_with_the_real_one(machine) -> None:
    made = machine("T4")
    with subprocess.Popen(["sleep", "60"]) as real:
        made.add_process(made.gpu_uuids()[0], real.pid, while_alive=True)
        assert len(pynvml.nvmlDeviceGetComputeRunningProcesses_v3(gpu())) == 1
        real.kill()
        real.wait()
        assert pynvml.nvmlDeviceGetComputeRunningProcesses_v3(gpu()) == []


def test_a_lost_gpu_answers_nothing_and_can_come_back(machine) -> None:
    made = machine("T4,A30:1g.6gb")
    handles = [gpu(0), gpu(1)]
    mig = made.mig_uuids()[0]
    made.lose_gpu(made.gpu_uuids()[1])
    assert pynvml.nvmlDeviceGetName(handles[0]) == "Tesla T4"
    for call in (
        lambda: pynvml.nvmlDeviceGetName(handles[1]),
        lambda: gpu(1),
        lambda: pynvml.nvmlDeviceGetHandleByUUID(mig),
    ):
        with refused(pynvml.NVML_ERROR_GPU_IS_LOST):
            call()
    made.lose_gpu(made.gpu_uuids()[1], lost=False)
    assert pynvml.nvmlDeviceGetName(handles[1]) == "NVIDIA A30"


@pytest.mark.parametrize(("state", "code"), [("not-loaded", 9), ("mismatch", 18)])
def test_the_driver_can_be_gone_or_of_another_version(
    make_machine: MakeMachine,  # noqa: F811
    state: str,
    code: int,
) -> None:
    made = make_machine("T4")
    made.set_driver(state=state)
    with refused(code):
        pynvml.nvmlInit()
    made.set_driver(state="loaded", version="999.1")
    pynvml.nvmlInit()
    assert pynvml.nvmlSystemGetDriverVersion() == "999.1"
    assert pynvml.nvmlSystemGetNVMLVersion() == "13.999.1"


def test_an_xid_reaches_who_registered_on_that_gpu(machine) -> None:
    made = machine("A30:1g.6gb*2,T4")
    events = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(gpu(0), pynvml.nvmlEventTypeXidCriticalError, events)
    with refused(pynvml.NVML_ERROR_TIMEOUT):
        pynvml.nvmlEventSetWait_v2(events, 10)
    made.xid(made.gpu_uuids()[1], 79)
    made.xid(made.mig_uuids()[1], 43)
    made.xid(made.gpu_uuids()[0], 48)
    seen = [pynvml.nvmlEventSetWait_v2(events, 5000) for _ in range(2)]
    rows = [(event.eventData, event.gpuInstanceId, event.computeInstanceId) for event in seen]
    assert rows == [(43, 4, 0), (48, 0xFFFFFFFF, 0xFFFFFFFF)]
    pynvml.nvmlEventSetFree(events)


def test_an_unprivileged_client_sees_events_of_whole_gpus_only(machine) -> None:
    made = machine("A30:1g.6gb")
    events = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(gpu(), pynvml.nvmlEventTypeXidCriticalError, events)
    made.set_privilege("nobody")
    made.xid(made.mig_uuids()[0], 43)
    made.xid(made.gpu_uuids()[0], 48)
    assert pynvml.nvmlEventSetWait_v2(events, 5000).eventData == 48
    pynvml.nvmlEventSetFree(events)


def test_a_change_of_instances_is_an_event_and_mig_handles_take_no_registration(machine) -> None:
    machine("A30:1g.6gb")
    events = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(gpu(), pynvml.nvmlEventMigConfigChange, events)
    pynvml.nvmlDeviceCreateGpuInstance(gpu(), 14)
    assert pynvml.nvmlEventSetWait_v2(events, 5000).eventType == pynvml.nvmlEventMigConfigChange
    mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu(), 0)
    with refused(pynvml.NVML_ERROR_NOT_SUPPORTED):
        pynvml.nvmlDeviceRegisterEvents(mig, pynvml.nvmlEventTypeXidCriticalError, events)
    pynvml.nvmlEventSetFree(events)


def test_another_hand_can_change_the_layout(machine) -> None:
    made = machine("A30:1g.6gb")
    (uuid,) = made.gpu_uuids()
    instance = made.add_instance(uuid, "2g.12gb")
    assert instance.start == 2
    assert list(instance.uuids) == [mig_devices(gpu())[0]]
    bare = made.add_instance(uuid, "1g.6gb", 1, bare=True)
    assert bare.uuids == ()
    with pytest.raises(UserError, match="no room for"):
        made.add_instance(uuid, "1g.6gb")
    made.add_process(instance.uuids[0], 5)
    with pytest.raises(LauncherError, match="pid 5"):
        made.remove_instance(uuid, instance.gi)
    made.remove_process(5)
    made.remove_instance(uuid, instance.gi)
    made.set_mig_mode(uuid, on=False)
    assert made.mig_uuids() == []
    assert pynvml.nvmlDeviceGetMigMode(gpu()) == [0, 0]


def test_a_fresh_process_finds_the_machine_by_its_environment(
    machine,
    build_directory: Path,  # noqa: F811
) -> None:
    made = machine("A30:1g.6gb*4")
    code = (
        "pynvml.nvmlInit()\nprint(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(0)))"
    )
    with child(made, build_directory, code) as process:
        seen, _ = process.communicate(timeout=30)
    assert seen.split() == made.gpu_uuids()


def test_what_one_process_changes_the_others_see(machine, build_directory: Path) -> None:  # noqa: F811
    made = machine("A30:")
    code = (
        "pynvml.nvmlInit()\n"
        "device = pynvml.nvmlDeviceGetHandleByIndex(0)\n"
        "instance = pynvml.nvmlDeviceCreateGpuInstance(device, 14)\n"
        "pynvml.nvmlGpuInstanceCreateComputeInstance(instance, 0)\n"
    )
    with child(made, build_directory, code) as process:
        assert process.wait(timeout=30) == 0
    assert list(mig_devices(gpu()).values()) == made.mig_uuids()
    assert len(made.mig_uuids()) == 1


def test_a_process_killed_in_the_middle_of_calls_wedges_nobody(
    machine,
    build_directory: Path,  # noqa: F811
) -> None:
    made = machine("A30:1g.6gb*4")
    code = "pynvml.nvmlInit()\nwhile True: pynvml.nvmlDeviceGetCount()"
    for _ in range(5):
        was = made.calls(COUNT)
        with child(made, build_directory, code) as process:
            wait_until(lambda was=was: made.calls(COUNT) > was + 200, what="the calls")
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert pynvml.nvmlDeviceGetCount() == 1


def test_calls_of_all_processes_are_counted(machine, build_directory: Path) -> None:  # noqa: F811
    made = machine("T4")
    code = "pynvml.nvmlInit()\nfor _ in range(2000): pynvml.nvmlDeviceGetCount()"
    several = [child(made, build_directory, code) for _ in range(3)]
    for process in several:
        with process:
            assert process.wait(timeout=60) == 0
    assert made.calls(COUNT) == 6000
    assert made.calls("nvmlNoSuchFunction") == 0


def test_nobody_looks_while_the_machine_is_held_still(machine) -> None:
    made = machine("T4")
    seen: list[int] = []
    caller = threading.Thread(target=lambda: seen.append(pynvml.nvmlDeviceGetCount()))
    with made.locked() as state:
        state.gpu_count = 0
        caller.start()
        caller.join(timeout=0.2)
        assert seen == []
        state.gpu_count = 1
    caller.join(timeout=10)
    assert seen == [1]


def test_threads_of_one_process_do_not_disturb_each_other(machine) -> None:
    made = machine("A30:1g.6gb*4")

    def look() -> None:
        for _ in range(200):
            assert len(mig_devices(gpu())) == 4

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.calls("nvmlDeviceGetMaxMigDeviceCount") == 800


def test_a_forked_child_must_open_nvml_anew(machine, build_directory: Path) -> None:  # noqa: F811
    made = machine("T4")
    code = """
import os
pynvml.nvmlInit()
if os.fork() == 0:
    try:
        pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:
        pynvml.nvmlInit()
        print("child", error.value, pynvml.nvmlDeviceGetCount(), flush=True)
    os._exit(0)
os.wait()
print("parent", pynvml.nvmlDeviceGetCount())
"""
    with child(made, build_directory, code) as process:
        said, _ = process.communicate(timeout=30)
    assert said == "child 1 1\nparent 1\n"


def test_a_machine_made_from_another_spec_is_not_taken(tmp_path: Path) -> None:
    Machine.create(tmp_path, "A30:1g.6gb*4").close()
    with pytest.raises(UserError) as caught:
        Machine.create(tmp_path, "A30")
    assert "A30:1g.6gb/1g.6gb/1g.6gb/1g.6gb" in str(caught.value)
    with pytest.raises(UserError, match="no fake machine"):
        Machine.open(tmp_path / "empty")


def test_a_state_file_of_another_version_is_refused(tmp_path: Path) -> None:
    Machine.create(tmp_path, "A30").close()
    path = tmp_path / "machine.state"
    content = bytearray(path.read_bytes())
    content[4] += 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a fake machine of this version"):
        Machine.open(tmp_path)
    path.write_bytes(content[:100])
    with pytest.raises(UserError, match="not a fake machine of this version"):
        Machine.open(tmp_path)
