"""Carries out single steps of a layout change: each checks first, makes one change, and reports.

A step whose work is already done changes nothing, so that it can be repeated after a crash. A step
that fails undoes its own changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from launcher.core.model.gpu import Placement
from launcher.errors import GpuFault, LauncherError
from launcher.gpu.calls import asking, nvml, nvml_change, nvml_compute
from launcher.gpu.calls.nvml_change import IN_USE, RESET_REQUIRED, ChangeRefused
from launcher.gpu.holders import Holder, holders_of
from launcher.gpu.inventory import GpuReader

T = TypeVar("T")

IN_USE_SECONDS = 5.0
"""A process that has just ended can keep an instance busy this long, but not longer."""


class ResetNeeded(GpuFault):
    """MIG mode is set, but takes effect only with a reset of the GPU or a reboot."""

    kind = "gpu-reset-needed"


@dataclass(frozen=True, slots=True)
class Carver:
    """Changes GPUs. ``reader`` is the daemon's own, closed while a mode changes."""

    reader: GpuReader

    def create(
        self, gpu_uuid: str, profile_id: int, placement: Placement, cut: tuple[int, ...] = ()
    ) -> tuple[int, bool]:
        """Create a GPU instance at a placement, with compute instances of these compute slices.

        Without ``cut`` it has one over all. Returns the GPU instance's id, and False if it already
        existed: then it is foreign.
        """
        return self.reader.changing(gpu_uuid, lambda: _create(gpu_uuid, profile_id, placement, cut))

    def complete(self, gpu_uuid: str, gi: int, cut: tuple[int, ...] = ()) -> int:
        """Create the missing compute instances of ``cut`` in a GPU instance, or the one over all.

        Returns the GPU instance's id.
        """

        def complete() -> int:
            instance = nvml.gpu_instance_by_id(_gpu(gpu_uuid), gi)
            if instance is None:
                raise GpuFault(f"GPU instance {gi} no longer exists")
            _fill(instance, cut)
            return gi

        return self.reader.changing(gpu_uuid, complete)

    def destroy(self, gpu_uuid: str, gi: int, profile_id: int, placement: Placement) -> None:
        """Destroy a GPU instance, its compute instances first; refused while it is in use."""
        self.reader.changing(gpu_uuid, lambda: _destroy(gpu_uuid, gi, profile_id, placement))

    def set_mode(self, gpu_uuid: str, *, on: bool) -> None:
        """Switch MIG mode. ``ResetNeeded`` if it is only pending. GpuFault names the processes in
        the way; the pending mode is then reset."""
        self.reader.alone(lambda: _set_mode(gpu_uuid, on))


def _gpu(uuid: str) -> nvml.Handle:
    device = nvml.device_by_uuid(uuid)
    if device is None:
        raise GpuFault(f"GPU {uuid} does not exist now")
    return device


def _at(device: nvml.Handle, profile_id: int, placement: Placement) -> nvml.Handle | None:
    for instance in nvml.gpu_instances(device, profile_id, 16) or []:
        info = nvml.gpu_instance_info(instance)
        if info is not None and (info.start, info.size) == (placement.start, placement.size):
            return instance
    return None


def _create(
    gpu_uuid: str, profile_id: int, placement: Placement, cut: tuple[int, ...]
) -> tuple[int, bool]:
    device = _gpu(gpu_uuid)
    instance = _at(device, profile_id, placement)
    created = instance is None
    if instance is None:
        if nvml.remaining_capacity(device, profile_id) == 0:
            raise GpuFault(f"NVML has no room for another instance of profile {profile_id}")
        instance = _retrying(
            lambda: nvml_change.create_gpu_instance(
                device, profile_id, placement.start, placement.size
            )
        )
    info = nvml.gpu_instance_info(instance)
    try:
        if info is None:
            raise GpuFault("the GPU instance disappeared after its creation")
        _fill(instance, cut)
    except LauncherError:
        if created:
            list(_destroy_instances(instance))
        raise
    return info.gi, created


def _fill(instance: nvml.Handle, cut: tuple[int, ...]) -> None:
    """Create the missing compute instances of ``cut``; if it is empty, one over all."""
    existing = nvml_compute.compute_instances(instance)
    offered = nvml_compute.compute_profiles(instance)
    if not offered:
        raise GpuFault("NVML reports no compute instance profile for the GPU instance")
    if not cut:
        lacking = [] if existing else [max(slices for _, slices, _ in offered)]
    else:
        had = Counter(slices for _, slices, _ in existing)
        lacking = sorted((Counter(cut) - had).elements(), reverse=True)
    for size in lacking:
        profile = next((number for number, slices, _ in offered if slices == size), None)
        if profile is None:
            raise GpuFault(f"NVML offers no compute instance of {size} slices in this GPU instance")
        _retrying(lambda number=profile: nvml_change.create_compute_instance(instance, number))  # type: ignore[misc]


