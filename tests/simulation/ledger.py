"""What was promised, what was seen, and what is wrong with it: kept outside the daemon."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from launcher.core.invariants import violations
from launcher.core.messages.changes import Changes
from launcher.core.world.world import World
from tests.simulation.docker import Box, FakeDocker


@dataclass
class Ledger:
    """The promises of one simulated machine, and the figures of its run."""

    docker: FakeDocker
    acknowledged: dict[int, Any] = field(default_factory=dict)
    """Job id -> what was asked."""
    cancelled: dict[int, float] = field(default_factory=dict)
    """Job id -> when its cancel was acknowledged."""
    retried: set[int] = field(default_factory=set)
    interrupted: set[int] = field(default_factory=set)
    """Jobs whose end somebody, a limit or another job may have asked for."""
    checks: int = 0
    wrong: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)

    def blame(self, what: str) -> None:
        if what not in self.wrong:
            self.wrong.append(what)

    def check(self, world: World, changes: Changes) -> None:
        """Look at every invariant: in the daemon's world, and against what really runs."""
        self.checks += 1
        for broken in violations(world):
            self.blame(broken)
        for line in changes.history:
            if line.event == "Preempted":
                self.interrupted.add(line.job)
        if world.reconciling is None:
            self._leases_cover_what_runs(world)

    def _leases_cover_what_runs(self, world: World) -> None:
        for box in self.docker.boxes.values():
            if self.docker.alive(box):
                for uuid in box.devices:
                    state = world.slices.get(uuid)
                    holder = state.lease.job if state and state.lease else None
                    if holder != job_of(box):
                        self.blame(f"I2: {box.name} runs on {uuid}, leased by {holder}")

    def started(self, box: Box) -> None:
        """Look at a start: nobody else is on its slices, and it is the container's only one."""
        self.checks += 1
        for uuid in box.devices:
            others = {other.name for other, _ in self.docker.users(uuid)} - {box.name}
            if others:
                self.blame(f"I1: {box.name} was started on {uuid}, where {sorted(others)} runs")
        starts = [r for r in self.docker.record if r.container == box.id]
        if len(starts) > 1:
            self.blame(f"I14: {box.name} was started {len(starts)} times")
        job = job_of(box)
        asked = self.docker.asked["start", box.name]
        if asked > self.cancelled.get(job, asked) and job not in self.retried:
            self.blame(f"I5: job {job} was started after its cancel was acknowledged")


def job_of(box: Box) -> int:
    """Return the job that a container is an attempt of."""
    return int(box.body["Labels"]["launcher.job"])
