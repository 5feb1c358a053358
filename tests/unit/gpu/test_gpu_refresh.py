"""After a change: which tools are run, and what is said where they are not there or fail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from launcher.gpu.refresh import refresh

SPEC = "cdiVersion: 0.7.0\nkind: nvidia.com/gpu\n"


class Machine:
    """Records what is run on a machine with these tools."""

    def __init__(self, root: Path, *tools: str, failing: str | None = None) -> None:
        self.root, self.tools, self.failing = root, tools, failing
        self.ran: list[str] = []
        self.writes: str | None = None
        """What the toolkit's unit writes anew."""

    def run(self, command: Sequence[str]) -> str | None:
        self.ran.append(" ".join(command))
        if command[0] == "systemctl" and self.writes is not None:
            (self.root / self.writes).unlink()
            self.add(self.writes, SPEC + "devices: []\n")
        return f"{command[0]}: it failed" if command[0] == self.failing else None

    def refresh(self) -> list[str]:
        return refresh(self.root, self.run, lambda name: name if name in self.tools else None)

    def add(self, path: str, text: str = "") -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def test_without_the_driver_there_is_nothing_to_do(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.refresh() == []
    assert machine.ran == []


def test_nvidia_smi_makes_the_device_nodes(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "nvidia-smi")
    assert machine.refresh() == []
    assert machine.ran == ["nvidia-smi -L"]


def test_a_driver_without_nvidia_smi_is_a_problem(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.add("proc/driver/nvidia/version")
    (problem,) = machine.refresh()
    assert "nvidia-smi is not installed" in problem


def test_a_cdi_spec_is_written_anew_where_it_stands(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "nvidia-smi", "nvidia-ctk")
    machine.add("var/run/cdi/nvidia.yaml", SPEC)
    machine.add("etc/cdi/other.yaml", "kind: vendor.com/net\n")
    machine.add("etc/cdi/management.yaml", "kind: management.nvidia.com/gpu\n")
    assert machine.refresh() == []
    assert machine.ran[1:] == [
        f"nvidia-ctk cdi generate --output={tmp_path}/var/run/cdi/nvidia.yaml"
    ]


def test_where_the_toolkit_has_a_unit_for_it_that_is_used(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "nvidia-smi", "nvidia-ctk", "systemctl")
    machine.add("var/run/cdi/nvidia.yaml", SPEC)
    machine.writes = "var/run/cdi/nvidia.yaml"
    machine.add("usr/lib/systemd/system/nvidia-cdi-refresh.service")
    assert machine.refresh() == []
    assert machine.ran[1:] == ["systemctl restart nvidia-cdi-refresh.service"]


def test_a_spec_that_the_toolkits_unit_does_not_write_is_written_anew_too(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "nvidia-smi", "nvidia-ctk", "systemctl")
    machine.add("etc/cdi/nvidia.json", '{"kind": "nvidia.com/gpu", "devices": []}')
    machine.add("var/run/cdi/nvidia.yaml", SPEC)
    machine.writes = "var/run/cdi/nvidia.yaml"
    machine.add("usr/lib/systemd/system/nvidia-cdi-refresh.service")
    assert machine.refresh() == []
    assert machine.ran[1:] == [
        "systemctl restart nvidia-cdi-refresh.service",
        f"nvidia-ctk cdi generate --output={tmp_path}/etc/cdi/nvidia.json",
    ]


def test_what_cannot_be_refreshed_is_said(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "nvidia-smi", failing="nvidia-smi")
    machine.add("etc/cdi/nvidia.yaml", SPEC)
    problems = machine.refresh()
    assert problems[0] == "nvidia-smi: it failed"
    assert "does not match the layout: nvidia-ctk is not installed" in problems[1]