def _destroy_instances(instance: nvml.Handle) -> Iterator[int]:
    """Destroy a GPU instance after its compute instances; yields the profile id of each of those.

    A yielded instance is gone whatever happens next, and can be restored.
    """
    for profile_id, _, compute in nvml_compute.compute_instances(instance):
        _retrying(lambda handle=compute: nvml_change.destroy_compute_instance(handle))  # type: ignore[misc]
        yield profile_id
    _retrying(lambda: nvml_change.destroy_gpu_instance(instance))


def _recreate(instance: nvml.Handle, gone: list[int]) -> None:
    """Create compute instances of these profile ids again."""
    for number in gone:
        _retrying(lambda profile=number: nvml_change.create_compute_instance(instance, profile))  # type: ignore[misc]


def _destroy(gpu_uuid: str, gi: int, profile_id: int, placement: Placement) -> None:
    device = _gpu(gpu_uuid)
    instance = nvml.gpu_instance_by_id(device, gi)
    info = None if instance is None else nvml.gpu_instance_info(instance)
    if info is None:
        return
    if (info.profile_id, info.start) != (profile_id, placement.start):
        raise GpuFault(
            f"GPU instance {gi} has changed (profile {info.profile_id} at {info.start}): "
            "the layout was changed meanwhile"
        )
    gone: list[int] = []
    try:
        gone.extend(_destroy_instances(instance))
    except ChangeRefused as refused:
        if refused.code in asking.GONE:
            return
        _recreate(instance, gone)
        raise _in_use(device, gpu_uuid, refused, gi) from refused
    except LauncherError:
        _recreate(instance, gone)
        raise


def _set_mode(gpu_uuid: str, on: bool) -> None:
    device = _gpu(gpu_uuid)
    if nvml.mig_mode(device) == (on, on):
        return
    status = nvml_change.set_mig_mode(device, on=on)
    now = nvml.mig_mode(device)
    if status == 0 and now == (on, on):
        return
    if status == RESET_REQUIRED or (status == 0 and now is not None and now[1] == on):
        index = nvml.device_index(device)
        raise ResetNeeded(
            f"MIG mode {'on' if on else 'off'} of GPU {index} takes effect after a reboot, or "
            f"after `nvidia-smi --gpu-reset -i {index}` where the machine can do that"
        )
    nvml_change.set_mig_mode(device, on=not on)
    code = status or IN_USE
    raise _in_use(device, gpu_uuid, ChangeRefused("nvmlDeviceSetMigMode", code), None)


def _in_use(
    device: nvml.Handle, gpu_uuid: str, refused: ChangeRefused, gi: int | None
) -> LauncherError:
    if refused.code != IN_USE:
        return refused
    result = holders_of(_processes(device, gi), nvml.minor_number(device))
    holders = "; ".join(map(str, result)) or "no visible process"
    subject = f"GPU instance {gi}" if gi is not None else "the GPU"
    return GpuFault(
        f"{subject} is in use: {holders}",
        fix="End it, then try again. Services such as nvidia-persistenced, dcgm and a display "
        "manager also keep a GPU open.",
    )


def _processes(device: nvml.Handle, gi: int | None) -> list[int]:
    """Return the pids that NVML shows on a GPU, or on the MIG devices of one GPU instance."""
    devices = [device]
    if gi is not None:
        migs = (nvml.mig_device_at(device, i) for i in range(nvml.max_mig_devices(device)))
        devices = [m for m in migs if m is not None and (nvml.gi_and_ci(m) or (None,))[0] == gi]
    rows = [nvml.running(d, kind) or [] for d in devices for kind in ("Compute", "Graphics")]
    return sorted({pid for row in rows for pid, _ in row})


def _retrying(change: Callable[[], T]) -> T:
    """Make a change; retry it for a while if NVML says IN_USE."""
    import tenacity

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(
            lambda e: isinstance(e, ChangeRefused) and e.code == IN_USE
        ),
        stop=tenacity.stop_after_delay(IN_USE_SECONDS),
        wait=tenacity.wait_exponential(multiplier=0.1, max=1.0),
        reraise=True,
    )
    return retrying(change)


__all__ = ["Carver", "Holder", "ResetNeeded"]
