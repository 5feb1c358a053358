"""Floor 1, the calls that change a GPU: made once, never retried automatically.

The caller interprets a refusal: IN_USE and INSUFFICIENT_RESOURCES come as ``ChangeRefused``, with
NVML's code; everything else as in ``nvml``.
"""

from __future__ import annotations

from typing import Any

from launcher.errors import GpuFault
from launcher.gpu.calls import asking, nvml

IN_USE = asking.IN_USE
RESET_REQUIRED = 16
INSUFFICIENT_RESOURCES = 23


class ChangeRefused(GpuFault):
    """NVML refused a change, and changed nothing."""

    kind = "gpu-refused"

    def __init__(self, call: str, code: int) -> None:
        self.code = code
        super().__init__(f"NVML refused {call}: {asking.code_name(code)}")


def _change(call: str, *arguments: Any) -> Any:
    pynvml = asking.pynvml_module()
    asking.record_call(call)
    try:
        return getattr(pynvml, call)(*arguments)
    except pynvml.NVMLError as error:
        code = int(error.value)
    if code in (IN_USE, INSUFFICIENT_RESOURCES, *asking.GONE):
        raise ChangeRefused(call, code)
    raise asking.error_for(call, code)


def set_mig_mode(device: nvml.Handle, *, on: bool) -> int:
    """Switch MIG mode; returns the activation status: 0, IN_USE or RESET_REQUIRED.

    NVML reports success even if the mode did not change: only the status shows it.
    """
    return int(_change("nvmlDeviceSetMigMode", device, int(on)))


def create_gpu_instance(device: nvml.Handle, profile_id: int, start: int, size: int) -> nvml.Handle:
    """Create a GPU instance of a profile (its id) at a placement."""
    pynvml = asking.pynvml_module()
    placement = pynvml.c_nvmlGpuInstancePlacement_t(start, size)
    return _change(
        "nvmlDeviceCreateGpuInstanceWithPlacement", device, profile_id, pynvml.byref(placement)
    )


def destroy_gpu_instance(instance: nvml.Handle) -> None:
    """Destroy a GPU instance that has no compute instance and no process."""
    _change("nvmlGpuInstanceDestroy", instance)


def create_compute_instance(instance: nvml.Handle, profile_id: int) -> nvml.Handle:
    """Create a compute instance of a profile (its id) in a GPU instance."""
    return _change("nvmlGpuInstanceCreateComputeInstance", instance, profile_id)


def destroy_compute_instance(instance: nvml.Handle) -> None:
    """Destroy a compute instance that no process uses."""
    _change("nvmlComputeInstanceDestroy", instance)
