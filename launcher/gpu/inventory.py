"""Floor 2: what NVML reports, in the launcher's terms and values."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from launcher.core.model.gpu import (
    FULL,
    Gpu,
    Instance,
    Inventory,
    Placement,
    Profile,
    Slice,
    split_of,
)
from launcher.errors import (
    GpuFault,
    GpuGone,
    GpuLost,
    GpuPermission,
    GpuSilent,
    GpuUnavailable,
    LauncherError,
)
from launcher.gpu.activity import Activity, ActivityMeter
from launcher.gpu.calls import asking, nvml
from launcher.gpu.found import GpuFindings
from launcher.gpu.guard import DEADLINE_SECONDS
from launcher.gpu.session import MACHINE, Session
from launcher.gpu.verify import difference
from launcher.gpu.walk import InstanceWalk, WalkedDevice, walk

T = TypeVar("T")

SHAPE_SUFFIXES = {
    7: "+me", 8: "+me", 10: "+gfx", 11: "+gfx", 12: "+gfx", 13: "-me", 14: "-me", 15: "+me.all",
    16: "+me.all", 17: "+gfx",
}  # fmt: skip
"""The end of the profile's name, by NVML's enum of shapes."""


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that NVML shows on a device; ``memory_mib`` is None if it has no figure."""

    pid: int
    memory_mib: int | None
    kind: str


UNREAD = "a GPU that was not read yet"


