"""The launcher's own answers about the GPUs, compared with nvidia-smi's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pynvml

from launcher.core.model.gpu import Gpu, Inventory
from launcher.errors import GpuFault, GpuUnavailable, LauncherError
from launcher.gpu import Events, GpuReader
from tests.hardware.check_gpu import smi
from tests.hardware.check_gpu.report import Report

MIB_PER_GIB = 1024


def check(report: Report, reader: GpuReader) -> Inventory | None:
    """Read the inventory and everything about each GPU; None if there is no GPU."""
    since = time.monotonic()
    try:
        inventory = reader.inventory()
    except (GpuUnavailable, GpuFault) as error:
        report.note("inventory", "FAILED", f"{error.message} {error.fix or ''}")
        return None
    if not inventory.gpus:
        report.note("inventory", "FAILED", "NVML answers, but there is no GPU")
        return None
    took = (time.monotonic() - since) * 1000
    report.note("inventory", "ok", f"{len(inventory.gpus)} GPU(s) read in {took:.0f} ms")
    _against_smi(report, inventory)
    for gpu in inventory.gpus:
        _gpu(report, reader, gpu)
    for slice_ in inventory.slices:
        _try(report, f"verify {slice_.uuid[:12]}", lambda s=slice_: reader.verify(s) or "as read")
    _refusals(report)
    _events(report, reader)
    return inventory


def _try(report: Report, check: str, call: Callable[[], Any]) -> None:
    try:
        report.note(check, "ok", call())
    except LauncherError as error:
        report.note(check, "FAILED", error.message)


def _against_smi(report: Report, inventory: Inventory) -> None:
    query = f"--query-gpu={','.join(smi.FIELDS)}"
    text = smi.ask(query, "--format=csv,noheader,nounits")
    if text is None:
        report.note("nvidia-smi", "FAILED", "it is missing, or it fails: nothing is compared")
        return
    rows = {row["uuid"]: row for row in smi.gpus(text)}
    report.compare("GPUs", sorted(g.uuid for g in inventory.gpus), sorted(rows))
    for gpu in inventory.gpus:
        row = rows.get(gpu.uuid, {})
        name = f"GPU {gpu.index}"
        report.compare(f"{name} name", gpu.name, row.get("name"))
        report.compare(f"{name} memory (MiB)", str(gpu.memory_mib), row.get("memory.total"))
        report.compare(f"{name} MIG mode", _mode(gpu.mig_current), row.get("mig.mode.current"))
        report.compare(f"{name} pending mode", _mode(gpu.mig_pending), row.get("mig.mode.pending"))
        device = None if gpu.pci_device_id is None else f"0x{gpu.pci_device_id:08X}"
        report.compare(f"{name} PCI id", device, row.get("pci.device_id"))
        report.compare("driver", inventory.driver_version, row.get("driver_version"))
    _slices(report, inventory)
    _profiles(report, inventory)


def _mode(mode: bool | None) -> str:
    return {True: "Enabled", False: "Disabled", None: "[N/A]"}[mode]


def _slices(report: Report, inventory: Inventory) -> None:
    text = smi.ask("-L")
    ours = {s.uuid: s.profile for s in inventory.slices if s.gi is not None}
    report.compare("MIG devices", ours, smi.mig_devices(text or ""))


def _profiles(report: Report, inventory: Inventory) -> None:
    on = [gpu for gpu in inventory.gpus if gpu.mig_current]
    if not on:
        report.note("profiles", "ok", "MIG mode is on nowhere: nvidia-smi lists no profiles")
        return
    listed, places = smi.ask("mig", "-lgip") or "", smi.ask("mig", "-lgipp") or ""
    theirs, starts = smi.profiles(listed), smi.placements(places)
    for gpu in on:
        for profile in gpu.profiles:
            key = (gpu.index, profile.profile_id)
            other = theirs.get(key)
            name = f"GPU {gpu.index} {profile.name}"
            if other is None:
                report.note(name, "DIFFERS", "nvidia-smi mig -lgip does not list it")
                continue
            ours = (profile.name, profile.max_instances, profile.multiprocessors)
            report.compare(name, ours, (other.name, other.most, other.sm))
            gib = round(profile.memory_mib / MIB_PER_GIB, 2)
            near = abs(gib - other.gib) <= 0.02
            report.note(
                f"{name} memory", "same" if near else "DIFFERS", f"{gib} and {other.gib} GiB"
            )
            if key in starts and profile.placements:
                at = tuple(sorted(p.start for p in profile.placements))
                mine = (at, profile.placements[0].size)
                report.compare(f"{name} placements", mine, starts[key])
        extra = {i for g, i in theirs if g == gpu.index} - {p.profile_id for p in gpu.profiles}
        report.compare(f"GPU {gpu.index} other profiles", sorted(extra), [])


def _gpu(report: Report, reader: GpuReader, gpu: Gpu) -> None:
    name = f"GPU {gpu.index}"
    _try(report, f"{name} processes", lambda: f"{len(reader.processes(gpu.uuid))} seen")
    _try(report, f"{name} device node", lambda: reader.device_node(gpu.uuid))
    _try(report, f"{name} persistence mode", lambda: reader.persistence(gpu.uuid))
    if gpu.mig_current:
        _try(report, f"{name} room for more", lambda: reader.capacity(gpu.uuid))
    device = pynvml.nvmlDeviceGetHandleByUUID(gpu.uuid)
    for call in ("nvmlGpmQueryDeviceSupport", "nvmlDeviceGetSupportedEventTypes"):
        report.note(f"{name} {call}", "seen", _answer(lambda c=call: getattr(pynvml, c)(device)))


def _answer(call: Callable[[], Any]) -> str:
    """Return an answer or a code of NVML as text: both are facts about the card."""
    try:
        result = call()
    except pynvml.NVMLError as error:
        return f"{type(error).__name__}"
    return str(getattr(result, "isSupportedDevice", result))


def _refusals(report: Report) -> None:
    """Report the codes with which NVML refuses what cannot be."""
    gone = "GPU-00000000-0000-0000-0000-000000000000"
    device = pynvml.nvmlDeviceGetHandleByIndex(0)
    questions: dict[str, Callable[[], Any]] = {
        "a GPU that does not exist": lambda: pynvml.nvmlDeviceGetHandleByUUID(gone),
        "a shape past the last": lambda: pynvml.nvmlDeviceGetGpuInstanceProfileInfo(
            device, pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT + 50, 2
        ),
        "a MIG device at a hole": lambda: pynvml.nvmlDeviceGetMigDeviceHandleByIndex(device, 13),
        "a GPU instance that does not exist": lambda: pynvml.nvmlDeviceGetGpuInstanceById(
            device, 99
        ),
    }
    for name, question in questions.items():
        report.note(f"refusal of {name}", "seen", _answer(question))


def _events(report: Report, reader: GpuReader) -> None:
    try:
        xid = Events(reader).wait(0.2)
        report.note("events", "ok", "registered" if xid is None else f"Xid {xid}")
    except LauncherError as error:
        report.note("events", "FAILED", error.message)
