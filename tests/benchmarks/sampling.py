"""What it costs to sample the use of a large machine's slices all the time."""

from __future__ import annotations

from launcher.fakegpu import Machine
from tests.benchmarks.processor import share_of_core
from tests.benchmarks.setup import Result, Stand
from tests.support.daemon import DaemonProcess

GPUS = ",".join(["H100-80GB:1g.10gb*7"] * 8)
SLICES = 56
NOWHERE = "unix:///nonexistent/docker.sock"


def sampling(stand: Stand) -> Result:
    """A daemon that has nothing to do but to look at its slices, by NVML's fake library."""
    machine = Machine.create(stand.place / "sampling-machine", GPUS)
    daemon = DaemonProcess(NOWHERE, machine, stand.place / "sampling-state", config="").start()
    try:
        assert len(daemon.client.slices()) == SLICES
        assert daemon.process is not None
        (share,) = share_of_core(daemon.process.pid)
    finally:
        daemon.close()
    what = f"an idle daemon that samples {SLICES} slices / a twentieth of a core"
    return Result("sampling", what, share, 0.05, 1.0)
