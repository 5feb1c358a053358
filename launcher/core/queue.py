"""The pending jobs that could start now, ordered; equal needs share one heap.

A fixed layout makes each need its own queue: where the first of equals cannot be placed, none
behind it can, so a pass looks at one job per need however many wait.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from launcher.core.job import Job, Need

Order = tuple[int, int]


class PendingQueue:
    """Heaps by need with lazy deletion: push and discard in O(log n), heads in O(needs)."""

    def __init__(self) -> None:
        self._heaps: dict[Need, list[Order]] = {}
        self._needs: dict[int, Need] = {}

    def __len__(self) -> int:
        return len(self._needs)

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._needs

    def push(self, job: Job) -> None:
        """Add a job; its need must not change while it waits."""
        self._needs[job.id] = job.need
        heapq.heappush(self._heaps.setdefault(job.need, []), job.order)

    def discard(self, job_id: int) -> None:
        """Take a job out, if it is in; its heap entry goes when it comes up."""
        self._needs.pop(job_id, None)

    def head(self, need: Need) -> Order | None:
        """Return the order of the first job with this need, None if there is none."""
        heap = self._heaps.get(need)
        while heap and heap[0][1] not in self._needs:
            heapq.heappop(heap)
        if heap:
            return heap[0]
        self._heaps.pop(need, None)
        return None

    def heads(self) -> list[tuple[Order, Need]]:
        """Return (order, need) of the first job of every need, first in the queue first."""
        found = [(self.head(need), need) for need in tuple(self._heaps)]
        return sorted(
            ((order, need) for order, need in found if order is not None), key=lambda x: x[0]
        )

    def first(self, most: int) -> list[int]:
        """Return the ids of the jobs that are first in order, in O(n log most)."""
        live = (order for heap in self._heaps.values() for order in heap if order[1] in self._needs)
        return [job_id for _, job_id in heapq.nsmallest(most, live)]

    def ids(self) -> Iterator[int]:
        """Yield the ids of all jobs in the queue, in no order."""
        return iter(tuple(self._needs))
