"""The only room that calls NVML: the GPUs, slices and processes that exist.

Floor 1 is ``nvml`` (one function per C call, return code to exception), floor 2 ``inventory`` (the
launcher's terms and values) with ``walk`` under it and ``events`` (XIDs) beside it. Both go through
``session`` (NVML is opened once) and ``guard`` (a call that hangs blocks no other caller).
``carve`` carries out the steps of a layout change; ``locks`` claims a GPU for one daemon;
``activity`` compares samples of GPM. ``refresh`` updates device nodes and CDI after a change. NVML
handles do not leave this package, and ``pynvml`` is imported at the first call. May import
``launcher.core.model.gpu`` and ``launcher.errors``; never store, engine or daemon.
"""

from __future__ import annotations

from launcher.gpu.activity import Activity
from launcher.gpu.carve import Carver, ResetNeeded
from launcher.gpu.events import Events
from launcher.gpu.inventory import GpuProcess, GpuReader
from launcher.gpu.locks import GpuClaim, claim, claim_device

__all__ = [
    "Activity",
    "Carver",
    "Events",
    "GpuClaim",
    "GpuProcess",
    "GpuReader",
    "ResetNeeded",
    "claim",
    "claim_device",
]
