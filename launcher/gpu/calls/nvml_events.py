"""Floor 1, events: NVML reports XIDs to a waiting thread. Earlier events are not replayed."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from launcher.gpu.calls import asking, nvml

XID = 0x8
"""nvmlEventTypeXidCriticalError."""

NOT_A_MIG_ID = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Raised:
    """An XID: its GPU (``address`` of the handle), and its instances, None for all."""

    address: int
    number: int
    gi: int | None
    ci: int | None


def event_set() -> nvml.Handle:
    """Return a new event set; it is valid until NVML is closed."""
    return asking.query("nvmlEventSetCreate")


def free(events: nvml.Handle) -> None:
    """Free an event set; an event set that is already gone is not an error."""
    asking.query("nvmlEventSetFree", events, unknown=asking.GONE | {asking.UNINITIALIZED})


def register(gpu: nvml.Handle, events: nvml.Handle) -> bool:
    """Report a GPU's XIDs to the set; False if this GPU reports none.

    GpuFault or GpuPermission if the driver refuses.
    """
    call = "nvmlDeviceGetSupportedEventTypes"
    supported = asking.query(call, gpu, unknown=asking.UNKNOWABLE | {asking.NO_PERMISSION})
    if supported is None or not int(supported) & XID:
        return False
    asking.query("nvmlDeviceRegisterEvents", gpu, XID, events)
    return True


def wait(events: nvml.Handle, milliseconds: int) -> Raised | None:
    """Return the next XID, None if none came in time."""
    reply = asking.query(
        "nvmlEventSetWait_v2", events, milliseconds, unknown=frozenset({asking.TIMEOUT})
    )
    if reply is None or not int(reply.eventType) & XID:
        return None
    gi, ci = (
        None if instance_id == NOT_A_MIG_ID else int(instance_id)
        for instance_id in (reply.gpuInstanceId, reply.computeInstanceId)
    )
    return Raised(address(reply.device), int(reply.eventData), gi, ci)


def address(gpu: nvml.Handle) -> int:
    """Return what distinguishes a GPU's handle from others while NVML is open."""
    return ctypes.cast(gpu, ctypes.c_void_p).value or 0
