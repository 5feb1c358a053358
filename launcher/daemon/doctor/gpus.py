"""The GPUs as NVML last reported them: driver, MIG mode, instances, users."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from launcher.core.model.gpu import Gpu, Instance, Inventory
from launcher.core.model.slice_state import SliceState
from launcher.daemon.doctor.finding import Finding, ok, problem, warning
from launcher.daemon.doctor.versions import OLDEST_DRIVER, board_of, older
from launcher.daemon.machine.tools import Host
from launcher.gpu.holders import Holder

KERNEL_MODULE = "/proc/driver/nvidia/version"
LIBRARIES = (
    "usr/lib/*/libnvidia-ml.so.1",
    "usr/lib64/libnvidia-ml.so.1",
    "usr/lib/libnvidia-ml.so.1",
)
PERSISTENCE_ON = ("nvidia-smi", "-pm", "1")
_DRIVER = re.compile(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b")


def driver(inventory: Inventory) -> Iterator[Finding]:
    """Check that the driver is new enough for the launcher and for every board."""
    version = inventory.driver_version
    if older(version, OLDEST_DRIVER):
        fix = f"Upgrade the NVIDIA driver to R{OLDEST_DRIVER} or later."
        yield problem("driver", f"driver {version} is older than R{OLDEST_DRIVER}", fix)
        return
    late = [(gpu, board) for gpu in inventory.gpus if (board := board_of(gpu)) is not None]
    late = [(gpu, board) for gpu, board in late if older(version, board.driver)]
    for gpu, board in late:
        text = f"driver {version}: GPU {gpu.index} ({gpu.name}) needs {board.driver} for MIG"
        fix = f"Upgrade the NVIDIA driver to {board.driver} or later."
        yield (problem if gpu.mig_capable else warning)("driver", text, fix)
    if not late:
        yield ok("driver", f"driver {version} is new enough for every GPU here")


def library(host: Host, driver_version: str | None) -> Finding:
    """Check that newly started programs, also in containers, match the loaded kernel driver.

    ``driver_version`` is NVML's, used if /proc does not have it.
    """
    loaded, installed = _loaded(host) or driver_version, _installed(host)
    if loaded is None or installed is None:
        missing_part = (
            "NVIDIA library is installed" if installed is None else "kernel driver is loaded"
        )
        return ok("library", f"unknown which {missing_part}")
    if loaded != installed:
        return problem(
            "library",
            f"the NVIDIA library is {installed}, the loaded kernel driver {loaded}: new containers "
            "cannot use a GPU",
            "The driver was upgraded under a running system: reboot when no job runs.",
        )
    return ok("library", f"library and loaded kernel driver are {loaded}")


def _loaded(host: Host) -> str | None:
    try:
        text = host.file(KERNEL_MODULE).read_text("utf-8", errors="replace")
    except OSError:
        return None
    match = _DRIVER.search(text)
    return match[1] if match else None


def _installed(host: Host) -> str | None:
    for pattern in LIBRARIES:
        for link in sorted(host.root.glob(pattern)):
            match = _DRIVER.search(Path(link).resolve().name.rpartition(".so.")[2])
            if match:
                return match[1]
    return None


def modes(inventory: Inventory, pending: Mapping[str, int] | None = None) -> Iterator[Finding]:
    """Report the MIG mode of every GPU: off, on, or pending.

    ``pending`` has the layout changes that wait for a mode, by GPU UUID.
    """
    for gpu in inventory.gpus:
        name = f"gpu {gpu.index}"
        if gpu.mig_current is None:
            yield ok(name, f"{gpu.name} does not support MIG; it is leased whole")
        elif gpu.mig_current != gpu.mig_pending:
            yield warning(
                name,
                f"{gpu.name}: MIG mode is {_on(gpu.mig_current)}, {_on(gpu.mig_pending)} pending",
                f"Reset it when it is unused (`nvidia-smi --gpu-reset -i {gpu.index}`), or "
                f"reboot the machine.{_completes((pending or {}).get(gpu.uuid))}",
            )
        else:
            count = sum(s.gpu_uuid == gpu.uuid for s in inventory.slices)
            yield ok(name, f"{gpu.name}: MIG is {_on(gpu.mig_current)}, {count} slice(s)")


def _completes(change: int | None) -> str:
    """Return that a pending layout change needs nothing more than the reboot."""
    if change is None:
        return ""
    return f" The daemon then completes layout change {change} by itself."


def _on(mode: bool | None) -> str:
    return "on" if mode else "off"


def bare(inventory: Inventory) -> Iterator[Finding]:
    """Report GPU instances that take space but cannot run anything."""
    gpus = {gpu.uuid: gpu for gpu in inventory.gpus}
    for instance in inventory.bare:
        yield _bare(instance, gpus[instance.gpu_uuid])


def _bare(instance: Instance, gpu: Gpu) -> Finding:
    where = f"-i {gpu.index} -gi {instance.gi}"
    return warning(
        "gpu instance",
        f"GPU instance {instance.gi} ({instance.profile}@{instance.placement.start}) of GPU "
        f"{gpu.index} has no compute instance: it takes space and cannot run anything",
        f"`nvidia-smi mig -cci {where}` makes it a slice, "
        f"`launch layout destroy {gpu.index}/{instance.gi}` removes it.",
    )


def persistence(inventory: Inventory, modes: Mapping[str, bool | None]) -> Finding:
    """Check that the driver stays loaded on unused GPUs; ``modes`` by GPU UUID."""
    off = [gpu for gpu in inventory.gpus if modes.get(gpu.uuid) is False]
    if off:
        names = ", ".join(str(gpu.index) for gpu in off)
        return warning(
            "persistence",
            f"persistence mode is off on GPU {names}: the driver may unload between two jobs, "
            "which is slow and loses the layout of newer boards",
            repair=PERSISTENCE_ON,
        )
    if any(modes.get(gpu.uuid) is None for gpu in inventory.gpus):
        return ok("persistence", "unknown: this driver does not report its persistence mode")
    return ok("persistence", "persistence mode is on")


def quarantined(states: Iterable[SliceState]) -> Iterator[Finding]:
    """Report quarantined slices, with reasons."""
    for state in states:
        if state.quarantine:
            yield warning("slice", f"{state.slice.uuid} is quarantined: {state.quarantine}")


def foreign(used: Mapping[str, str], users: Mapping[str, list[Holder]]) -> Iterator[Finding]:
    """Report foreign users of slices; ``used`` is half a sentence by slice UUID."""
    for uuid, how in used.items():
        holders = users.get(uuid)
        text = f"is used by {', '.join(map(str, holders))}" if holders else how
        fix = "The slice is free again when that has ended; run jobs through the launcher."
        yield warning("foreign", f"{uuid} {text}", fix)
    if not used:
        yield ok("foreign", "no slice is used without the launcher")
