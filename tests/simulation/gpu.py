"""The GPUs of a simulated machine: slices that come and go, and processes on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from launcher.core.model.gpu import Inventory, Slice
from launcher.errors import GpuFault, GpuLost, GpuPermission, GpuUnavailable
from launcher.gpu import GpuProcess
from tests.simulation.docker import FakeDocker
from tests.support.builders import a30, mig


@dataclass
class FakeGpu:
    """``gpu.GpuReader`` over the truth about what runs."""

    docker: FakeDocker
    slices: dict[str, Slice] = field(default_factory=dict)
    foreign: dict[str, int] = field(default_factory=dict)
    """Slice UUID -> the pid of somebody else on it."""
    down: str | None = None
    hides: bool = False
    """NVML does not list processes."""

    def __post_init__(self) -> None:
        for uuid in ("GPU-a", "GPU-b"):
            for number in range(2):
                made = mig(number, gpu=uuid)
                self.slices[made.uuid] = made
            made = mig(2, "2g.12gb", gpu=uuid, start=2)
            self.slices[made.uuid] = made

    def inventory(self) -> Inventory:
        self._answers()
        gpus = tuple(replace(a30(uuid), index=i) for i, uuid in enumerate(("GPU-a", "GPU-b")))
        return Inventory("580.95.05", gpus, tuple(self.slices.values()))

    def processes(self, uuid: str, patience: float | None = None) -> list[GpuProcess]:
        self._answers()
        if uuid not in self.slices:
            raise GpuFault(f"{uuid} does not exist now")
        if self.hides:
            raise GpuPermission("NVML does not report the processes")
        found = [GpuProcess(pid, 100, "compute") for _, pid in self.docker.users(uuid)]
        if uuid in self.foreign:
            found.append(GpuProcess(self.foreign[uuid], 100, "compute"))
        return found

    def memory_used(self, uuid: str, patience: float | None = None) -> int | None:
        self._answers()
        return 0 if uuid in self.slices else None

    def activity(self, slice_: Slice, patience: float | None = None) -> None:
        self._answers()

    def verify(self, expected: Slice) -> str | None:
        self._answers()
        seen = self.slices.get(expected.uuid)
        if seen is None:
            return f"{expected.uuid} does not exist now"
        return None if seen.identity == expected.identity else f"{expected.uuid} is another now"

    def is_stand_in(self) -> bool:
        return False

    def device_node(self, gpu_uuid: str) -> Path | None:
        return None

    def changing(self, gpu_uuid: str, change: Callable[[], Any]) -> Any:
        return change()

    def _answers(self) -> None:
        if self.down:
            raise GpuLost(self.down) if "lost" in self.down else GpuUnavailable(self.down)
