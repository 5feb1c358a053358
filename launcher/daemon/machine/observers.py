"""Periodic observations: NVML, Docker, orphaned containers, the time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from launcher.config.settings import Config
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action, RemoveContainer
from launcher.core.model.ids import LABEL_ATTEMPT, LABEL_JOB
from launcher.daemon.loop import clock
from launcher.daemon.loop.committer import Committer
from launcher.daemon.loop.event_loop import EventLoop
from launcher.daemon.loop.health import Health
from launcher.daemon.loop.logging_setup import about
from launcher.daemon.loop.threads import in_thread
from launcher.daemon.machine import device_numbers
from launcher.daemon.machine import image_owners as images
from launcher.daemon.machine.foreign_allowlist import NOBODY, ForeignAllowlist
from launcher.daemon.machine.foreign_use import ForeignUse
from launcher.daemon.machine.gpu_claims import GpuClaims
from launcher.daemon.machine.idle_check import IdleCheck
from launcher.daemon.machine.image_owners import UnusedImages
from launcher.daemon.machine.job_network import keep_network
from launcher.engine.containers import Containers
from launcher.engine.images import Images
from launcher.errors import (
    EngineError,
    EngineUnavailable,
    GpuFault,
    GpuUnavailable,
    LauncherError,
)
from launcher.gpu import GpuReader
from launcher.store import Reader

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
PING_SECONDS = 2.0
FOREIGN_SECONDS = 1.0
IDLE_SAMPLES = 3
IMAGES_SECONDS = 3600.0
"""The interval of the search for recorded images that are gone."""
UNUSED_IMAGES_SECONDS = 300.0


@dataclass(slots=True, kw_only=True)
class Observers:
    """The periodic observations of one daemon; each only reports, the event loop decides."""

    config: Config
    event_loop: EventLoop
    containers: Containers
    images: Images
    gpu: GpuReader
    claims: GpuClaims
    foreign: ForeignUse
    idle_check: IdleCheck
    health: Health
    committer: Committer
    dispatch: Callable[[Action], None]
    store: str
    sample: Callable[[list[str]], Awaitable[None]]
    """Samples the use of slices, by their UUIDs."""
    allowed: ForeignAllowlist = NOBODY
    _orphans: dict[str, float] = field(default_factory=dict)
    _idle: dict[str, int] = field(default_factory=dict)
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _numbers: str = field(init=False)
    _unused: UnusedImages = field(init=False)

    def __post_init__(self) -> None:
        self._unused = UnusedImages(self.images)
        self._numbers = self.foreign.numbers.text()  # as loaded from the store

    async def run(self) -> None:
        """Observe until cancelled."""
        await self._keep_network()
        await asyncio.gather(
            self._every(TICK_SECONDS, self._tick),
            self._every(PING_SECONDS, self._ping),
            self._every(self.config.inventory_seconds, self._poll_gpus),
            self._every(FOREIGN_SECONDS, self._look_again_at_foreign),
            self._every(self.config.sweep_seconds, self._sweep),
            self._every(IMAGES_SECONDS, self._forget_images),
            self._every(UNUSED_IMAGES_SECONDS, self._remove_unused_images),
            self._every(self.config.history.every, self._keep_image_space),
        )

    async def _every(self, seconds: float, look: Callable[[], Any]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await look()
            except Exception:
                log.exception("%s failed", look.__name__)

    async def _tick(self) -> None:
        self.event_loop.post(ev.Tick())

    async def _ping(self) -> None:
        problem = await in_thread("ping", self.ping)
        if problem and not self.event_loop.world.engine_down:
            self.event_loop.post(ev.EngineDown(problem))
        elif not problem and self.event_loop.world.engine_down:
            self.event_loop.post(ev.EngineUp())
        self.health.set("engine", problem)

    def ping(self) -> str | None:
        """Return why Docker cannot be used, None if it answers."""
        try:
            self.health.docker_version = self.containers.engine_version()
        except (EngineUnavailable, EngineError) as error:
            return error.message
        return None

    async def _look_again_at_foreign(self) -> None:
        """Observe sooner if a job may be waiting for foreign use to end."""
        world = self.event_loop.world
        if len(world.queue) and any(s.foreign for s in world.slices.values()):
            await self.look_at_gpus()

    async def _poll_gpus(self) -> None:
        """Report the GPUs, then sample the use of their slices: no decision waits for that."""
        event = await self.look_at_gpus()
        if isinstance(event, ev.InventoryRead):
            await self.sample([each.uuid for each in event.inventory.slices])

    async def look_at_gpus(self) -> ev.InventoryRead | ev.InventoryFailed:
        """Read NVML and the foreign use of slices; report both and return the report."""
        async with self._looking:  # an older report never follows a newer one
            return await self._look_now()

    async def _look_now(self) -> ev.InventoryRead | ev.InventoryFailed:
        leased = frozenset(
            s.slice.uuid for s in self.event_loop.world.slices.values() if s.lease or s.quarantine
        )
        watched = self._watched_for_idleness()
        event = await in_thread("gpus", lambda: self._read_gpus(leased, watched))
        await self._remember_numbers()
        self.health.set("gpu", event.message if isinstance(event, ev.InventoryFailed) else None)
        if isinstance(event, ev.InventoryRead):
            self.health.set("gpu-warnings", "; ".join(event.inventory.warnings) or None)
        self.event_loop.post(event)
        return event

    async def _remember_numbers(self) -> None:
        """Store the meanings of foreign containers' numbers, for the next daemon.

        If that fails they are unknown after a restart, and more slices count as used.
        """
        text = self.foreign.numbers.text()
        if text != self._numbers:
            with contextlib.suppress(LauncherError):
                await self.committer.remember(device_numbers.KEPT, text)
                self._numbers = text

    def _watched_for_idleness(self) -> frozenset[str]:
        """Return the slices of jobs that end when no process runs on them for a while."""
        world = self.event_loop.world
        return frozenset(
            lease.slice.uuid
            for job_id, leases in world.leases.items()
            if leases and world.jobs[job_id].idle_timeout is not None
            for lease in leases
        )

    def _read_gpus(
        self, leased: frozenset[str], watched: frozenset[str]
    ) -> ev.InventoryRead | ev.InventoryFailed:
        try:
            inventory = self.gpu.inventory()
        except (GpuUnavailable, GpuFault) as error:
            self.health.gpu_fix = error.fix
            return ev.InventoryFailed(error.message)
        self.health.driver_version = inventory.driver_version
        self.health.fake_gpu = self.gpu.is_stand_in()
        others = self.claims.refused(inventory)
        self.health.set("claims", "; ".join(sorted(others.values())) or None)
        used = {s.uuid: others[s.gpu_uuid] for s in inventory.slices if s.gpu_uuid in others}
        by_others, blind = self.foreign.find(inventory, leased)
        used |= by_others
        return ev.InventoryRead(
            inventory,
            tuple(sorted(used.items())),
            tuple(sorted(others.items())),
            blind,
            frozenset(uuid for uuid in watched if self._is_idle(uuid)),
        )

    def _is_idle(self, uuid: str) -> bool:
        """Whether NVML shows no process on a slice; if it gives no answer, it may be busy."""
        try:
            return not self.allowed.others(self.gpu.processes(uuid))
        except (GpuUnavailable, GpuFault):
            return False

    async def _forget_images(self) -> None:
        await images.forget_gone(self.event_loop.world, self.images, self.event_loop.post)

    async def _remove_unused_images(self) -> None:
        await self._unused.remove(lambda: self.event_loop.world)

    async def _keep_image_space(self) -> None:
        if (most := self.config.history.max_images) is not None:
            await images.keep_space(self.event_loop, self.images, most)

    async def _sweep(self) -> None:
        await self.sweep_containers()
        await self._keep_network()
        await in_thread("quarantine", self._probe_quarantined)

    async def _keep_network(self) -> None:
        if self.config.system:  # the only user of a per-user daemon has Docker anyway
            await in_thread("network", lambda: keep_network(self.containers, self.health))

    async def sweep_containers(self) -> None:
        """Remove this store's containers that belong to no live attempt (I7).

        Those of a recorded attempt are removed at once, after their log is completed; those
        without a record after a grace period.
        """
        try:
            result = await in_thread("sweep", lambda: self.containers.ours(self.store))
        except (EngineUnavailable, EngineError):
            return
        self._look_at_ids(attempt_of(listed["Labels"])[0] for listed in result)
        unknown: dict[str, tuple[int, int]] = {}
        for listed in result:
            job_id, number = attempt_of(listed["Labels"])
            live = self.event_loop.world.jobs.get(job_id)
            if live is not None and live.attempt == number:
                continue
            attempts = await self.committer.read(Reader.attempts, job_id)
            if any(a.number == number for a in attempts):
                name = listed["Names"][0].lstrip("/")
                self.dispatch(RemoveContainer(job_id, number, name))
            else:
                unknown[listed["Id"]] = job_id, number
        await in_thread("orphans", lambda: self._remove_orphans(unknown))

    def _look_at_ids(self, jobs: Iterable[int]) -> None:
        highest = max(jobs, default=0)
        if highest >= self.event_loop.world.next_id:
            about(log, highest).warning(
                "a container belongs to an unknown job: was the database restored from a copy? "
                "No id up to %d is assigned again",
                highest,
            )
            self.event_loop.post(ev.IdsSeen(highest))

    def _remove_orphans(self, unknown: dict[str, tuple[int, int]]) -> None:
        now = clock.now().boot
        self._orphans = {i: self._orphans.get(i, now) for i in unknown}
        for container_id, since in self._orphans.items():
            if now - since < self.config.orphan_grace_seconds:
                continue
            job, attempt = unknown[container_id]
            orphan = about(log, job or None, attempt or None)
            orphan.warning("removing the orphan %s", container_id)
            try:
                self.containers.remove(container_id)
            except (EngineUnavailable, EngineError) as error:
                orphan.warning("cannot remove it yet: %s", error.message)

    def _probe_quarantined(self) -> None:
        """End a quarantine after three idle samples."""
        states = list(self.event_loop.world.slices.values())
        for state in states:
            uuid = state.slice.uuid
            if not state.quarantine or state.lasting or state.lost:
                self._idle.pop(uuid, None)
                continue
            idle = bool(self.idle_check.idle_now((uuid,), ""))
            self._idle[uuid] = self._idle.get(uuid, 0) + 1 if idle else 0
            if self._idle[uuid] >= IDLE_SAMPLES:
                self.event_loop.post(ev.QuarantineCleared(uuid))


def attempt_of(labels: Mapping[str, str]) -> tuple[int, int]:
    """Return (job, attempt) of a container's labels, zeros if they are missing."""
    job, number = labels.get(LABEL_JOB, ""), labels.get(LABEL_ATTEMPT, "")
    return (int(job), int(number)) if job.isdigit() and number.isdigit() else (0, 0)
