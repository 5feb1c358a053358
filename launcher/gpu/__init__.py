"""NVML, and only here: what GPUs, slices and processes there are.

Floor 1 is ``nvml`` (one function per C call, return code to exception), floor 2 ``inventory`` (our
words, our values) with ``walk`` under it and ``events`` (XIDs) beside it; both go through
``session`` (NVML is opened once) and ``guard`` (a call that hangs holds up nobody else). ``carve``
carries out the steps of a layout change; ``locks`` claims a GPU for one daemon, ``refresh`` has
device nodes and CDI follow a change. Nobody above sees an NVML handle, and ``pynvml`` is imported
at the first call. May import
``launcher.core.model.gpu`` and ``launcher.errors``; never store, engine or daemon.
"""

from __future__ import annotations

from launcher.gpu.carve import Carver, ResetNeeded
from launcher.gpu.events import Events
from launcher.gpu.inventory import GpuProcess, GpuReader
from launcher.gpu.locks import GpuClaim, claim, claim_device

__all__ = [
    "Carver",
    "Events",
    "GpuClaim",
    "GpuProcess",
    "GpuReader",
    "ResetNeeded",
    "claim",
    "claim_device",
]
