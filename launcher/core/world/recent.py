"""Recent ends of jobs: a request may have read their rows earlier."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST = 20_000
"""The number of ends and deletions remembered; a request with older rows is refused."""


@dataclass(slots=True)
class RecentEnds:
    """The last attempt of jobs that ended after more than one, and which jobs were pruned."""

    count: int = 0
    """The total number of records: a request reads it before it reads rows."""
    _last: dict[int, int | None] = field(default_factory=dict)

    def ended(self, job_id: int, attempt: int) -> None:
        """Record a job that ended: an older row of it is stale."""
        self._note(job_id, attempt)

    def pruned(self, job_id: int) -> None:
        """Record a job that was deleted."""
        self._note(job_id, None)

    def is_gone(self, job_id: int) -> bool:
        """Whether a job was deleted recently."""
        return self._last.get(job_id, 0) is None

    def is_stale(self, job_id: int, attempt: int, read_at: int) -> bool:
        """Whether a row with this attempt, read when ``count`` was ``read_at``, may be outdated."""
        if not 0 <= self.count - read_at <= MOST:
            return True
        last = self._last.get(job_id, 0)
        return last is None or attempt < last

    def _note(self, job_id: int, attempt: int | None) -> None:
        self.count += 1
        self._last.pop(job_id, None)
        self._last[job_id] = attempt
        if len(self._last) > MOST:
            del self._last[next(iter(self._last))]
