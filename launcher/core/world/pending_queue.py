"""The pending jobs that could start now, ordered; similar jobs of a user share one heap, a lane.

If the first job of a lane cannot start, none behind it can: they need the same, for the same user,
for about the same time. So a pass examines one job per lane, however many wait.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from launcher.core.model.job import Job
from launcher.spec.gpus import GpuRequest

T = TypeVar("T", tuple[int, int], tuple[int, int, int])

Order = tuple[int, int, int]
"""Priority (negative, so that the highest is first), id, and number of the push of the job."""

SPARE = 64
"""Maximum number of stale entries of a heap beyond its number of jobs."""

FEW = 3
"""Over-scan factor for the first N of a heap before falling back to a full scan."""


class Lane(NamedTuple):
    """The common properties of the jobs in one heap; ``limit`` is a class of time limits.

    Host jobs have lanes of their own: what blocks containers may not block host jobs. So have
    interactive jobs: slices may be reserved for them.
    """

    need: GpuRequest
    uid: int
    limit: float | None
    on_host: bool
    interactive: bool = False


def limit_class(seconds: float | None) -> float | None:
    """Return the class of a time limit: limits within an eighth of an octave share one.

    >>> limit_class(3600.0) == limit_class(3700.0), limit_class(None)
    (True, None)
    """
    if not seconds:
        return seconds
    step = 2.0 ** (math.floor(math.log2(seconds)) - 3)
    return math.ceil(seconds / step) * step


def _ascending(heap: list[T]) -> Iterator[T]:
    """Yield a heap's entries in ascending order, each in O(log n), without changing the heap."""
    fringe = [(order, 0) for order in heap[:1]]
    while fringe:
        order, at = heapq.heappop(fringe)
        yield order
        for child in (2 * at + 1, 2 * at + 2):
            if child < len(heap):
                heapq.heappush(fringe, (heap[child], child))


class Aside:
    """Jobs that wait outside the queue, by priority and id; a change is O(log n)."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int]] = []
        self._where: dict[int, int] = {}

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._where

    def put(self, job: Job) -> None:
        """Add a job, or change its place."""
        if self._where.get(job.id) != -job.priority:
            self._where[job.id] = -job.priority
            heapq.heappush(self._heap, (-job.priority, job.id))
            self._tidy()

    def discard(self, job_id: int) -> None:
        """Remove a job if present; its heap entry is removed later."""
        if self._where.pop(job_id, None) is not None:
            self._tidy()

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._where) + SPARE:
            self._heap = [(priority, job_id) for job_id, priority in self._where.items()]
            heapq.heapify(self._heap)

    def __iter__(self) -> Iterator[int]:
        """Yield the ids in order, the first N in O(N log N); no change is allowed meanwhile."""
        while self._heap and self._where.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        last = None
        for priority, job_id in _ascending(self._heap):
            if self._where.get(job_id) == priority and job_id != last:  # a job may have two entries
                yield job_id
                last = job_id


def lane_for(
    need: GpuRequest,
    uid: int,
    time_limit: float | None,
    stop_grace: float,
    *,
    on_host: bool,
    interactive: bool,
) -> Lane:
    """Return the lane of a job with this need; times are seconds."""
    limit = limit_class(None if time_limit is None else time_limit + stop_grace)
    return Lane(need, uid, limit, on_host, interactive)


def lane_of(job: Job) -> Lane:
    """Return the lane of a job, whether it is in the queue or not."""
    return lane_for(
        job.need,
        job.owner.uid,
        job.time_limit,
        job.stop_grace,
        on_host=job.on_host,
        interactive=job.interactive,
    )


class PendingQueue:
    """Heaps by lane with lazy deletion: push and discard in O(log n), heads in O(lanes)."""

    def __init__(self) -> None:
        self._lanes: dict[GpuRequest, dict[Lane, list[Order]]] = {}
        self._where: dict[int, tuple[Order, Lane]] = {}
        self._waiting: dict[GpuRequest, int] = {}
        self._pushes = 0

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._where

    def push(self, job: Job) -> None:
        """Add a job, or change its place."""
        self.discard(job.id)
        lane = lane_of(job)
        self._pushes += 1
        order = (-job.priority, job.id, self._pushes)
        heap = self._lanes.setdefault(job.need, {}).setdefault(lane, [])
        heapq.heappush(heap, order)
        self._where[job.id] = (order, lane)
        self._waiting[job.need] = self._waiting.get(job.need, 0) + 1
        if len(heap) > 2 * self._waiting[job.need] + SPARE:
            heap[:] = [order for order in heap if self._holds(order, lane)]
            heapq.heapify(heap)

    def discard(self, job_id: int) -> None:
        """Remove a job if present; its heap entry is removed when it reaches the front."""
        where = self._where.pop(job_id, None)
        if where is not None:
            self._waiting[where[1].need] -= 1

    def head(self, lane: Lane) -> Order | None:
        """Return the order of the first job of a lane, None if it is empty."""
        lanes = self._lanes.get(lane.need)
        heap = lanes.get(lane) if lanes else None
        while heap and not self._holds(heap[0], lane):
            heapq.heappop(heap)
        if heap:
            return heap[0]
        if lanes is not None:
            lanes.pop(lane, None)
            if not lanes:
                self._lanes.pop(lane.need, None)
        return None

    def _holds(self, order: Order, lane: Lane) -> bool:
        where = self._where.get(order[1])
        return where is not None and where[0] == order and where[1] == lane

    def waiting(self, need: GpuRequest) -> int:
        """Return how many jobs with this need are in the queue."""
        return self._waiting.get(need, 0)

    def needs(self) -> list[GpuRequest]:
        """Return the needs of the jobs in the queue, each once; some may have left."""
        return list(self._lanes)

    def heads(self, need: GpuRequest) -> list[tuple[Lane, Order]]:
        """Return every lane of a need with its first job's order."""
        result: list[tuple[Lane, Order]] = []
        for lane, heap in tuple(self._lanes.get(need, {}).items()):
            if self._where.get(heap[0][1]) == (heap[0], lane):
                result.append((lane, heap[0]))
            elif (order := self.head(lane)) is not None:  # the first job has left the queue
                result.append((lane, order))
        return result

    def first(self, lane: Lane, most: int, keep: Callable[[int], bool]) -> list[int]:
        """Return the ids of the first jobs of a lane that ``keep`` accepts, in order.

        O(most log most) if few have left or are rejected, otherwise O(n log most).
        """
        heap = self._lanes.get(lane.need, {}).get(lane, [])

        def counts(order: Order) -> bool:
            return self._holds(order, lane) and keep(order[1])

        looked = list(itertools.islice(_ascending(heap), FEW * most + SPARE))
        result = [order[1] for order in looked if counts(order)][:most]
        if len(result) < most and len(looked) < len(heap):
            return [order[1] for order in heapq.nsmallest(most, filter(counts, heap))]
        return result

    def leads(self, job_id: int) -> bool:
        """Whether a job in the queue is the first of its lane."""
        head = self.head(self.lane_of(job_id))
        return head is not None and head[1] == job_id

    def lane_of(self, job_id: int) -> Lane:
        """Return the lane of a job in the queue."""
        return self._where[job_id][1]

    def lanes(self) -> list[Lane]:
        """Return every lane; some may be empty."""
        return [lane for lanes in self._lanes.values() for lane in lanes]

    def ids(self) -> Iterator[int]:
        """Yield the ids of all jobs in the queue, unordered."""
        return iter(tuple(self._where))
