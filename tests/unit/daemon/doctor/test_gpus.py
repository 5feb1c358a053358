"""What doctor says of drivers and GPUs that NVML reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.core.model.slice_state import SliceState
from launcher.daemon.doctor import gpus
from launcher.gpu.holders import Holder
from tests.unit.daemon.doctor.machine import GPU, a_gpu, a_slice, host, seen, whole

PROC = """\
NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (dvs-builder)
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)
"""
LIB = "usr/lib/x86_64-linux-gnu"


def test_a_driver_that_is_new_enough_for_every_board_is_well() -> None:
    (found,) = gpus.driver(seen())
    assert (found.state, found.check) == ("ok", "driver")
    assert "580.95.05" in found.message


def test_a_driver_before_r460_is_a_problem_whatever_the_board() -> None:
    (found,) = gpus.driver(seen(driver="450.80.02", gpus=(a_gpu(name="NVIDIA A100-SXM4-40GB"),)))
    assert found.state == "problem"
    assert "450.80.02 is older than R460" in found.message


@pytest.mark.parametrize(("mode", "state"), [(True, "problem"), (None, "warning")])
def test_a_board_that_needs_a_newer_driver_is_named_with_what_it_needs(
    mode: bool | None, state: str
) -> None:
    late = a_gpu(
        index=3,
        name="NVIDIA H100 80GB HBM3",
        pci_device_id=None,
        mig_current=mode,
        mig_pending=mode,
    )
    (found,) = gpus.driver(seen(driver="525.60.13", gpus=(a_gpu(), late)))
    assert found.state == state
    assert "GPU 3 (NVIDIA H100 80GB HBM3) needs 525.85.12" in found.message
    assert "525.85.12 or later" in (found.fix or "")


def installed(root: Path, version: str) -> None:
    """The library as packages install it: a file with its version, and a link."""
    folder = root / LIB
    folder.mkdir(parents=True)
    (folder / f"libnvidia-ml.so.{version}").touch()
    (folder / "libnvidia-ml.so.1").symlink_to(f"libnvidia-ml.so.{version}")


def test_a_library_of_the_loaded_driver_is_well(tmp_path: Path) -> None:
    installed(tmp_path, "580.95.05")
    machine = host(tmp_path, {gpus.KERNEL_MODULE: PROC.format("580.95.05")})
    found = gpus.library(machine, None)
    assert (found.state, "580.95.05" in found.message) == ("ok", True)


def test_a_library_upgraded_under_a_running_driver_is_a_problem(tmp_path: Path) -> None:
    installed(tmp_path, "580.95.05")
    machine = host(tmp_path, {gpus.KERNEL_MODULE: PROC.format("570.133.20")})
    found = gpus.library(machine, "570.133.20")
    assert found.state == "problem"
    assert "library is 580.95.05, the loaded kernel driver 570.133.20" in found.message
    assert "reboot" in (found.fix or "")


def test_without_proc_the_library_is_held_against_what_nvml_told(tmp_path: Path) -> None:
    installed(tmp_path, "580.95.05")
    assert gpus.library(host(tmp_path), "580.95.05").state == "ok"
    assert gpus.library(host(tmp_path), "570.133.20").state == "problem"


def test_a_library_or_driver_that_is_not_found_is_unknown(tmp_path: Path) -> None:
    assert "unknown which NVIDIA library" in gpus.library(host(tmp_path), "580.95.05").message
    installed(tmp_path, "580.95.05")
    found = gpus.library(host(tmp_path), None)
    assert (found.state, "unknown which kernel driver" in found.message) == ("ok", True)


def test_a_gpu_says_whether_it_can_be_cut_and_into_how_much_it_is() -> None:
    uncut = a_gpu(uuid="GPU-1", index=1, name="Tesla T4", mig_current=None, mig_pending=None)
    cut, whole_one = gpus.modes(seen(a_slice(3), a_slice(4), gpus=(a_gpu(), uncut)))
    assert (cut.check, cut.message) == ("gpu 0", "NVIDIA A30: MIG is on, 2 slice(s)")
    assert (whole_one.state, whole_one.message) == (
        "ok",
        "Tesla T4 does not support MIG; it is leased whole",
    )


def test_a_pending_mode_is_a_warning_that_says_how_it_comes_about() -> None:
    (found,) = gpus.modes(seen(whole(), gpus=(a_gpu(mig_current=False),)))
    assert found.state == "warning"
    assert "MIG mode is off, on pending" in found.message
    assert (found.fix or "").endswith("or reboot the machine.")


def test_a_pending_mode_names_the_change_that_the_reboot_completes() -> None:
    card = a_gpu(mig_current=False)
    (found,) = gpus.modes(seen(whole(), gpus=(card,)), {card.uuid: 7})
    assert (found.fix or "").endswith("The daemon then completes layout change 7 by itself.")


def test_a_gpu_instance_without_a_compute_instance_is_named_with_both_ways_out() -> None:
    (found,) = gpus.bare(seen(a_slice(3), instances=(3, 5)))
    assert found.state == "warning"
    assert "GPU instance 5 (1g.6gb@2) of GPU 0 has no compute instance" in found.message
    assert "nvidia-smi mig -cci -i 0 -gi 5" in (found.fix or "")
    assert "launch layout destroy 0/5" in (found.fix or "")


def test_gpu_instances_that_are_slices_are_not_mentioned() -> None:
    assert list(gpus.bare(seen(a_slice(3), a_slice(4), instances=(3, 4)))) == []


@pytest.mark.parametrize(
    ("mode", "state", "word"),
    [(True, "ok", "is on"), (None, "ok", "unknown"), (False, "warning", "is off on GPU 0")],
)
def test_persistence_mode_is_on_off_or_unknown(mode: bool | None, state: str, word: str) -> None:
    found = gpus.persistence(seen(), {GPU: mode})
    assert (found.state, word in found.message) == (state, True)
    assert (found.repair == ("nvidia-smi", "-pm", "1")) is (mode is False)


def test_a_repair_is_also_told_as_the_command_to_run_by_hand() -> None:
    line = gpus.persistence(seen(), {GPU: False}).line
    assert line.fix == "Run `nvidia-smi -pm 1`, or let `launch doctor --fix` do it."


def test_foreign_use_says_who_it_is_where_that_can_be_known() -> None:
    used = {"MIG-3": "is used by process 77", "MIG-4": "is used by the container web"}
    process, container = gpus.foreign(used, {"MIG-3": [Holder(77, "bob", "python")], "MIG-4": []})
    assert process.message == "MIG-3 is used by process 77 of bob (python)"
    assert container.message == "MIG-4 is used by the container web"
    assert {process.state, container.state} == {"warning"}


def test_no_foreign_use_is_said_too() -> None:
    (found,) = gpus.foreign({}, {})
    assert found.state == "ok"


def test_a_quarantined_slice_says_why() -> None:
    states = [SliceState(a_slice(3), quarantine="a process did not end"), SliceState(a_slice(4))]
    (found,) = gpus.quarantined(states)
    assert found.message == "MIG-3 is quarantined: a process did not end"
