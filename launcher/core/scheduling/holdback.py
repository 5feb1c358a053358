"""Slices withheld for a waiting gang, and jobs short enough to run in front of it (EASY).

A gang that cannot start withholds the free slices that it could use. It starts when the last
missing slice is free. A job whose time limit ends before that may use a withheld slice.
"""

from __future__ import annotations

from dataclasses import dataclass

from launcher.core.messages.events import Now
from launcher.core.model.job import Job, State
from launcher.core.model.slice_state import SliceState
from launcher.core.scheduling.matching import slices_wanted
from launcher.core.world.world import World

RELEASE_SECONDS = 10.0
"""A generous limit for ending a container and proving its slice free."""


Key = tuple[int, float, int]
"""A job's place in the queue: priority (negative), its owner's standing, its id."""


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A free slice withheld for a job's place; ``seconds`` until that job could start."""

    key: Key
    seconds: float

    @property
    def job(self) -> int:
        """The job for which the slice is withheld."""
        return self.key[2]


def runs_for(job: Job) -> float | None:
    """Return the maximum seconds that a job holds its slices; None without a time limit."""
    if job.time_limit is None:
        return None
    return job.time_limit + job.stop_grace + RELEASE_SECONDS


def limit_in(world: World, job: Job, now: Now) -> float:
    """Return in how many seconds the time limit of a job that holds slices ends."""
    if job.state is State.COMPLETING:
        return 0.0
    if job.deadline is not None:
        return max(0.0, job.deadline - now.boot)
    limit = job.time_limit if job.time_limit is not None else world.rules.assumed_time_limit
    granted = world.attempts[job.id].granted_at
    return max(0.0, granted + limit - now.wall)


def ends_in(world: World, job: Job, now: Now) -> float:
    """Return in how many seconds a job that holds slices should have released them."""
    grace = 0.0 if job.state is State.COMPLETING else job.stop_grace
    return limit_in(world, job, now) + grace + RELEASE_SECONDS


def withhold(
    world: World, key: Key, usable: list[SliceState], held_back: dict[str, HeldBack], now: Now
) -> None:
    """Add the free slices that the blocked job of this place withholds from the jobs behind it.

    ``usable`` are the slices that it could have, now or later. It withholds none if they are too
    few: a job that waits for another layout, or for foreign use to end, blocks no other job.
    """
    job = world.jobs[key[2]]
    count = slices_wanted(world, job.need)
    free = [s for s in usable if s.free]
    if len(usable) < count or not free or not may_withhold(world, job, now):
        return
    seconds = starts_in(world, usable, count, now)
    for state in free[:count]:
        held_back[state.slice.uuid] = HeldBack(key, seconds)


def starts_in(world: World, usable: list[SliceState], count: int, now: Now) -> float:
    """Return in how many seconds ``count`` of the usable slices should be free."""
    ends = sorted(
        0.0 if s.lease is None else ends_in(world, world.jobs[s.lease.job], now) for s in usable
    )
    return ends[count - 1]


def may_withhold(world: World, job: Job, now: Now) -> bool:
    """Whether it is the gang's turn: it withholds slices for a while, then pauses as long."""
    since = world.keeping.get(job.id, now.boot)
    return int((now.boot - since) // world.rules.holdback_idle) % 2 == 0
