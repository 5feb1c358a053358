"""Checks that need further NVML queries; each result may be None."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from launcher.core.model.gpu import Inventory
from launcher.daemon.doctor import cdi, gpus, nodes
from launcher.daemon.doctor.finding import Finding, ok
from launcher.daemon.machine import mig_device_nodes
from launcher.daemon.machine.tools import Host
from launcher.errors import GpuFault, GpuUnavailable
from launcher.gpu import GpuReader
from launcher.gpu.holders import Holder, describe

T = TypeVar("T")

NODES_UNSEEN = ok(
    "device nodes", "unknown: a daemon in a container does not see the machine's nodes"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """The daemon's knowledge of its GPUs; ``used`` names foreign users by slice UUID."""

    inventory: Inventory
    used: Mapping[str, str]


def check(host: Host, reader: GpuReader, seen: Seen, contained: bool = False) -> list[Finding]:
    """Query NVML and check the files that must match it.

    A ``contained`` daemon has only some of the machine's device nodes.
    """
    findings = seen.inventory
    uuids = [gpu.uuid for gpu in findings.gpus]
    modes = {uuid: _or_none(lambda u=uuid: reader.persistence(u)) for uuid in uuids}  # type: ignore[misc]
    return [
        gpus.persistence(findings, modes),
        *files(host, reader, findings, contained),
        *gpus.foreign(seen.used, {uuid: _users(reader, uuid) for uuid in seen.used}),
    ]


def files(host: Host, reader: GpuReader, inventory: Inventory, contained: bool) -> list[Finding]:
    """Check that the device nodes and the CDI specs match the layout."""
    gpu_minors = {gpu.uuid: _minor(reader, gpu.uuid) for gpu in inventory.gpus}
    minors = mig_device_nodes.minors(host)
    needed = {s.uuid: nodes.nodes_of(s, gpu_minors[s.gpu_uuid], minors) for s in inventory.slices}
    return [
        *([NODES_UNSEEN] if contained else nodes.check(host, inventory.slices, gpu_minors)),
        *cdi.check(host, inventory.slices, needed),
    ]


def unfit(host: Host, reader: GpuReader, contained: bool, inventory: Inventory) -> list[str]:
    """Return as sentences the device nodes and CDI specs that do not match the layout."""
    return [f.message for f in files(host, reader, inventory, contained) if f.state != "ok"]


def _or_none(question: Callable[[], T]) -> T | None:
    try:
        return question()
    except (GpuUnavailable, GpuFault):
        return None


def _minor(reader: GpuReader, uuid: str) -> int | None:
    node: Path | None = _or_none(lambda: reader.device_node(uuid))
    digits = "" if node is None else node.name.removeprefix("nvidia")
    return int(digits) if digits.isdigit() else None


def _users(reader: GpuReader, uuid: str) -> list[Holder]:
    return [describe(p.pid) for p in _or_none(lambda: reader.processes(uuid)) or ()]
