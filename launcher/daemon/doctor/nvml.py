"""What the last look at the GPUs did not ask: one more question to NVML, each answer or None."""

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

NODES_UNSEEN = ok("device nodes", "unknown: a daemon in a container does not see the machine's")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the daemon knows of its GPUs; ``used`` says who else uses a slice, by its UUID."""

    inventory: Inventory
    used: Mapping[str, str]


def check(host: Host, reader: GpuReader, seen: Seen, contained: bool = False) -> list[Finding]:
    """Ask NVML and look at the files that must fit it.

    A daemon that is ``contained`` has only some of the machine's device nodes.
    """
    findings = seen.inventory
    uuids = [gpu.uuid for gpu in findings.gpus]
    modes = {uuid: _asked(lambda u=uuid: reader.persistence(u)) for uuid in uuids}  # type: ignore[misc]
    return [
        gpus.persistence(findings, modes),
        *files(host, reader, findings, contained),
        *gpus.foreign(seen.used, {uuid: _users(reader, uuid) for uuid in seen.used}),
    ]


def files(host: Host, reader: GpuReader, inventory: Inventory, contained: bool) -> list[Finding]:
    """Look whether the device nodes and the CDI specs fit what stands."""
    gpu_minors = {gpu.uuid: _minor(reader, gpu.uuid) for gpu in inventory.gpus}
    known = mig_device_nodes.minors(host)
    needed = {s.uuid: nodes.nodes_of(s, gpu_minors[s.gpu_uuid], known) for s in inventory.slices}
    return [
        *([NODES_UNSEEN] if contained else nodes.check(host, inventory.slices, gpu_minors)),
        *cdi.check(host, inventory.slices, needed),
    ]


def unfit(host: Host, reader: GpuReader, contained: bool, inventory: Inventory) -> list[str]:
    """Return which device nodes and CDI specs do not fit what stands: sentences."""
    return [f.message for f in files(host, reader, inventory, contained) if f.state != "ok"]


def _asked(question: Callable[[], T]) -> T | None:
    try:
        return question()
    except (GpuUnavailable, GpuFault):
        return None


def _minor(reader: GpuReader, uuid: str) -> int | None:
    node: Path | None = _asked(lambda: reader.device_node(uuid))
    digits = "" if node is None else node.name.removeprefix("nvidia")
    return int(digits) if digits.isdigit() else None


def _users(reader: GpuReader, uuid: str) -> list[Holder]:
    return [describe(p.pid) for p in _asked(lambda: reader.processes(uuid)) or ()]