class GpuReader:
    """Reads the machine's GPUs. One object serves all threads of the daemon.

    NVML is opened at the first call and stays open until ``close``. Every read has its deadline
    (``guard``): if a call hangs, callers for that GPU get GpuSilent; other GPUs are unaffected.
    """

    def __init__(self, seconds: float = DEADLINE_SECONDS) -> None:
        self.session = Session(self._forget, seconds)
        self._profiles: dict[tuple[str, bool, str], tuple[Profile, ...]] = {}
        self._walks: dict[str, InstanceWalk] = {}
        self._last: dict[int, GpuFindings] = {}
        self._index: dict[str, int] = {}
        self._activity = ActivityMeter()

    def _forget(self) -> None:
        self._profiles.clear()
        self._walks.clear()
        self._last.clear()

    def inventory(self) -> Inventory:
        """Return every GPU and slice as NVML shows them now.

        GpuUnavailable (one of its kinds) if NVML cannot be used at all. A lost GPU among others is
        left out, with a warning; if every GPU is lost, GpuLost. A GPU that does not answer, or
        refuses while others answer, is in ``silent`` with its last known data.
        """
        return self.session.retried(self._inventory)

    def processes(self, uuid: str, patience: float | None = None) -> list[GpuProcess]:
        """Return the processes on a slice (a MIG device's or a GPU's UUID).

        GpuPermission: NVML does not report them (no privilege, or not supported here), so an empty
        list would prove nothing. GpuGone: there is no such device now. GpuSilent: NVML does not
        answer, or not within ``patience`` seconds.
        """
        return self.session.read(self._lane(uuid), lambda: _processes(uuid), patience)

    def memory_used(self, uuid: str, patience: float | None = None) -> int | None:
        """Return the used memory of a slice in MiB, None if NVML does not report it.

        GpuGone, GpuSilent: as ``processes`` raises them.
        """

        def read() -> int | None:
            device = nvml.device_by_uuid(uuid)
            if device is None:
                raise GpuGone(f"{uuid} does not exist now")
            return nvml.memory_used(device)

        return self.session.read(self._lane(uuid), read, patience)

    def activity(self, slice_: Slice, patience: float | None = None) -> Activity | None:
        """Return the activity of a slice since the last call for it, None if it is unknown.

        Boards before Hopper do not report it, nor does a GPU instance that several slices share.
        GpuSilent: as ``processes`` raises it.
        """
        if slice_.memory_shared:
            return None

        def read() -> Activity | None:
            return self._activity.read(slice_, self.session.number)

        return self.session.read(self._lane(slice_.gpu_uuid), read, patience)

    def verify(self, expected: Slice) -> str | None:
        """Return None if the slice is exactly as given, otherwise the difference, as a sentence.

        MIG UUIDs recur, so UUID, GPU, GI, CI, profile and placement are all compared. If NVML
        hides profile id and placement (no privilege) the profile's name is compared instead.
        """
        return self.session.read(self._lane(expected.gpu_uuid), lambda: difference(expected))

    def driver_version(self) -> str:
        """Return the driver's version."""
        return self.session.read(MACHINE, nvml.driver_version)

    def is_stand_in(self) -> bool:
        """Return whether NVML is the fake GPU's: it has no devices that Docker could provide."""
        try:
            return asking.is_stand_in()
        except OSError:
            return False

    def device_node(self, gpu_uuid: str) -> Path | None:
        """Return the GPU's device node, None if NVML does not report its number."""

        def read() -> Path | None:
            device = nvml.device_by_uuid(gpu_uuid)
            minor = None if device is None else nvml.minor_number(device)
            return None if minor is None else Path(f"/dev/nvidia{minor}")

        return self.session.read(self._lane(gpu_uuid), read)

    def persistence(self, gpu_uuid: str) -> bool | None:
        """Return whether the GPU's persistence mode is on, None if NVML does not report it."""

        def read() -> bool | None:
            device = nvml.device_by_uuid(gpu_uuid)
            return None if device is None else nvml.persistence_mode(device)

        return self.session.read(self._lane(gpu_uuid), read)

    def capacity(self, gpu_uuid: str) -> dict[int, int | None]:
        """Return profile id -> how many more of it fit now, None if NVML does not report it."""

        def read() -> dict[int, int | None]:
            device = nvml.device_by_uuid(gpu_uuid)
            if device is None:
                raise GpuFault(f"GPU {gpu_uuid} does not exist now")
            infos = [nvml.profile_info(device, shape) for shape in range(nvml.profile_count())]
            return {i.id: nvml.remaining_capacity(device, i.id) for i in infos if i is not None}

        return self.session.read(self._lane(gpu_uuid), read)

    def changing(self, gpu_uuid: str, change: Callable[[], T]) -> T:
        """Run a change of a GPU's instances with NVML open; it is never retried."""
        return self.session.changing(self._lane(gpu_uuid), change)

    def alone(self, change: Callable[[], T]) -> T:
        """Run a change of MIG mode with NVML closed before and after it."""
        return self.session.alone(change)

    def close(self) -> None:
        """Close NVML and drop everything read; the next call opens it again."""
        self.session.close()

    def _lane(self, uuid: str) -> str:
        """Return the lane of a UUID; GpuSilent if it is unknown while a call hangs."""
        index = self._index.get(uuid)
        if index is not None:
            return f"GPU {index}"
        self.session.guard.check()
        return UNREAD

    def _inventory(self) -> Inventory:
        driver, count = self.session.guard.run(
            MACHINE, lambda: (nvml.driver_version(), nvml.device_count())
        )
        reads = [
            self.session.submit(f"GPU {i}", functools.partial(self._read_gpu, i, driver))
            for i in range(count)
        ]
        inventory = GpuFindings()
        failed: dict[int, LauncherError] = {}
        for index, read in enumerate(reads):
            try:
                self._last[index] = read.end()
                self._index |= dict.fromkeys(self._last[index].uuids(), index)
            except GpuLost as error:
                self._last.pop(index, None)
                inventory.lost += 1
                inventory.warnings.append(f"GPU {index} is lost and left out: {error.message}")
            except (GpuUnavailable, GpuFault) as error:
                failed[index] = error
        self._raise_if_nothing_is_known(failed, count)
        for index, last in sorted(self._last.items()):
            if index < count:
                inventory.add(last)
        for index, problem in failed.items():
            inventory.add_silent(index, self._last.get(index), problem)
        if count and not inventory.gpus:
            raise GpuLost(f"None of the {count} GPUs responds.", fix="Look at dmesg; reboot.")
        return inventory.inventory(driver)

    def _raise_if_nothing_is_known(self, failed: dict[int, LauncherError], count: int) -> None:
        """Raise the problem unless some GPU was read, or one that hangs was read before."""
        fresh = {i for i in self._last if i < count} - failed.keys()
        hangs = any(isinstance(e, GpuSilent) and i in self._last for i, e in failed.items())
        if failed and not fresh and not hangs:
            raise next(iter(failed.values()))

    def _read_gpu(self, index: int, driver: str) -> GpuFindings:
        findings = GpuFindings()
        device = nvml.device_at(index)
        uuid = nvml.device_uuid(device)
        if uuid is None:
            raise GpuFault(f"GPU {index} has no UUID")
        mode = nvml.mig_mode(device)
        profiles = self._read_profiles(device, uuid, mode, driver)
        pci_device_id, pci_subsystem_id = nvml.pci_ids(device)
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
            pci_device_id=pci_device_id,
            pci_subsystem_id=pci_subsystem_id,
        )
        findings.gpus.append(gpu)
        if mode and mode[0]:
            self._read_slices(device, gpu, findings)
        else:
            findings.slices.append(Slice(uuid, uuid, index, FULL, None, gpu.memory_mib))
        if mode and mode[0] != mode[1]:
            current, pending = ("on" if on else "off" for on in mode)
            findings.warnings.append(
                f"GPU {index} ({uuid}): MIG mode is {current} and will be {pending} "
                "after a reset of the GPU or a reboot"
            )
        return findings

    def _read_profiles(
        self, device: nvml.Handle, uuid: str, mode: tuple[bool, bool] | None, driver: str
    ) -> tuple[Profile, ...]:
        """Read once per MIG mode and driver: NVML promises that they are constant within it."""
        if mode is None:
            return ()
        key = (uuid, mode[0], driver)
        profiles = self._profiles.get(key)
        if profiles is None:
            profiles = _query_profiles(device)
            for other in [k for k in list(self._profiles) if k[0] == uuid]:
                self._profiles.pop(other, None)
            self._profiles[key] = profiles
        return profiles

    def _read_slices(self, device: nvml.Handle, gpu: Gpu, findings: GpuFindings) -> None:
        before = self._walks.get(gpu.uuid)
        seen = self._walks[gpu.uuid] = walk(device, gpu.profiles, before)
        if seen.instances is None:
            findings.hidden.append(gpu.uuid)
        profiles = {profile.profile_id: profile for profile in gpu.profiles}
        findings.slices.extend(_slice(gpu, profiles, mig, seen) for mig in seen.devices)
        findings.indexes.extend((mig.uuid, mig.index) for mig in seen.devices)
        findings.instances.extend(
            Instance(
                gpu.uuid,
                info.gi,
                profiles[info.profile_id].name if info.profile_id in profiles else "?",
                info.profile_id,
                Placement(info.start, info.size),
            )
            for info in seen.instances or ()
        )
        if seen.instances is None:
            findings.warnings.append(
                f"GPU {gpu.index} ({gpu.uuid}): without privileges NVML reports neither placements "
                "nor GPU instances without a compute instance"
            )


