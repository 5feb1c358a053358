"""Calls of NVML that do not return: they hold up one thread for each GPU, and nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from launcher.core.model.gpu import Placement
from launcher.errors import GpuFault, GpuSilent
from launcher.fakegpu import Machine
from launcher.gpu import Carver, GpuReader
from tests.support.machines import MakeMachine, build_directory, make_machine  # noqa: F401
from tests.support.wait import wait_until

DEADLINE = 0.5
Made = tuple[Machine, GpuReader]


@pytest.fixture
def made(make_machine: MakeMachine) -> Iterator[Callable[[str], Made]]:  # noqa: F811
    """A machine and a reader that is impatient."""
    all_of_them: list[Made] = []

    def make(spec: str) -> Made:
        machine, reader = make_machine(spec), GpuReader(DEADLINE)
        all_of_them.append((machine, reader))
        return machine, reader

    yield make
    for machine, reader in all_of_them:
        machine.clear_faults()
        wait_until(lambda reader=reader: answers(reader), what="NVML answers again")
        reader.close()


def answers(reader: GpuReader) -> bool:
    try:
        reader.session.guard.check()
    except GpuSilent:
        return False
    return True


def nvml_threads() -> int:
    return sum(t.name.startswith("nvml GPU") for t in threading.enumerate())


def test_a_gpu_that_hangs_is_told_with_the_call_and_the_others_go_on(made) -> None:
    machine, reader = made("A30:1g.6gb*4,A30:2g.12gb*2")
    before = reader.inventory()
    silent, other = machine.gpu_uuids()
    machine.hang_gpu(silent)
    began = time.monotonic()
    now = reader.inventory()
    assert time.monotonic() - began < 20 * DEADLINE
    ((uuid, why),) = now.silent
    assert uuid == silent
    assert why.startswith("NVML does not answer for GPU 0 since 20")
    assert "nvmlDeviceGetHandleByIndex has not returned" in why
    assert (now.gpus, now.slices) == (before.gpus, before.slices), "what was last seen"
    assert any("GPU 0: NVML does not answer" in warning for warning in now.warnings)
    (first, *_), last = now.slices, now.slices[-1]
    began = time.monotonic()
    for call in (
        lambda: reader.processes(first.uuid),
        lambda: reader.memory_used(first.uuid),
        lambda: reader.verify(first),
        lambda: reader.device_node(silent),
        lambda: reader.persistence(silent),
        lambda: reader.capacity(silent),
        lambda: Carver(reader).create(silent, 14, Placement(0, 1)),
        lambda: Carver(reader).set_mode(other, on=False),
    ):
        with pytest.raises(GpuSilent, match="nvmlDeviceGetHandleByIndex has not returned"):
            call()
    assert time.monotonic() - began < 4 * DEADLINE, "nine calls, none waits for the deadline"
    assert (reader.processes(last.uuid), reader.verify(last)) == ([], None)
    assert reader.inventory().silent == now.silent, "since when does not move"


def test_a_gpu_that_answers_again_is_read_as_it_is_then(made) -> None:
    machine, reader = made("A30:1g.6gb,A30")
    reader.inventory()
    silent = machine.gpu_uuids()[0]
    machine.hang_gpu(silent)
    assert reader.inventory().silent
    machine.add_instance(silent, "2g.12gb")
    machine.hang_gpu(silent, hangs=False)
    wait_until(lambda: not reader.inventory().silent, what="it is read again")
    assert {s.profile for s in reader.inventory().slices} == {"1g.6gb", "2g.12gb", "full"}


def test_however_many_ask_one_thread_hangs_for_each_gpu(made) -> None:
    machine, reader = made("A30:1g.6gb*4,A30:1g.6gb*4")
    slices = reader.inventory().slices
    threads = nvml_threads()
    call = "nvmlDeviceGetComputeRunningProcesses_v3"
    machine.hang(call, 60.0, times=None)
    before, told = machine.calls(call), list[str]()

    def ask(uuid: str) -> None:
        try:
            reader.processes(uuid)
        except GpuSilent as silent:
            told.append(silent.message)

    askers = [threading.Thread(target=ask, args=(s.uuid,)) for s in slices for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(10)
    assert len(told) == 32
    assert all(f"{call} has not returned" in text for text in told)
    assert (machine.calls(call) - before, nvml_threads() - threads) == (2, 0)


def test_a_gpu_that_hangs_before_it_was_ever_read_is_told_without_its_uuid(made) -> None:
    machine, reader = made("A30:1g.6gb,T4")
    machine.hang_gpu(machine.gpu_uuids()[0])
    now = reader.inventory()
    assert [(gpu.name, gpu.index) for gpu in now.gpus] == [("Tesla T4", 1)]
    ((uuid, why),) = now.silent
    assert (uuid, why.startswith("NVML does not answer for GPU 0 since ")) == ("", True)
    with pytest.raises(GpuSilent):
        reader.processes(machine.mig_uuids()[0])


def test_the_only_gpu_that_hangs_before_it_was_ever_read_is_an_error(made) -> None:
    machine, reader = made("A30:1g.6gb")
    machine.hang_gpu(machine.gpu_uuids()[0])
    with pytest.raises(GpuSilent, match="for GPU 0 since"):
        reader.inventory()


@pytest.mark.parametrize("call", ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2"])
def test_where_nvml_itself_hangs_everybody_hears_which_call(made, call: str) -> None:
    machine, reader = made("A30:1g.6gb")
    machine.hang(call, 60.0)
    for _ in range(2):
        with pytest.raises(GpuSilent, match=r"does not answer since .*: nvml\w+ has not returned"):
            reader.inventory()
    machine.clear_faults()
    wait_until(lambda: answers(reader), what="the call returns")
    assert len(reader.inventory().slices) == 1
    reader.close()
    assert machine.calls("nvmlInitWithFlags") == machine.calls("nvmlShutdown") == 1


def test_a_look_that_takes_long_is_no_hang_as_long_as_its_calls_return(made) -> None:
    machine, reader = made("A30:1g.6gb*4")
    machine.hang("nvmlDeviceGetAttributes_v2", DEADLINE * 0.3, times=None)
    began = time.monotonic()
    assert len(reader.inventory().slices) == 4
    assert time.monotonic() - began > 1.1 * DEADLINE


def test_who_has_no_patience_hears_so_before_the_deadline(made) -> None:
    machine, reader = made("A30:1g.6gb")
    (slice_,) = reader.inventory().slices
    machine.hang("nvmlDeviceGetComputeRunningProcesses_v3", 60.0)
    with pytest.raises(GpuSilent, match="NVML is busy for GPU 0"):
        reader.processes(slice_.uuid, patience=0.01)
    with pytest.raises(GpuSilent, match="has not returned"):
        reader.processes(slice_.uuid)
    machine.clear_faults()
    wait_until(lambda: answers(reader), what="the call returns")
    assert reader.processes(slice_.uuid, patience=5.0) == []


def test_a_gpu_that_refuses_among_others_that_do_not_is_silent_not_lost(made) -> None:
    machine, reader = made("A30:1g.6gb,T4")
    before = reader.inventory()
    machine.fail("nvmlDeviceGetMigMode", "RESET_REQUIRED")
    now = reader.inventory()
    assert now.slices == before.slices
    ((uuid, why),) = now.silent
    assert uuid in machine.gpu_uuids()
    assert "NVML refused nvmlDeviceGetMigMode: RESET_REQUIRED" in why
    assert reader.inventory().silent == ()
    machine.fail("nvmlDeviceGetMigMode", "RESET_REQUIRED", times=None)
    with pytest.raises(GpuFault):
        reader.inventory()
