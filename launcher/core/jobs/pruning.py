"""The ended jobs that may be deleted, and their use by day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from launcher.core.messages import events as ev
from launcher.core.world.world import World


def prune(world: World, event: ev.PruneAsked, now: ev.Now) -> list[int]:
    """Delete those of these ended jobs that may be deleted; return their ids."""
    going = deletable(world, event.jobs)
    for job_id in going:
        world.changes.pruned[job_id] = now.wall
        world.recent.pruned(job_id)
    return going


def deletable(world: World, jobs: Iterable[ev.Prunable]) -> list[int]:
    """Return the ids of ended jobs on which no unfinished job depends.

    An element stays until its whole array has ended, and no job depends on the array.
    """
    return [
        prunable.job
        for prunable in jobs
        if prunable.job not in world.jobs
        and not world.recent.is_gone(prunable.job)  # two requests may delete at the same time
        and prunable.job not in world.named
        and prunable.array not in world.arrays
        and prunable.array not in world.named
    ]


def by_day(start: float, end: float) -> Iterator[tuple[str, float]]:
    """Yield the days (UTC) from ``start`` to ``end`` with the seconds on prunable.

    >>> list(by_day(86390.0, 86410.0))
    [('1970-01-01', 10.0), ('1970-01-02', 10.0)]
    """
    at = datetime.fromtimestamp(start, UTC)
    until = datetime.fromtimestamp(max(start, end), UTC)
    while at < until:
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        upto = min(midnight, until)
        yield at.date().isoformat(), (upto - at).total_seconds()
        at = upto


def seconds_of_day(day: str) -> float:
    """Return when a day (UTC) begins, in seconds since 1970.

    >>> seconds_of_day("1970-01-02")
    86400.0
    """
    return datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()


def day_of(at: float) -> str:
    """Return the day (UTC) of a time in seconds since 1970."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()
