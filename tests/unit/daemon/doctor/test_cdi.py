"""CDI specs that fit the layout, and those that do not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher.daemon.doctor import cdi
from launcher.daemon.doctor.finding import Finding
from tests.unit.daemon.doctor.machine import GPU, a_slice, host, whole

CUDA = "/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05"
SOCKET = "/run/nvidia-persistenced/socket"
SLICES = (a_slice(3), a_slice(4))
NODES = {"MIG-3": ["/dev/nvidia-caps/nvidia-cap30", "/dev/nvidia-caps/nvidia-cap31"], "MIG-4": []}


def spec(devices: Mapping[str, list[str]], kind: str = cdi.KIND) -> dict[str, Any]:
    """A spec as nvidia-ctk writes it: devices with their nodes, files that every container gets."""
    return {
        "cdiVersion": "0.7.0",
        "kind": kind,
        "devices": [
            {
                "name": name,
                "containerEdits": {"deviceNodes": [{"path": p} for p in ["/dev/nvidia0", *paths]]},
            }
            for name, paths in devices.items()
        ],
        "containerEdits": {
            "mounts": [{"hostPath": p, "containerPath": p} for p in (CUDA, SOCKET)],
            "hooks": [{"hookName": "createContainer", "path": "/usr/bin/nvidia-cdi-hook"}],
        },
    }


FITTING: dict[str, list[str]] = {"MIG-3": NODES["MIG-3"], "MIG-4": [], "0:0": [], "all": []}


def checked(
    root: Path, written: Any, name: str = "/etc/cdi/nvidia.yaml", **more: Any
) -> list[Finding]:
    """What is said of one spec, with the driver's library there."""
    text = written if isinstance(written, str) else yaml.safe_dump(written)
    machine = host(root, {name: text, more.pop("library", CUDA): ""})
    return list(cdi.check(machine, more.pop("slices", SLICES), more.pop("nodes", NODES)))


def test_a_spec_that_fits_is_well(tmp_path: Path) -> None:
    (found,) = checked(tmp_path, spec(FITTING))
    assert (found.state, "matches the layout" in found.message) == ("ok", True)


def test_a_spec_in_json_is_read_as_well(tmp_path: Path) -> None:
    (found,) = checked(tmp_path, json.dumps(spec(FITTING)), "/var/run/cdi/nvidia.json")
    assert found.state == "ok"


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        (FITTING | {"MIG-9": []}, "names MIG-9, which does not exist now"),
        (FITTING | {"MIG-8": [], "MIG-9": []}, "names MIG-8 and 1 more, which"),
        ({"MIG-3": NODES["MIG-3"]}, "does not name MIG-4"),
        ({GPU: []}, "does not name MIG-3 and 1 more"),
        (
            FITTING | {"MIG-3": ["/dev/nvidia-caps/nvidia-cap66"]},
            "has another slice's device nodes for MIG-3",
        ),
        ({"0:0": [], "0": [], "all": []}, "numbers 1 MIG devices, but 2 exist"),
    ],
)
def test_a_spec_that_does_not_fit_says_in_what(
    tmp_path: Path, devices: dict[str, list[str]], words: str
) -> None:
    (found,) = checked(tmp_path, spec(devices))
    assert found.state == "warning"
    assert words in found.message
    path = tmp_path / "etc/cdi/nvidia.yaml"
    assert found.repair == ("nvidia-ctk", "cdi", "generate", f"--output={path}")


def test_a_spec_that_numbers_as_many_devices_as_there_are_is_well(tmp_path: Path) -> None:
    (found,) = checked(tmp_path, spec({"0:0": [], "mig0:1": [], "all": []}))
    assert found.state == "ok"


def test_a_spec_of_whole_gpus_is_well_where_they_are_whole(tmp_path: Path) -> None:
    (found,) = checked(tmp_path, spec({"0": [], GPU: [], "all": []}), slices=(whole(),), nodes={})
    assert found.state == "ok"


def test_a_spec_of_another_driver_is_old_but_a_socket_may_come_and_go(tmp_path: Path) -> None:
    newer = CUDA.replace("580.95.05", "590.10")
    (found,) = checked(tmp_path, spec(FITTING), library=newer)
    assert found.state == "warning"
    assert f"mounts {CUDA} of another driver" in found.message
    assert SOCKET not in found.message


def test_a_device_that_one_of_two_specs_names_is_not_missing(tmp_path: Path) -> None:
    host(tmp_path, {"/var/run/cdi/more.yaml": yaml.safe_dump(spec({"MIG-4": []}))})
    found = checked(tmp_path, spec({"MIG-3": NODES["MIG-3"]}))
    assert [each.state for each in found] == ["ok", "ok"]


def test_a_spec_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    assert checked(tmp_path, spec({"MIG-9": []}, kind="management.nvidia.com/gpu")) == []
    assert checked(tmp_path, spec({"MIG-9": []}, kind="vendor.com/nic")) == []


@pytest.mark.parametrize(
    "text",
    ["kind: nvidia.com/gpu\ndevices: [", "- nvidia.com/gpu\n", "nvidia.com/gpu"],
    ids=["cut off", "a list", "a word"],
)
def test_a_spec_that_cannot_be_read_is_said_and_can_be_written_anew(
    tmp_path: Path, text: str
) -> None:
    (found,) = checked(tmp_path, text)
    assert found.state == "warning"
    assert f"cannot read {tmp_path}/etc/cdi/nvidia.yaml: " in found.message
    assert found.repair is not None


@pytest.mark.parametrize(
    "odd", [{"devices": "none"}, {"devices": ["x", 3]}, {"containerEdits": []}, {"devices": None}]
)
def test_a_spec_with_odd_parts_is_read_for_the_rest(tmp_path: Path, odd: dict[str, Any]) -> None:
    path = tmp_path / "nvidia.yaml"
    path.write_text(yaml.safe_dump(spec(FITTING) | odd))
    assert cdi.parse(path) is not None


def test_without_a_spec_nothing_is_said(tmp_path: Path) -> None:
    assert list(cdi.check(host(tmp_path), SLICES, NODES)) == []