def _query_profiles(device: nvml.Handle) -> tuple[Profile, ...]:
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
    placements = nvml.possible_placements(device, profile_id)
    return (
        None if placements is None else tuple(Placement(start, size) for start, size in placements)
    )


def profile_name(info: nvml.ProfileInfo, total_mib: int) -> str:
    """Return the name of a profile whose driver does not report it, as nvidia-smi would print it.

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


def _slice(gpu: Gpu, profiles: dict[int, Profile], mig: WalkedDevice, seen: InstanceWalk) -> Slice:
    info = seen.instance(mig.gi)
    shares = mig.ci_slices < mig.gi_slices or seen.devices_of(mig.gi) > 1
    part = f"{mig.ci_slices}c." if shares else ""
    size = _name_gb(mig.memory_mib, gpu.memory_mib)
    name = mig.profile_name or f"{part}{mig.gi_slices}g.{size}gb"
    profile_id: int | None = None
    if info is not None:
        profile_id = info.profile_id
    if profile_id in profiles:
        name = part + profiles[profile_id].name
    elif profile_id is None:
        matching = [profile for profile in profiles.values() if profile.name == split_of(name)[1]]
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
        raise GpuGone(f"{uuid} does not exist now", fix="See launch slices for those that do.")
    compute = nvml.running(device, "Compute")
    if compute is None:
        raise GpuPermission(f"NVML does not report the processes of {uuid} with this driver")
    # The other two kinds are unknown on some boards and drivers, and rare on slices.
    lists = {
        "compute": compute,
        "mps": nvml.running(device, "MPSCompute") or [],
        "graphics": nvml.running(device, "Graphics") or [],
    }
    return [GpuProcess(pid, mib, kind) for kind, rows in lists.items() for pid, mib in rows]
