"""Checks slices right before a start: they must be the leased ones, and free."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.core.messages.events import StartFailure
from launcher.core.model.gpu import Slice
from launcher.daemon.attempts.start_errors import NotStarted
from launcher.daemon.machine.foreign_allowlist import ForeignAllowlist
from launcher.daemon.machine.foreign_use import ForeignUse
from launcher.engine.outcome import Refused, Unknown
from launcher.errors import EngineUnavailable, GpuFault, GpuPermission, GpuUnavailable
from launcher.gpu import GpuReader


@dataclass(frozen=True, slots=True)
class SliceCheck:
    """Queries NVML and Docker about slices; ``allowed`` processes do not count as use."""

    gpu: GpuReader
    foreign: ForeignUse
    allowed: ForeignAllowlist

    def check(self, slices: tuple[Slice, ...]) -> None:
        """Refuse a slice that differs from the leased one, or that is in use (I12)."""
        for s in slices:
            try:
                if changed := self.gpu.verify(s):
                    raise NotStarted(StartFailure.SLICE_CHANGED, changed, slice_=s.uuid)
                users = self.allowed.others(self.gpu.processes(s.uuid))
            except GpuPermission:
                continue
            except GpuUnavailable as away:
                raise NotStarted(StartFailure.GPU_AWAY, away.message, slice_=s.uuid) from away
            except GpuFault as error:
                raise NotStarted(StartFailure.INFRA, error.message, slice_=s.uuid) from error
            if users:
                pids = ", ".join(str(p.pid) for p in users)
                raise NotStarted(StartFailure.FOREIGN, f"is used by process {pids}", slice_=s.uuid)
        if slices:
            self._check_containers(slices)

    def _check_containers(self, slices: tuple[Slice, ...]) -> None:
        """Refuse a slice that a foreign container got since the last poll; takes about 1 ms."""
        try:
            used = self.foreign.by_containers(slices)
        except (EngineUnavailable, Unknown, Refused) as away:
            raise NotStarted(StartFailure.ENGINE_AWAY, away.message) from away
        for uuid, how in used.items():
            raise NotStarted(StartFailure.FOREIGN, how, slice_=uuid)
