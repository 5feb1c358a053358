"""XIDs through the real nvidia-ml-py: each is told once, whatever was closed in between."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from launcher.core.model.gpu import Xid
from launcher.errors import GpuUnavailable
from launcher.fakegpu import Machine
from launcher.gpu import Carver, Events, GpuReader
from tests.support.machines import MakeMachine, build_directory, make_machine  # noqa: F401
from tests.support.wait import wait_until

Made = tuple[Machine, GpuReader, Events]
SOON = 0.05


@pytest.fixture
def made(make_machine: MakeMachine) -> Iterator[Callable[[str], Made]]:  # noqa: F811
    readers: list[GpuReader] = []

    def make(spec: str) -> Made:
        machine, reader = make_machine(spec), GpuReader(0.2)
        readers.append(reader)
        events = Events(reader)
        assert events.wait(0.0) is None  # it is registered from now on
        return machine, reader, events

    yield make
    for reader in readers:
        reader.close()


@pytest.mark.parametrize("spec", ["A100-80GB:1g.10gb*7", "H100-80GB:1g.10gb*7"])
def test_an_xid_on_each_of_seven_slices_is_told_of_that_slice(made, spec: str) -> None:
    machine, reader, events = made(f"T4,{spec}")
    slices = [s for s in reader.inventory().slices if s.gi is not None]
    assert len(slices) == 7
    for slice_ in slices:
        machine.xid(slice_.uuid, 94)
    for slice_ in slices:
        xid = events.wait(SOON)
        assert xid == Xid(slice_.gpu_uuid, 94, slice_.gi, slice_.ci)
        assert [s.uuid for s in slices if xid.concerns(s)] == [slice_.uuid]
    machine.xid(machine.gpu_uuids()[1], 79)
    whole = events.wait(SOON)
    assert whole == Xid(machine.gpu_uuids()[1], 79)
    assert all(whole.concerns(s) for s in slices)
    assert events.wait(0.0) is None


def test_an_xid_is_told_also_where_the_gpu_is_lost_with_it(made) -> None:
    machine, _, events = made("A30:1g.6gb")
    uuid = machine.gpu_uuids()[0]
    machine.xid(uuid, 79)
    machine.lose_gpu(uuid)
    assert events.wait(SOON) == Xid(uuid, 79)


def test_after_a_change_of_mig_mode_the_gpus_are_registered_anew(made) -> None:
    machine, reader, events = made("A30,T4")
    uuid = machine.gpu_uuids()[0]
    Carver(reader).set_mode(uuid, on=True)
    assert events.wait(0.0) is None
    machine.xid(uuid, 95)
    assert events.wait(SOON) == Xid(uuid, 95)
    assert machine.calls("nvmlEventSetCreate") == 2


def test_after_the_driver_was_reloaded_the_gpus_are_registered_anew(made) -> None:
    machine, _, events = made("A30:1g.6gb")
    machine.reboot()
    assert events.wait(0.0) is None
    assert events.wait(0.0) is None
    machine.xid(machine.gpu_uuids()[0], 95)
    assert events.wait(SOON) == Xid(machine.gpu_uuids()[0], 95)


def test_while_nvml_cannot_be_opened_that_is_said_and_later_it_works(made) -> None:
    machine, reader, events = made("A30:1g.6gb")
    reader.close()
    machine.set_driver(state="mismatch")
    with pytest.raises(GpuUnavailable, match="different versions"):
        events.wait(SOON)
    machine.set_driver(state="loaded")
    assert events.wait(0.0) is None
    machine.xid(machine.gpu_uuids()[0], 95)
    assert events.wait(SOON) == Xid(machine.gpu_uuids()[0], 95)


@pytest.mark.parametrize("code", ["NOT_SUPPORTED", "NO_PERMISSION", "UNKNOWN"])
def test_a_gpu_that_tells_no_events_is_said_once(
    made, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    monkeypatch.setattr("launcher.gpu.events.RENEW_SECONDS", 0.0)
    machine, _, events = made("T4")
    machine.fail("nvmlDeviceRegisterEvents", code, times=None)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert events.wait(0.0) is None
    (line,) = caplog.messages
    assert code in line


def test_a_gpu_that_hangs_keeps_no_other_from_being_registered_and_comes_later(
    made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.gpu.events.RENEW_SECONDS", 0.0)
    machine, reader, events = made("T4,A30:1g.6gb")
    reader.close()
    hangs, other = machine.gpu_uuids()
    machine.hang_gpu(hangs)
    assert events.wait(0.0) is None
    machine.xid(other, 79)
    assert events.wait(SOON) == Xid(other, 79)
    machine.hang_gpu(hangs, hangs=False)

    def told() -> bool:
        machine.xid(hangs, 79)
        return events.wait(0.0) is not None

    wait_until(told, what="it is registered too")


def test_a_wait_that_does_not_return_is_said_by_whoever_must_close_nvml(
    made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.gpu.session.BUSY_SECONDS", 0.1)
    machine, reader, events = made("A30")
    machine.hang("nvmlEventSetWait_v2", 60.0)
    before = machine.calls("nvmlEventSetWait_v2")
    waiting = threading.Thread(target=events.wait, args=(0.0,))
    waiting.start()
    wait_until(lambda: machine.calls("nvmlEventSetWait_v2") > before, what="it hangs")
    with pytest.raises(GpuUnavailable, match="a wait for events does not return"):
        Carver(reader).set_mode(machine.gpu_uuids()[0], on=True)
    assert len(reader.inventory().slices) == 1, "reads go on"
    machine.clear_faults()
    waiting.join(10)
    Carver(reader).set_mode(machine.gpu_uuids()[0], on=True)
