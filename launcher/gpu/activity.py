"""The activity of slices between two looks, by NVML's GPM samples."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field

from launcher.core.model.gpu import Slice
from launcher.errors import LauncherError
from launcher.gpu.calls import asking, nvml, nvml_gpm

LEAST_SECONDS = 0.2
"""Samples that are closer together are not compared: NVML wants more than 100 ms."""


@dataclass(frozen=True, slots=True)
class Activity:
    """For how much of the last ``seconds`` something ran on a slice, in percent."""

    percent: float
    seconds: float


@dataclass(slots=True)
class _Samples:
    """The last sample of one GPU instance, and a buffer for the next."""

    identity: tuple[object, ...] = ()
    last: nvml.Handle | None = None
    spare: nvml.Handle | None = None
    at: float | None = None
    """When ``last`` was taken (time.monotonic()), None if it cannot be compared."""


@dataclass(slots=True)
class _GpuSamples:
    opening: int
    supported: bool | None = None
    instances: dict[int | None, _Samples] = field(default_factory=dict)
    """By the id of the GPU instance, None for a whole GPU."""


class ActivityMeter:
    """Keeps two samples of each GPU instance. The calls for one GPU must be made in one thread."""

    def __init__(self) -> None:
        self._gpus: dict[str, _GpuSamples] = {}

    def read(self, slice_: Slice, opening: int) -> Activity | None:
        """Return the activity since the last call for this slice, None if it is unknown.

        ``opening`` is the number of NVML's opening. Raises what ``asking.query`` raises.
        """
        gpu = self._gpus.setdefault(slice_.gpu_uuid, _GpuSamples(opening))
        if gpu.opening != opening:
            self._gpus[slice_.gpu_uuid] = _GpuSamples(opening)
            _free(gpu)
            gpu = self._gpus[slice_.gpu_uuid]
        device = nvml.device_by_uuid(slice_.gpu_uuid)
        if device is None:
            return None
        if gpu.supported is None:
            gpu.supported = nvml_gpm.is_supported(device)
        if not gpu.supported:
            return None
        return _compared(device, slice_, gpu.instances.setdefault(slice_.gi, _Samples()))


def _compared(device: nvml.Handle, slice_: Slice, samples: _Samples) -> Activity | None:
    """Take a sample, and compare it with the last one of the same instance."""
    now = time.monotonic()
    before = samples.at if samples.identity == slice_.identity else None
    if before is not None and now - before < LEAST_SECONDS:
        return None
    samples.at, samples.identity = None, slice_.identity
    if samples.spare is None:
        samples.spare = nvml_gpm.allocated()
    if samples.spare is None or not _taken(device, slice_.gi, samples.spare):
        return None
    first, second = samples.last, samples.spare
    samples.last, samples.spare, samples.at = second, first, now
    if before is None or first is None:
        return None
    percent = nvml_gpm.graphics_percent(first, second)
    return None if percent is None else Activity(percent, now - before)


def _taken(device: nvml.Handle, gi: int | None, sample: nvml.Handle) -> bool:
    if gi is None:
        return nvml_gpm.sample_gpu(device, sample)
    return nvml_gpm.sample_instance(device, gi, sample)


def _free(gpu: _GpuSamples) -> None:
    """Free the buffers from before NVML was opened again."""
    for samples in gpu.instances.values():
        for buffer in (samples.last, samples.spare):
            if buffer is not None:
                with contextlib.suppress(LauncherError, asking.NvmlClosed):
                    nvml_gpm.free(buffer)
