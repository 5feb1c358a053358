"""Jobs as they are listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from launcher.indices import element


def ref_of(job_id: int, array: Mapping[str, Any] | None) -> str:
    """Return the name by which people know a job, of its id and its place in an array.

    >>> ref_of(12, None), ref_of(15, {"id": 12, "index": 3, "matrix": None})
    ('12', '12[3]')
    """
    return element(array["id"], array["index"]) if array else str(job_id)


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A job as ``ps`` shows it. What the caller may not see is None.

    ``runtime`` is docker, or host for a command that runs on the machine itself.
    """

    id: int
    name: str | None
    user: str
    state: str
    outcome: str | None
    reason: str | None
    profile: str | None
    count: int
    slices: list[str]
    image: str | None
    command: list[str] | None
    priority: int
    array: dict[str, Any] | None
    attempt: int
    exit_code: int | None
    submitted_at: str
    started_at: str | None
    ended_at: str | None
    container_id: str | None
    message: str | None = None
    time_limit: float | None = None
    runtime: str = "docker"

    @property
    def ref(self) -> str:
        """The name by which people know the job: its id; of an element of an array ``42[0]``."""
        return ref_of(self.id, self.array)

    @property
    def word(self) -> str:
        """The one word the CLI shows: the outcome when there is one, else the state."""
        return self.outcome or self.state


@dataclass(frozen=True, kw_only=True)
class BlockerView:
    """One unmet need of a pending job: what it needs and what there is, as text for people.

    ``jobs`` are those in the way: in front of it, on the slices, or to end first.
    """

    kind: str
    need: str
    have: str
    jobs: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ArrayView:
    """An array in one line: how many of its elements are in which state.

    ``indices`` are those of the elements as text (``0-99``); ``counts`` is by the one word that the
    CLI shows for a job.
    """

    id: int
    name: str | None
    user: str
    profile: str | None
    count: int
    indices: str
    counts: dict[str, int]
    submitted_at: str
    image: str | None
    reason: str | None


ARRAY_PARTS = ("failed", "running", "waiting", "completed")
"""The elements of an array by how they are, in the order in which a page shows them.

``failed`` are those that ended in another way than COMPLETED.
"""


def part_of(job: JobView) -> str:
    """Return the part of its array that an element belongs to."""
    if job.outcome is not None:
        return "completed" if job.outcome == "COMPLETED" else "failed"
    return "waiting" if job.state == "PENDING" else "running"


@dataclass(frozen=True, kw_only=True)
class QueueHead:
    """What ``ps`` shows of a long queue: what runs, the head of what waits, how many there are.

    ``waiting`` and ``running`` count all of them. The elements of an array are not in ``jobs``: it
    is one line of ``arrays``.
    """

    jobs: list[JobView]
    waiting: int
    running: int
    arrays: list[ArrayView] = field(default_factory=list)
