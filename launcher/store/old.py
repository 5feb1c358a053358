"""Finds old records: ended jobs, arrays whose elements have all ended, and deleted jobs."""

from __future__ import annotations

from launcher.core.messages.requests import Prunable
from launcher.store.reader import Reader


def first_id_since(reader: Reader, at: float) -> int:
    """Return an id below which the jobs were submitted before ``at`` (seconds since 1970).

    Found by bisection: ids rise with time. If the clock was set back it is too low or too high.
    """
    low, high = 1, 1 + reader.highest_id()
    while low < high:
        middle = (low + high) // 2
        result = reader.submitted_from(middle)
        if result is None or result[1] >= at:
            high = middle
        else:
            low = result[0] + 1
    return low


class OldJobs:
    """The jobs that ended before ``before`` (seconds since 1970), by batches; of one user or all.

    Elements of arrays come after the other jobs, an array at a time, once all of it is old.
    """

    def __init__(self, before: float, uid: int | None = None) -> None:
        self._before, self._uid = before, uid
        self._below: int | None = None
        self._after = 0
        self._arrays: list[int] | None = None

    def next(self, reader: Reader, most: int) -> list[Prunable]:
        """Return the next jobs, none after the last; reads for as long as it takes to find them."""
        if self._below is None:
            self._below = first_id_since(reader, self._before)
        if self._arrays is None:
            prunables = reader.old_jobs(self._after, self._below, self._before, self._uid, most)
            if prunables:
                self._after = prunables[-1].job
                return prunables
            self._arrays = reader.old_arrays(self._below, self._before, self._uid)[::-1]
            self._after = 0
        while self._arrays:
            prunables = reader.elements_after(self._arrays[-1], self._after, most)
            if prunables:
                self._after = prunables[-1].job
                return prunables
            self._arrays.pop()
            self._after = 0
        return []
