"""All counters of one daemon, with the calls that feed them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from launcher.core.messages import events as ev
from launcher.core.messages.changes import Changes
from launcher.core.world.world import World
from launcher.daemon.loop import clock
from launcher.daemon.metrics.amounts import SHORT_SECONDS, Histogram, LabelledCounter
from launcher.daemon.metrics.job_metrics import JobMetrics
from launcher.daemon.metrics.memory_peaks import MemoryPeaks
from launcher.daemon.metrics.slice_hours import SliceHours

DOCKER, NVML = "docker", "nvml"
PULLED, FAILED = "pulled", "failed"
GRAVE_XIDS = ("48", "61", "62", "63", "64", "74", "79", "92", "94", "95", "119", "120", "140")
"""Errors of memory, links and firmware (NVIDIA's XID documentation), shown with zero at the start:
Prometheus sees no increase in a series that begins with 1."""


class DaemonMetrics:
    """Counters since the start of the daemon; for the loop's thread only."""

    def __init__(self) -> None:
        self.started_at = clock.now()
        self.jobs = JobMetrics()
        self.hours = SliceHours()
        self.peaks = MemoryPeaks()
        self.commits = Histogram(SHORT_SECONDS)
        self.commits_failed = 0
        self.quarantines = 0
        self.pulls = LabelledCounter(PULLED, FAILED)
        self.outages = LabelledCounter(DOCKER, NVML)
        self.xids = LabelledCounter(*GRAVE_XIDS)
        self.phases: dict[str, float] = {}
        """How many seconds after its start the daemon had finished each phase of it."""
        self._away: set[str] = set()
        """The parts that do not answer: a further failed look is not an outage of its own."""

    def resume(self, world: World) -> None:
        """Begin with a world that was just read."""
        now = clock.now()
        self.jobs.resume(
            (world.jobs[job] for job in world.attempts if job in world.jobs),
            (lease for held in world.leases.values() for lease in held),
        )
        leases = [
            (world.jobs[lease.job].owner.name, lease)
            for held in world.leases.values()
            for lease in held
        ]
        self.hours.resume(leases, world.uses.values(), now.boot)
        self.reached("records")

    def reached(self, phase: str) -> None:
        """Record that a phase of the start is over."""
        self.phases[phase] = clock.now().boot - self.started_at.boot

    def decided(self, changes: Changes, events: Iterable[ev.Event]) -> Iterator[None]:
        """Count a committed decision and its events, in steps."""
        self._saw(events)
        if not changes:
            return
        now = clock.now()
        if changes.leases:
            jobs = (changes.jobs.get(lease.job) for lease in changes.leases.values())
            users = {job.id: job.owner.name for job in jobs if job is not None}
            self.hours.changed(changes, users, now.boot)
        self.quarantines += sum(each is not None for each in changes.quarantines.values())
        yield from self.jobs.changed(changes, now.wall)

    def _saw(self, events: Iterable[ev.Event]) -> None:
        for event in events:
            match event:
                case ev.ImageResolved(pulled=True):
                    self.pulls.add(PULLED)
                case ev.ImageFailed():
                    self.pulls.add(FAILED)
                case ev.EngineDown():
                    self._fails(DOCKER)
                case ev.EngineUp():
                    self._away.discard(DOCKER)
                case ev.InventoryFailed():
                    self._fails(NVML)
                case ev.InventoryRead():
                    self._away.discard(NVML)
                case ev.XidSeen():
                    self.xids.add(str(event.xid.number))

    def _fails(self, part: str) -> None:
        """Count an outage of a part that answered before."""
        if part not in self._away:
            self._away.add(part)
            self.outages.add(part)

    def committed(self, seconds: float, failed: bool) -> None:
        """Count a commit and its time."""
        self.commits.observe(seconds)
        self.commits_failed += failed
