"""Floor 2: what NVML reports, in our words and values."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from launcher.core.gpu import (
    FULL,
    Gpu,
    Instance,
    Inventory,
    Placement,
    Profile,
    Slice,
)
from launcher.errors import GpuFault, GpuLost, GpuPermission, GpuUnavailable
from launcher.gpu import nvml
from launcher.gpu.walk import Device, Walk, walk

T = TypeVar("T")

BUSY_SECONDS = 5.0

SHAPE_SUFFIXES = {
    7: "+me", 8: "+me", 10: "+gfx", 11: "+gfx", 12: "+gfx", 13: "-me", 14: "-me", 15: "+me.all",
    16: "+me.all", 17: "+gfx",
}  # fmt: skip
"""What the profile's name ends in, by NVML's enum of shapes."""


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that NVML shows on a device; ``memory_mib`` None where the driver has no figure."""

    pid: int
    memory_mib: int | None
    kind: str


class GpuReader:
    """Reads the machine's GPUs. One object serves all threads of the daemon.

    NVML is opened at the first call and stays open until ``close``. NVML itself is thread-safe (its
    documentation says so), so calls run side by side and a hanging one holds up no other; the lock
    here guards only opening, closing and the remembered profiles.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = False
        self._profiles: dict[tuple[str, bool, str], tuple[Profile, ...]] = {}
        self._walks: dict[str, Walk] = {}

    def inventory(self) -> Inventory:
        """Return every GPU and slice as NVML shows them now.

        GpuUnavailable (one of its kinds) where NVML cannot be used at all. A lost GPU among others
        is left out, with a warning; if every GPU is lost, GpuLost.
        """
        return self._with_nvml(self._inventory)

    def processes(self, uuid: str) -> list[GpuProcess]:
        """Return the processes on a slice (a MIG device's or a GPU's UUID).

        GpuPermission: NVML does not tell us (no privilege, or not supported here), so an empty list
        would prove nothing. GpuFault: there is no such device now.
        """
        return self._with_nvml(lambda: _processes(uuid))

    def verify(self, expected: Slice) -> str | None:
        """Return None if the slice is exactly as given, else what is different, as a sentence.

        MIG UUIDs recur, so UUID, GPU, GI, CI, profile and placement are all compared. Where NVML
        hides profile id and placement (no privilege) the profile's name is compared instead.
        """
        return self._with_nvml(lambda: _difference(expected))

    def driver_version(self) -> str:
        """Return the driver's version."""
        return self._with_nvml(nvml.driver_version)

    def device_node(self, gpu_uuid: str) -> Path | None:
        """Return the GPU's device node, None where NVML does not tell its number."""

        def read() -> Path | None:
            device = nvml.device_by_uuid(gpu_uuid)
            minor = None if device is None else nvml.minor_number(device)
            return None if minor is None else Path(f"/dev/nvidia{minor}")

        return self._with_nvml(read)

    def persistence(self, gpu_uuid: str) -> bool | None:
        """Return whether the GPU's persistence mode is on, None where NVML does not tell."""

        def read() -> bool | None:
            device = nvml.device_by_uuid(gpu_uuid)
            return None if device is None else nvml.persistence_mode(device)

        return self._with_nvml(read)

    def capacity(self, gpu_uuid: str) -> dict[int, int | None]:
        """Return profile id -> how many more of it fit now, None where NVML does not tell."""

        def read() -> dict[int, int | None]:
            device = nvml.device_by_uuid(gpu_uuid)
            if device is None:
                raise GpuFault(f"there is no GPU {gpu_uuid} now")
            infos = [nvml.profile_info(device, shape) for shape in range(nvml.profile_count())]
            return {i.id: nvml.remaining_capacity(device, i.id) for i in infos if i is not None}

        return self._with_nvml(read)

    def changing(self, change: Callable[[], T]) -> T:
        """Run a change of instances with NVML open; it is never made twice."""
        self._ensure_open()
        try:
            return change()
        except nvml.NvmlClosed:
            raise GpuUnavailable("NVML was closed in the middle of a change") from None

    def alone(self, change: Callable[[], T]) -> T:
        """Run a change of MIG mode with NVML closed before and after it: an open client can stand
        in its way. Who asks meanwhile waits a moment, then hears that NVML is busy."""
        with self._lock:
            self._close()
            nvml.init()
            try:
                return change()
            except nvml.NvmlClosed:
                raise GpuUnavailable("NVML was closed in the middle of a change") from None
            finally:
                nvml.shutdown()

    def close(self) -> None:
        """Close NVML and forget everything read; the next call opens it again.

        Needed before a change of MIG mode: an open client can stand in its way.
        """
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._profiles.clear()
        self._walks.clear()
        if self._open:
            self._open = False
            nvml.shutdown()

    def _with_nvml(self, read: Callable[[], T]) -> T:
        """Run ``read`` with NVML open; once more if it was closed under us (driver reloaded)."""
        self._ensure_open()
        with suppress(nvml.NvmlClosed):
            return read()
        with self._lock:
            self._open = False
        self._ensure_open()
        try:
            return read()
        except nvml.NvmlClosed:
            raise GpuUnavailable("NVML does not stay open", fix="Run launch doctor.") from None

    def _ensure_open(self) -> None:
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise GpuUnavailable("NVML is busy with a change of MIG mode", fix="Wait for its end.")
        try:
            if not self._open:
                nvml.init()
                self._open = True
        finally:
            self._lock.release()

    def _inventory(self) -> Inventory:
        driver = nvml.driver_version()
        found = _Found()
        count = nvml.device_count()
        for index in range(count):
            try:
                self._read_gpu(index, driver, found)
            except GpuLost as error:
                found.warnings.append(f"GPU {index} is lost and left out: {error.message}")
        if count and not found.gpus:
            raise GpuLost(f"None of the {count} GPUs answers.", fix="Look at dmesg; reboot.")
        return Inventory(
            driver,
            tuple(found.gpus),
            tuple(found.slices),
            tuple(found.instances),
            tuple(found.warnings),
            tuple(found.hidden),
        )

    def _read_gpu(self, index: int, driver: str, found: _Found) -> None:
        device = nvml.device_at(index)
        uuid = nvml.device_uuid(device)
        if uuid is None:
            raise GpuFault(f"GPU {index} has no UUID")
        mode = nvml.mig_mode(device)
        profiles = self._read_profiles(device, uuid, mode, driver)
        gpu = Gpu(
            uuid=uuid,
            index=index,
            name=nvml.device_name(device) or "NVIDIA GPU",
            memory_mib=nvml.memory_total(device) or 0,
            mig_current=mode[0] if mode else None,
            mig_pending=mode[1] if mode else None,
            profiles=profiles,
            profiles_known=bool(profiles) or mode is None,
            architecture=nvml.architecture(device),
            pci_device_id=nvml.pci_device_id(device),
        )
        found.gpus.append(gpu)
        if mode and mode[0]:
            self._read_slices(device, gpu, found)
        else:
            found.slices.append(Slice(uuid, uuid, index, FULL, None, gpu.memory_mib))
        if mode and mode[0] != mode[1]:
            words = ("off", "on")
            found.warnings.append(
                f"GPU {index} ({uuid}): MIG mode is {words[mode[0]]} and will be {words[mode[1]]} "
                "after a reset of the GPU or a reboot"
            )

    def _read_profiles(
        self, device: nvml.Handle, uuid: str, mode: tuple[bool, bool] | None, driver: str
    ) -> tuple[Profile, ...]:
        """Ask once per MIG mode and driver: NVML promises they do not change within it."""
        if mode is None:
            return ()
        key = (uuid, mode[0], driver)
        with self._lock:
            known = self._profiles.get(key)
        if known is None:
            known = _ask_profiles(device)
            with self._lock:
                self._profiles = {k: v for k, v in self._profiles.items() if k[0] != uuid}
                self._profiles[key] = known
        return known

    def _read_slices(self, device: nvml.Handle, gpu: Gpu, found: _Found) -> None:
        with self._lock:
            before = self._walks.get(gpu.uuid)
        seen = walk(device, gpu.profiles, before)
        with self._lock:
            self._walks[gpu.uuid] = seen
        if seen.instances is None:
            found.hidden.append(gpu.uuid)
        profiles = {profile.profile_id: profile for profile in gpu.profiles}
        found.slices.extend(_slice(gpu, profiles, mig, seen) for mig in seen.devices)
        found.instances.extend(
            Instance(
                gpu.uuid,
                info.gi,
                profiles[info.profile_id].name if info.profile_id in profiles else "?",
                info.profile_id,
                Placement(info.start, info.size),
            )
            for info in seen.instances or ()
        )
        for mig in seen.devices:
            if mig.ci_slices != mig.gi_slices:
                found.warnings.append(
                    f"{mig.uuid} has {mig.ci_slices} of the {mig.gi_slices} compute slices of its "
                    "GPU instance: memory and engines are shared with the others on it"
                )
        if seen.instances is None:
            found.warnings.append(
                f"GPU {gpu.index} ({gpu.uuid}): without privileges NVML tells neither placements "
                "nor GPU instances that have no compute instance"
            )


