"""Arrays and matrices: many jobs under one id, of which so many run at once at most.

An element beyond that limit is not in the queue: it costs the scheduler nothing until its turn.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field

from launcher.core.model.job import Job, Outcome, Owner

SPARE = 64
"""How many entries of elements that have left may be in a heap beside as many as there are."""


@dataclass(frozen=True, slots=True)
class ArrayTemplate:
    """What the elements of an array are made of: its request, and the keys of its matrix.

    ``document`` is the request without ``array``, with its ``${key}`` unreplaced.
    """

    document: str = field(repr=False)
    keys: tuple[str, ...] = ()


@dataclass(slots=True)
class Array:
    """An array with elements that have not ended; ``ended`` counts the others by outcome.

    ``indices`` are those of its elements as text: ``0-99``.

    ``taken`` are the elements that count against ``max_parallel``: those in the queue, and those
    that hold slices. ``active`` are the latter.
    """

    id: int
    owner: Owner
    name: str
    size: int
    max_parallel: int | None = None
    indices: str = ""
    live: set[int] = field(default_factory=set)
    active: set[int] = field(default_factory=set)
    taken: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)
    _turns: list[int] = field(default_factory=list)
    _idle: list[int] = field(default_factory=list)
    """A heap of the live elements that are not active; entries of others go when they come up."""
    ended: Counter[Outcome] = field(default_factory=Counter)

    def add(self, job_id: int) -> None:
        """Note an element that has not ended."""
        if job_id not in self.live:
            self.live.add(job_id)
            heapq.heappush(self._idle, job_id)

    def rest(self, job_id: int) -> None:
        """Note that an element holds nothing any more."""
        if job_id in self.active:
            self.active.discard(job_id)
            heapq.heappush(self._idle, job_id)
            if len(self._idle) > 2 * len(self.live) + SPARE:
                self._idle = sorted(self.live - self.active)
        self.taken.discard(job_id)

    def first_idle(self) -> int | None:
        """Return the first element that holds nothing, None where each holds something."""
        while self._idle and (self._idle[0] not in self.live or self._idle[0] in self.active):
            heapq.heappop(self._idle)
        return self._idle[0] if self._idle else None

    def take(self, job: Job) -> bool:
        """Let an element into the queue if there is room; else it waits for its turn."""
        if self.max_parallel is None or job.id in self.taken:
            return True
        if len(self.taken) < self.max_parallel:
            self.taken.add(job.id)
            return True
        if job.id not in self.waiting:
            self.waiting.add(job.id)
            heapq.heappush(self._turns, job.id)
        return False

    def next(self) -> int | None:
        """Return an element whose turn it is, None where there is no room or none waits."""
        if self.max_parallel is None or len(self.taken) >= self.max_parallel or not self._turns:
            return None
        job_id = heapq.heappop(self._turns)
        self.waiting.discard(job_id)
        return job_id

    def end(self, job_id: int, outcome: Outcome) -> None:
        """Count an element that has ended."""
        self.live.discard(job_id)
        self.active.discard(job_id)
        self.taken.discard(job_id)
        self.ended[outcome] += 1

    def reopen(self, job_id: int, outcome: Outcome) -> None:
        """Count an ended element as one that has not: it is tried again."""
        self.add(job_id)
        self.ended[outcome] -= 1

    @property
    def outcome(self) -> Outcome | None:
        """How the array ended as a whole: COMPLETED if every element did."""
        if self.live:
            return None
        all_well = self.ended[Outcome.COMPLETED] == self.ended.total()
        return Outcome.COMPLETED if all_well else Outcome.FAILED
