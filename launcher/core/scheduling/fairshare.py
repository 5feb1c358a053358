"""Recent use of the machine by user: decayed, in slice-GiB-seconds.

Past use decays with the half-life of the rules, and so does the use of a running job. Both use the
same integral, so that the end of a job does not change the order. Only a job shorter than the entry
charge gets the rest of it back.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable

from launcher.core.model.job import Job
from launcher.core.model.lease import Lease
from launcher.core.model.use import accrued, decayed
from launcher.core.world.usage import rate_of
from launcher.core.world.world import World


class FairShareOrder:
    """Every user's current use, including running jobs, and the order of users."""

    def __init__(self, world: World, wall: float) -> None:
        self._rules = world.rules.fair_share
        self._world = world
        self._wall = wall
        self._of: dict[int, float] = {}

    @functools.cached_property
    def _running(self) -> dict[int, float]:
        """The use of running jobs, by uid; computed lazily, because most passes do not need it."""
        result: dict[int, float] = {}
        world = self._world
        for job_id, leases in world.leases.items():
            if leases:
                uid = world.jobs[job_id].owner.uid
                used = self._used(leases, leases[0].granted_at)
                result[uid] = result.get(uid, 0.0) + used
        for job_id in world.cpu_running:
            job = world.jobs[job_id]
            uid = job.owner.uid
            used = self._used((), world.attempts[job_id].granted_at, job.need.count)
            result[uid] = result.get(uid, 0.0) + used
        return result

    def _used(self, leases: Iterable[Lease], since: float, cpu_slots: int = 1) -> float:
        seconds = max(self._wall - since, self._rules.entry_charge)
        rate = rate_of(leases, self._rules, cpu_slots)
        return accrued(rate, seconds, self._rules.half_life)

    def started(self, job: Job) -> None:
        """Count a job that was just granted its slices."""
        uid = job.owner.uid
        self._of.pop(uid, None)
        if "_running" in self.__dict__:
            leases = self._world.leases.get(job.id, ())
            more = self._used(leases, self._wall, job.need.count)
            self._running[uid] = self._running.get(uid, 0.0) + more

    def served(self, uid: int, gib: float) -> None:
        """Add the charge for the start of one of the user's jobs."""
        self._of.pop(uid, None)
        self._running[uid] = self._running.get(uid, 0.0) + gib * self._rules.entry_charge

    def use(self, uid: int) -> float:
        """Return a user's decayed use in slice-GiB-seconds."""
        use = self._world.uses.get(uid)
        past = decayed(use.amount, self._wall - use.at, self._rules.half_life) if use else 0.0
        return past + self._running.get(uid, 0.0)

    def of(self, uid: int) -> float:
        """Return the number that orders users: the lowest goes first.

        It is the ``weight`` of a use, computed quickly for a user without running jobs.
        """
        result = self._of.get(uid)
        if result is None:
            result = self._of[uid] = self._weight(uid)
        return result

    def _weight(self, uid: int) -> float:
        result = self._world.weights.get(uid, -math.inf)
        running = self._running.get(uid)
        if running:
            shift = self._wall / self._rules.half_life
            result = _log2_of_sum(result - shift, math.log2(running)) + shift
        if self._rules.shares:
            result -= math.log2(self._rules.shares.get(self._world.user_name(uid), 1.0))
        return result


def _log2_of_sum(some: float, more: float) -> float:
    """Return the binary logarithm of the sum of two numbers, given by their logarithms.

    The numbers themselves may be too large, if the clock is a thousand half-lives behind.
    """
    larger = max(some, more)
    return larger + math.log2(math.exp2(some - larger) + math.exp2(more - larger))