class _Found:
    """What an inventory gathers on its way."""

    def __init__(self) -> None:
        self.gpus: list[Gpu] = []
        self.slices: list[Slice] = []
        self.instances: list[Instance] = []
        self.warnings: list[str] = []
        self.hidden: list[str] = []


def _ask_profiles(device: nvml.Handle) -> tuple[Profile, ...]:
    total = nvml.memory_total(device) or 0
    infos = [nvml.profile_info(device, shape) for shape in range(nvml.profile_count())]
    return tuple(
        Profile(
            info.id,
            info.name or profile_name(info, total),
            info.memory_mib,
            info.slice_count,
            info.max_instances,
            info.multiprocessors,
            info.engines,
            _placements(device, info.id),
        )
        for info in infos
        if info is not None
    )


def _placements(device: nvml.Handle, profile_id: int) -> tuple[Placement, ...] | None:
    found = nvml.possible_placements(device, profile_id)
    return None if found is None else tuple(Placement(start, size) for start, size in found)


def profile_name(info: nvml.ProfileInfo, total_mib: int) -> str:
    """Return the name of a profile whose driver does not tell it, as nvidia-smi would print it.

    The size is the profile's share of the GPU in eighths, rounded up, of the GPU's GiB, rounded up.

    >>> profile_name(nvml.ProfileInfo(14, 0, None, 1, 4, 5952), 24576)
    '1g.6gb'
    """
    suffix = SHAPE_SUFFIXES.get(info.shape, "")
    return f"{info.slice_count}g.{_name_gb(info.memory_mib, total_mib)}gb{suffix}"


