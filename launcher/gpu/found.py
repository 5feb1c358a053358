"""The findings of a read of the GPUs: of one GPU, then of all of them."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.core.model.gpu import Gpu, Instance, Inventory, Slice
from launcher.errors import LauncherError


class GpuFindings:
    """GPUs with their instances and slices, and the warnings about them."""

    def __init__(self) -> None:
        self.gpus: list[Gpu] = []
        self.slices: list[Slice] = []
        self.instances: list[Instance] = []
        self.warnings: list[str] = []
        self.hidden: list[str] = []
        self.silent: list[tuple[str, str]] = []
        self.indexes: list[tuple[str, int]] = []
        self.lost = 0

    def uuids(self) -> Iterator[str]:
        """Yield the UUIDs of the GPUs and of their slices."""
        yield from (gpu.uuid for gpu in self.gpus)
        yield from (s.uuid for s in self.slices)

    def add(self, other: GpuFindings) -> None:
        """Add the findings of a GPU."""
        self.gpus += other.gpus
        self.slices += other.slices
        self.instances += other.instances
        self.warnings += other.warnings
        self.hidden += other.hidden
        self.indexes += other.indexes

    def add_silent(self, index: int, last: GpuFindings | None, problem: LauncherError) -> None:
        """Add a GPU that does not answer, with what was last read of it."""
        self.silent.append((last.gpus[0].uuid if last else "", problem.message))
        self.warnings.append(f"GPU {index}: {problem.message}")

    def inventory(self, driver: str) -> Inventory:
        """Return the findings as a value."""
        return Inventory(
            driver,
            tuple(self.gpus),
            tuple(self.slices),
            tuple(self.instances),
            tuple(self.warnings),
            tuple(self.hidden),
            tuple(self.silent),
            tuple(self.indexes),
            self.lost,
        )
