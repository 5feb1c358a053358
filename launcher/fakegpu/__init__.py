"""A GPU machine without a GPU: a strict stand-in for libnvidia-ml.so.1, and a sandboxed Docker.

The library (``native/``, C) implements NVML's binary interface and refuses what a real GPU refuses.
Its state is one file that every process maps. This room imports no pynvml, no docker and no other
room; of the launcher only ``launcher.errors``.

The stable interface for other rooms::

    parse_spec("A30:1g.6gb*4,H100-80GB:3g.40gb/1g.10gb*2,T4") -> list[BoardSpec]
    build_library(directory) -> Path               # compiled once with $CC or cc
    machine = Machine.create(directory, spec)      # the same spec: the same machine
    machine = Machine.open(directory)
    machine.load()                                 # this process: nvmlInit now finds the fake
    machine.environment() -> dict[str, str]        # another process: LD_LIBRARY_PATH and state
    machine.add_process(uuid, pid) ...             # scripting: see script.Script
    launcher.fakegpu.sandbox.Sandbox(directory)    # a private dockerd with a stub NVIDIA hook

In a spec a comma separates GPUs; after ``:`` a layout joins profiles with ``/``, each with ``*n``.
``1c.3g.20gb*3`` is one 3g.20gb with three compute instances. A MIG-capable board without ``:`` has
MIG mode off; with a bare ``:`` MIG mode is on and the board is empty.
"""

from __future__ import annotations

from launcher.fakegpu.build import build_library
from launcher.fakegpu.instances import FakeInstance
from launcher.fakegpu.machine import Machine
from launcher.fakegpu.spec import BoardSpec, parse_spec

__all__ = ["BoardSpec", "FakeInstance", "Machine", "build_library", "parse_spec"]
