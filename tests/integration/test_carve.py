"""Single steps of a layout change: the real nvidia-ml-py on the fake GPU, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.core.model.gpu import Placement
from launcher.errors import GpuFault, LauncherError
from launcher.fakegpu import Machine
from launcher.gpu import Carver, GpuReader, ResetNeeded, carve
from tests.support.machines import MakeMachine, build_directory, make_machine

__all__ = ["build_directory", "make_machine"]


@pytest.fixture
def carver() -> Iterator[Carver]:
    reader = GpuReader()
    yield Carver(reader)
    reader.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carve, "IN_USE_SECONDS", 0.5)


def gpu(machine: Machine) -> str:
    return machine.gpu_uuids()[0]


def standing(machine: Machine) -> list[tuple[str, int, int]]:
    """(profile, start, how many MIG devices) of all that stands."""
    return sorted((i.profile, i.start, len(i.uuids)) for i in machine.instances())


def test_an_instance_is_made_where_it_is_asked_with_its_compute_instance(
    make_machine: MakeMachine, carver: Carver
) -> None:
    machine = make_machine("A30:")
    gi, made = carver.create(gpu(machine), 5, Placement(2, 2))
    assert standing(machine) == [("2g.12gb", 2, 1)]
    assert made
    assert machine.instances()[0].gi == gi


def test_what_is_there_already_is_not_made_again(make_machine: MakeMachine, carver: Carver) -> None:
    machine = make_machine("A30:")
    first, made = carver.create(gpu(machine), 14, Placement(1, 1))
    assert made
    assert carver.create(gpu(machine), 14, Placement(1, 1)) == (first, False)
    assert machine.calls("nvmlDeviceCreateGpuInstanceWithPlacement") == 1


def test_no_room_is_said_before_anything_is_tried(
    make_machine: MakeMachine, carver: Carver
) -> None:
    machine = make_machine("A30:4g.24gb")
    with pytest.raises(GpuFault, match="no room"):
        carver.create(gpu(machine), 14, Placement(0, 1))
    assert machine.calls("nvmlDeviceCreateGpuInstanceWithPlacement") == 0


def test_an_instance_whose_compute_instance_fails_is_taken_back(
    make_machine: MakeMachine, carver: Carver
) -> None:
    machine = make_machine("A30:")
    machine.fail("nvmlGpuInstanceCreateComputeInstance", "INSUFFICIENT_RESOURCES")
    with pytest.raises(GpuFault, match="INSUFFICIENT_RESOURCES"):
        carver.create(gpu(machine), 14, Placement(0, 1))
    assert standing(machine) == []


def test_a_bare_instance_gets_its_compute_instance_once(
    make_machine: MakeMachine, carver: Carver
) -> None:
    machine = make_machine("A30:")
    bare = machine.add_instance(gpu(machine), "2g.12gb", 0, bare=True)
    for _ in range(2):
        assert carver.complete(gpu(machine), bare.gi) == bare.gi
    assert standing(machine) == [("2g.12gb", 0, 1)]


@pytest.mark.parametrize("absent", ["", "V"])
def test_a_bare_instance_is_divided_once_with_either_call_for_what_it_can_hold(
    make_machine: MakeMachine, carver: Carver, absent: str
) -> None:
    machine = make_machine("A100-40GB:")
    machine.absent(f"nvmlGpuInstanceGetComputeInstanceProfileInfo{absent}")
    bare = machine.add_instance(gpu(machine), "3g.20gb", 0, bare=True)
    for cut in ((2,), (2, 1), (2, 1)):
        carver.complete(gpu(machine), bare.gi, cut)
    assert standing(machine) == [("3g.20gb", 0, 2)]
    with pytest.raises(GpuFault, match="no compute instance of 5 slices"):
        carver.complete(gpu(machine), bare.gi, (5,))
    carver.destroy(gpu(machine), bare.gi, 9, Placement(0, 4))
    assert standing(machine) == []


def test_an_instance_is_destroyed_and_asking_again_is_no_error(
    make_machine: MakeMachine, carver: Carver
) -> None:
    machine = make_machine("A30:1g.6gb*2")
    one = machine.instances()[0]
    for _ in range(2):
        carver.destroy(gpu(machine), one.gi, 14, Placement(one.start, 1))
    assert len(machine.instances()) == 1


def test_an_instance_that_is_another_one_now_is_left_alone(
    make_machine: MakeMachine, carver: Carver
) -> None:
    machine = make_machine("A30:2g.12gb")
    one = machine.instances()[0]
    with pytest.raises(GpuFault, match="the layout was changed"):
        carver.destroy(gpu(machine), one.gi, 14, Placement(one.start, 1))
    assert len(machine.instances()) == 1


def test_an_instance_in_use_is_kept_whole_and_the_process_is_named(
    make_machine: MakeMachine, carver: Carver
) -> None:
    machine = make_machine("A30:1g.6gb")
    one = machine.instances()[0]
    machine.add_process(one.uuids[0], 1)
    with pytest.raises(GpuFault, match=r"in use: process 1 of root"):
        carver.destroy(gpu(machine), one.gi, 14, Placement(one.start, 1))
    assert standing(machine) == [("1g.6gb", one.start, 1)]


def test_in_use_just_after_a_process_ended_is_not_final(
    make_machine: MakeMachine, carver: Carver
) -> None:
    machine = make_machine("A30:1g.6gb")
    one = machine.instances()[0]
    machine.fail("nvmlComputeInstanceDestroy", "IN_USE", times=2)
    carver.destroy(gpu(machine), one.gi, 14, Placement(one.start, 1))
    assert machine.instances() == []


def test_a_gpu_instance_that_does_not_go_gets_its_compute_instance_back(
    make_machine: MakeMachine, carver: Carver
) -> None:
    machine = make_machine("A30:1g.6gb")
    one = machine.instances()[0]
    machine.fail("nvmlGpuInstanceDestroy", "UNKNOWN")
    with pytest.raises(LauncherError):
        carver.destroy(gpu(machine), one.gi, 14, Placement(one.start, 1))
    assert standing(machine) == [("1g.6gb", one.start, 1)]


def test_a_mode_is_switched_and_switching_again_is_no_error(
    make_machine: MakeMachine, carver: Carver
) -> None:
    machine = make_machine("H100-80GB")
    for on in (True, True, False):
        carver.set_mode(gpu(machine), on=on)
        assert machine.mig_mode(gpu(machine)) == (on, on)


def test_a_mode_that_needs_a_reset_stays_pending_and_says_so(
    make_machine: MakeMachine, carver: Carver
) -> None:
    machine = make_machine("A30")
    machine.set_reset_works(gpu(machine), works=False)
    with pytest.raises(ResetNeeded) as caught:
        carver.set_mode(gpu(machine), on=True)
    assert "nvidia-smi --gpu-reset -i 0" in caught.value.message
    assert "reboot" in caught.value.message
    assert machine.mig_mode(gpu(machine)) == (False, True)


def test_a_mode_under_a_process_is_put_back_and_the_process_is_named(
    make_machine: MakeMachine, carver: Carver
) -> None:
    machine = make_machine("H100-80GB")
    machine.add_process(gpu(machine), 1, name="train")
    with pytest.raises(GpuFault, match=r"the GPU is in use: process 1 of root"):
        carver.set_mode(gpu(machine), on=True)
    assert machine.mig_mode(gpu(machine)) == (False, False)


def test_nvml_is_closed_while_the_mode_changes_and_usable_after_it(
    make_machine: MakeMachine, carver: Carver
) -> None:
    machine = make_machine("H100-80GB")
    assert carver.reader.inventory().gpus[0].mig_current is False
    carver.set_mode(gpu(machine), on=True)
    assert carver.reader.inventory().gpus[0].mig_current is True
    assert machine.calls("nvmlShutdown") == 2, "the reader's own, and that of the change"


def test_without_privileges_nothing_is_changed_and_it_is_said(
    make_machine: MakeMachine, carver: Carver
) -> None:
    machine = make_machine("A30:1g.6gb")
    machine.set_privilege("nobody")
    with pytest.raises(LauncherError, match="no permission"):
        carver.set_mode(gpu(machine), on=False)
    with pytest.raises(LauncherError, match=r"permission|no room|not there"):
        carver.create(gpu(machine), 14, Placement(3, 1))
    assert len(machine.instances()) == 1


def test_who_holds_a_gpu_is_found_by_its_open_device_node(tmp_path: Path) -> None:
    from launcher.gpu.holders import holders_of

    proc, dev = tmp_path / "proc", tmp_path / "dev"
    for pid, node in ((7, "nvidia0"), (8, "nvidia1"), (9, "null")):
        (proc / str(pid) / "fd").mkdir(parents=True)
        (proc / str(pid) / "fd" / "3").symlink_to(dev / node)
        (proc / str(pid) / "comm").write_text("dcgm\n")
        (proc / str(pid) / "cgroup").write_text(f"0::/docker/{'ab' * 32}\n")
    (found,) = holders_of([], 0, proc, dev)
    assert str(found) == "process 7 of root (dcgm) in container abababababab"
    assert [h.pid for h in holders_of([9, 4711], 0, proc, dev)] == [7, 9, 4711]
