"""What every measurement stands on: one sandboxed dockerd, one daemon, four slices."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher.fakegpu import Machine
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import GpuRequest
from tests.support.daemon import BUSYBOX, DaemonProcess

SLICES = 4
ONE = GpuRequest(kind="profile", profile="1g.6gb")


@dataclass(frozen=True, slots=True)
class Stand:
    """A machine to measure on."""

    place: Path
    sandbox: Sandbox
    daemon: DaemonProcess
    uuids: list[str]


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table: two times of one run and the budget for their ratio."""

    name: str
    what: str
    ours: float
    theirs: float
    budget: float
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """Ours divided by theirs."""
        return self.ours / self.theirs


@contextlib.contextmanager
def stand() -> Iterator[Stand]:
    """Start the sandbox and a daemon with the settings that users get."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        place = Path(name)
        with Sandbox(place / "sandbox") as sandbox:
            sandbox.import_busybox(BUSYBOX)
            machine = Machine.create(place / "machine", f"A30:1g.6gb*{SLICES}")
            daemon = DaemonProcess(sandbox.docker_host, machine, place / "state", config="")
            try:
                daemon.start()
                yield Stand(place, sandbox, daemon, machine.mig_uuids())
            finally:
                daemon.close()
