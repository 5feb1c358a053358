"""What is looked at again and again: NVML, Docker, orphans, the time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from launcher.config import Config
from launcher.core import event as ev
from launcher.core.ids import LABEL_ATTEMPT, LABEL_JOB
from launcher.daemon.brain import Brain
from launcher.daemon.claims import Claims
from launcher.daemon.foreign import ForeignUse
from launcher.daemon.health import Health
from launcher.daemon.proof import Prover
from launcher.engine.connection import Connection
from launcher.engine.containers import Containers
from launcher.errors import EngineError, EngineUnavailable, GpuFault, GpuUnavailable
from launcher.gpu import GpuReader

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
PING_SECONDS = 2.0
IDLE_SAMPLES = 3


@dataclass(slots=True)
class Observers:
    """The periodic looks of one daemon; each only reports, the brain decides."""

    config: Config
    brain: Brain
    connection: Connection
    containers: Containers
    gpu: GpuReader
    claims: Claims
    foreign: ForeignUse
    prover: Prover
    health: Health
    store: str
    _orphans: dict[str, float] = field(default_factory=dict)
    _idle: dict[str, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Look for ever."""
        await asyncio.gather(
            self._every(TICK_SECONDS, self._tick),
            self._every(PING_SECONDS, self._ping),
            self._every(self.config.inventory_seconds, self.look_at_gpus),
            self._every(self.config.sweep_seconds, self._sweep),
        )

    async def _every(self, seconds: float, look: Callable[[], Any]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await look()
            except Exception:
                log.exception("%s failed", look.__name__)

    async def _tick(self) -> None:
        self.brain.tell(ev.Tick())

    async def _ping(self) -> None:
        problem = await asyncio.to_thread(self.ping)
        if problem and not self.brain.world.engine_down:
            log.warning("Docker is away: %s", problem)
            self.brain.tell(ev.EngineDown(problem))
        elif not problem and self.brain.world.engine_down:
            log.warning("Docker is back")
            self.brain.tell(ev.EngineUp())
        self.health.set("engine", problem)

    def ping(self) -> str | None:
        """Return why Docker cannot be used, None where it answers."""
        try:
            self.health.docker_version = str(self.connection.version()["Version"])
        except (EngineUnavailable, EngineError) as error:
            return error.message
        return None

    async def look_at_gpus(self) -> None:
        """Read NVML and who else uses the slices, and report both."""
        leased = frozenset(
            s.slice.uuid for s in self.brain.world.slices.values() if s.lease or s.quarantine
        )
        event = await asyncio.to_thread(self._read_gpus, leased)
        self.health.set("gpu", event.message if isinstance(event, ev.InventoryFailed) else None)
        if isinstance(event, ev.InventoryRead):
            for number, warning in enumerate(event.inventory.warnings):
                self.health.set(f"gpu-{number}", warning)
        self.brain.tell(event)

    def _read_gpus(self, leased: frozenset[str]) -> ev.InventoryRead | ev.InventoryFailed:
        try:
            inventory = self.gpu.inventory()
        except (GpuUnavailable, GpuFault) as error:
            return ev.InventoryFailed(error.message)
        self.health.driver_version = inventory.driver_version
        used = self.claims.refused(inventory)
        try:
            used |= self.foreign.find(inventory, leased)
        except (EngineUnavailable, EngineError) as error:
            log.info("other containers cannot be looked at now: %s", error.message)
        self.health.set("claims", "; ".join(sorted(set(used.values()))) or None)
        return ev.InventoryRead(inventory, tuple(sorted(used.items())))

    async def _sweep(self) -> None:
        """Remove our containers that no live attempt has, after a grace (I7)."""
        await asyncio.to_thread(self._remove_orphans)
        await asyncio.to_thread(self._probe_quarantined)

    def _remove_orphans(self) -> None:
        try:
            found = self.containers.ours(self.store)
        except (EngineUnavailable, EngineError):
            return
        world, now, seen = self.brain.world, time.monotonic(), set()
        for listed in found:
            job = world.jobs.get(int(listed["Labels"].get(LABEL_JOB) or 0))
            live = job is not None and str(job.attempt) == listed["Labels"].get(LABEL_ATTEMPT)
            if live:
                continue
            container_id = listed["Id"]
            seen.add(container_id)
            since = self._orphans.setdefault(container_id, now)
            if now - since >= self.config.orphan_grace_seconds:
                log.warning("removing the orphan %s", listed["Names"])
                try:
                    self.containers.remove(container_id)
                except (EngineUnavailable, EngineError) as error:
                    log.warning("cannot remove it now: %s", error.message)
        self._orphans = {i: t for i, t in self._orphans.items() if i in seen}

    def _probe_quarantined(self) -> None:
        """End a quarantine after three idle samples."""
        states = list(self.brain.world.slices.values())
        for state in states:
            uuid = state.slice.uuid
            if not state.quarantine or state.lost:
                self._idle.pop(uuid, None)
                continue
            idle = bool(self.prover.idle_now((uuid,), ""))
            self._idle[uuid] = self._idle.get(uuid, 0) + 1 if idle else 0
            if self._idle[uuid] >= IDLE_SAMPLES:
                self.brain.tell(ev.QuarantineCleared(uuid))
