"""NVML, and only here: what GPUs, slices and processes there are.

Floor 1 is ``nvml`` (one function per C call, return code to exception), floor 2 ``inventory`` (our
words, our values) with ``walk`` under it; ``locks`` claims a GPU for one daemon. Nobody above sees
an NVML handle, and ``pynvml`` is imported at the first call. May import ``launcher.core.gpu`` and
``launcher.errors``; never store, engine or daemon.
"""

from __future__ import annotations

from launcher.gpu.inventory import GpuProcess, GpuReader
from launcher.gpu.locks import GpuClaim, claim, claim_device

__all__ = ["GpuClaim", "GpuProcess", "GpuReader", "claim", "claim_device"]
