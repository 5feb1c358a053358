"""Device nodes of slices, from the driver's list of minor numbers."""

from __future__ import annotations

from pathlib import Path

from launcher.daemon.doctor import nodes
from launcher.daemon.machine.mig_device_nodes import MINORS, minors
from tests.unit.daemon.doctor.machine import GPU, a_slice, host, whole

LIST = """\
config 1
monitor 2
gpu1/gi3/access 30
gpu1/gi3/ci0/access 31
gpu1/gi4/access 39
gpu1/gi4/ci0/access 40
"""
MINOR = {GPU: 1}
SLICES = (a_slice(3), a_slice(4))


def made(root: Path, *numbers: int) -> dict[str, str]:
    return {MINORS: LIST} | {f"{nodes.NODE}{minor}": "" for minor in numbers}


def test_the_list_of_minor_numbers_is_read_by_the_drivers_names(tmp_path: Path) -> None:
    known = minors(host(tmp_path, {MINORS: LIST + "nonsense\nodd x\n\n"}))
    assert known["gpu1/gi3/ci0/access"] == 31
    assert known["config"] == 1
    assert len(known) == 6


def test_a_slice_needs_the_nodes_of_its_gpu_and_compute_instance(tmp_path: Path) -> None:
    known = minors(host(tmp_path, {MINORS: LIST}))
    assert nodes.nodes_of(a_slice(4), 1, known) == [f"{nodes.NODE}39", f"{nodes.NODE}40"]
    assert nodes.nodes_of(a_slice(4), 0, known) == []
    assert nodes.nodes_of(whole(), 1, known) == []


def test_nodes_that_are_all_there_are_well(tmp_path: Path) -> None:
    (found,) = nodes.check(host(tmp_path, made(tmp_path, 30, 31, 39, 40)), SLICES, MINOR)
    assert found.state == "ok"


def test_missing_nodes_are_named_and_can_be_made(tmp_path: Path) -> None:
    (found,) = nodes.check(host(tmp_path, made(tmp_path, 30, 31, 39)), SLICES, MINOR)
    assert found.state == "warning"
    assert "MIG-4 has no /dev/nvidia-caps/nvidia-cap40:" in found.message
    assert found.repair == ("nvidia-smi", "-L")


def test_of_many_slices_without_nodes_the_first_is_named_and_the_rest_counted(
    tmp_path: Path,
) -> None:
    (found,) = nodes.check(host(tmp_path, made(tmp_path)), SLICES, MINOR)
    assert "MIG-3 has no /dev/nvidia-caps/nvidia-cap30 and no " in found.message
    assert "(1 more slices lack theirs)" in found.message


def test_where_the_driver_has_no_list_nothing_is_said(tmp_path: Path) -> None:
    assert list(nodes.check(host(tmp_path), SLICES, MINOR)) == []
