"""Live jobs by user and name, for jobs that run as the only one of theirs."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import TYPE_CHECKING

from launcher.core.model.job import Job

if TYPE_CHECKING:
    from launcher.core.world.world import World


class Namesakes:
    """The ids of live jobs and arrays of each user and name, in order; an array is one."""

    def __init__(self) -> None:
        self._ids: dict[int, dict[str, list[int]]] = {}

    def add(self, job: Job) -> None:
        """Note a job, or the array that it is an element of."""
        ids = self._ids.setdefault(job.owner.uid, {}).setdefault(job.name, [])
        number = _number(job)
        at = bisect.bisect_left(ids, number)
        if at == len(ids) or ids[at] != number:
            ids.insert(at, number)

    def discard(self, job: Job) -> None:
        """Forget a job, or the array that it was the last element of."""
        names = self._ids.get(job.owner.uid, {})
        ids, number = names.get(job.name, []), _number(job)
        at = bisect.bisect_left(ids, number)
        if at < len(ids) and ids[at] == number:
            del ids[at]
            if not ids:
                del names[job.name]
                if not names:
                    del self._ids[job.owner.uid]

    def in_front(self, job: Job, is_active: Callable[[int], bool]) -> int | None:
        """Return a job or array that must end before this job, None if there is none.

        That is the last one before it, or a later one of which ``is_active`` holds: a job that is
        retried is older than those that run.
        """
        ids, number = self._ids.get(job.owner.uid, {}).get(job.name, []), _number(job)
        at = bisect.bisect_left(ids, number)
        if at:
            return ids[at - 1]
        return next((i for i in ids[at:] if i != number and is_active(i)), None)


def in_front_alone(world: World, job: Job) -> int | None:
    """Return a job or array that must end before a job that runs as the only one of its name."""

    def is_active(number: int) -> bool:
        array = world.arrays.get(number)
        return number in world.attempts or bool(array is not None and array.active)

    return world.namesakes.in_front(job, is_active)


def wait_alone(world: World, job: Job) -> bool:
    """Index the job that such a job must wait for; whether there is one."""
    other = in_front_alone(world, job)
    if other is not None:
        world.dependents.setdefault(other, set()).add(job.id)
    return other is not None


def _number(job: Job) -> int:
    return job.id if job.element is None else job.element.array
