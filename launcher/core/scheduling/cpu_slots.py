"""CPU slots: used by jobs without a GPU; how many are free or reserved for another job.

A job takes as many slots as the cores that it may use, rounded up: ``core.model.need``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from launcher.core.messages.events import Now
from launcher.core.model.job import Job
from launcher.core.scheduling.holdback import HeldBack, Key, ends_in, may_withhold, runs_for
from launcher.core.world.world import World
from launcher.errors import ImpossibleRequest
from launcher.spec.gpus import GpuRequest


def check_possible(world: World, need: GpuRequest) -> None:
    """Raise ``ImpossibleRequest`` for a CPU job that takes more slots than exist."""
    if need.kind == "none" and need.count > world.cpu_slots:
        raise ImpossibleRequest(
            f"cpus: {need.count} CPU slots are needed, this machine has {world.cpu_slots}",
            fix=f"Request at most {world.cpu_slots} cores, or have an admin raise cpu_slots.",
        )


@dataclass(slots=True)
class KeptSlots:
    """The free slots that waiting jobs of several slots withhold from the jobs behind them."""

    world: World
    withheld: list[tuple[HeldBack, int]] = field(default_factory=list)

    def holders(self, job: Job, key: Key) -> list[tuple[HeldBack, int]]:
        """Return the holders, with their slots, that block a job which would not end in time."""
        seconds = runs_for(job)
        return [
            (holder, count)
            for holder, count in self.withheld
            if holder.key < key and (seconds is None or seconds > holder.seconds)
        ]

    def free_for(self, job: Job, key: Key) -> int:
        """Return the number of free slots that are not withheld from a job."""
        reserved = sum(count for _, count in self.holders(job, key))
        return self.world.cpu_slots - self.world.cpu_used - reserved

    def withhold(self, job: Job, key: Key, now: Now) -> None:
        """Withhold the free slots for a blocked job of several slots, during its turn."""
        world, count = self.world, job.need.count
        free = min(count, self.free_for(job, key))
        if count < 2 or count > world.cpu_slots or free <= 0 or not may_withhold(world, job, now):
            return
        self.withheld.append((HeldBack(key, self._starts_in(count, now)), free))

    def _starts_in(self, count: int, now: Now) -> float:
        """Return in how many seconds this many slots should be free."""
        free = self.world.cpu_slots - self.world.cpu_used
        running = [self.world.jobs[job_id] for job_id in self.world.cpu_running]
        for seconds, slots in sorted((ends_in(self.world, j, now), j.need.count) for j in running):
            free += slots
            if free >= count:
                return seconds
        return 0.0