def _name_gb(memory_mib: int, total_mib: int) -> int:
    if not total_mib:
        return round(memory_mib / 1024)
    eighths = math.ceil(8 * memory_mib / total_mib)
    return math.floor(eighths / 8 * math.ceil(total_mib / 1024) + 0.5)


def _slice(gpu: Gpu, profiles: dict[int, Profile], mig: Device, seen: Walk) -> Slice:
    info = seen.instance(mig.gi)
    name = mig.profile_name or f"{mig.gi_slices}g.{_name_gb(mig.memory_mib, gpu.memory_mib)}gb"
    profile_id: int | None = None
    if info is not None:
        profile_id = info.profile_id
    if profile_id in profiles:
        name = profiles[profile_id].name
        if mig.ci_slices != mig.gi_slices:
            name = f"{mig.ci_slices}c.{name}"
    elif profile_id is None:
        matching = [profile for profile in profiles.values() if profile.name == name]
        profile_id = matching[0].profile_id if matching else None
    return Slice(
        uuid=mig.uuid,
        gpu_uuid=gpu.uuid,
        gpu_index=gpu.index,
        profile=name,
        profile_id=profile_id,
        memory_mib=mig.memory_mib,
        gi=mig.gi,
        ci=mig.ci,
        placement=None if info is None else Placement(info.start, info.size),
    )


def _processes(uuid: str) -> list[GpuProcess]:
    device = nvml.device_by_uuid(uuid)
    if device is None:
        raise GpuFault(f"{uuid} does not exist now", fix="See launch slices for those that do.")
    compute = nvml.running(device, "Compute")
    if compute is None:
        raise GpuPermission(f"NVML does not tell the processes of {uuid} on this driver")
    # The other two kinds are unknown on some boards and drivers; a slice has them rarely.
    lists = {
        "compute": compute,
        "mps": nvml.running(device, "MPSCompute") or [],
        "graphics": nvml.running(device, "Graphics") or [],
    }
    return [GpuProcess(pid, mib, kind) for kind, rows in lists.items() for pid, mib in rows]


def _difference(expected: Slice) -> str | None:
    device = nvml.device_by_uuid(expected.uuid)
    if device is None:
        return f"{expected.uuid} does not exist now"
    if expected.gi is None:
        mode = nvml.mig_mode(device)
        return f"MIG mode is now on at {expected.uuid}" if mode and mode[0] else None
    ids = nvml.gi_and_ci(device)
    parent = nvml.parent_of(device)
    if ids is None or parent is None:
        return f"{expected.uuid} does not exist now"
    if nvml.device_uuid(parent) != expected.gpu_uuid:
        return f"{expected.uuid} is now on another GPU than {expected.gpu_uuid}"
    if ids != (expected.gi, expected.ci):
        was = f"GPU instance {expected.gi}, compute instance {expected.ci}"
        return f"{expected.uuid} was {was} and is now {ids[0]} and {ids[1]}"
    return _instance_difference(expected, device, parent)


def _instance_difference(expected: Slice, device: nvml.Handle, parent: nvml.Handle) -> str | None:
    instance = nvml.gpu_instance_by_id(parent, expected.gi or 0)
    info = None if instance is None else nvml.gpu_instance_info(instance)
    if info is None:
        name = (nvml.device_name(device) or "").partition(" MIG ")[2]
        if name and name != expected.profile:
            return f"{expected.uuid} was a {expected.profile} and is now a {name}"
        return None
    if expected.profile_id not in (None, info.profile_id):
        return (
            f"{expected.uuid} was a {expected.profile} (profile {expected.profile_id}) and has now "
            f"profile {info.profile_id}"
        )
    place = Placement(info.start, info.size)
    if expected.placement not in (None, place):
        return f"{expected.uuid} was placed at {expected.placement} and is now at {place}"
    sizes = nvml.attributes(device)
    if sizes is not None and _ci_slices(expected.profile, sizes.gi_slices) != sizes.ci_slices:
        return f"{expected.uuid} was a {expected.profile} and has now {sizes.ci_slices} slices"
    return None


def _ci_slices(profile: str, gi_slices: int) -> int:
    """Return the compute slices of a device: 1 of ``1c.3g.20gb``, all of ``3g.20gb``."""
    count, shares, _ = profile.partition("c.")
    return int(count) if shares and count.isdigit() else gi_slices
