"""A machine for the checks of doctor: a tree of files, tools that are scripts, GPUs as values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from launcher.core.model.gpu import FULL, Gpu, Instance, Inventory, Placement, Slice
from launcher.daemon.machine.tools import Host

A30_PCI = 0x20B710DE
GPU = "GPU-0"


def host(root: Path, files: Mapping[str, str] | None = None) -> Host:
    """A machine with these files and no tools."""
    for path, text in (files or {}).items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return Host(root, str(root / "usr/bin"))


def tool(machine: Host, name: str, script: str) -> None:
    """Install a tool: a shell script."""
    place = machine.file(f"/usr/bin/{name}")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"#!/bin/sh\n{script}\n")
    place.chmod(0o755)


def a_gpu(**fields: object) -> Gpu:
    """An A30 with MIG on, or what the fields say."""
    values: dict[str, object] = {
        "uuid": GPU, "index": 0, "name": "NVIDIA A30", "memory_mib": 24576, "mig_current": True,
        "mig_pending": True, "pci_device_id": A30_PCI,
    }  # fmt: skip
    return Gpu(**(values | fields))  # type: ignore[arg-type]


def a_slice(gi: int, ci: int = 0, uuid: str | None = None) -> Slice:
    """A 1g.6gb of that A30."""
    name = uuid or f"MIG-{gi}"
    return Slice(name, GPU, 0, "1g.6gb", 14, 5952, gi, ci, Placement(gi - 3, 1))


def whole() -> Slice:
    """The A30 whole."""
    return Slice(GPU, GPU, 0, FULL, None, 24576)


def seen(
    *slices: Slice,
    driver: str = "580.95.05",
    gpus: tuple[Gpu, ...] | None = None,
    instances: tuple[int, ...] = (),
) -> Inventory:
    """What NVML reported: these slices, and GPU instances by their ids."""
    standing = tuple(Instance(GPU, gi, "1g.6gb", 14, Placement(gi - 3, 1)) for gi in instances)
    return Inventory(driver, (a_gpu(),) if gpus is None else gpus, slices, standing)
