"""Jobs as people count them: the elements of an array are one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from launcher.indices import ranges
from launcher.wire import ArrayView, JobView

MOST_INDICES = 10
"""So much of an array's indices is shown where it is one line among others."""


@dataclass(frozen=True)
class Fold:
    """A job, or the elements of an array that were given."""

    array: int | None
    jobs: list[JobView]

    @property
    def indices(self) -> str:
        """The indices of the elements as text."""
        return ranges(job.array["index"] for job in self.jobs if job.array)

    @property
    def label(self) -> str:
        """The id; an array's with its elements."""
        return str(self.jobs[0].id) if self.array is None else f"{self.array}[{self.indices}]"

    @property
    def counts(self) -> dict[str, int]:
        """How many are in which state, by the one word for a job."""
        return dict(Counter(job.word for job in self.jobs))


def fold(jobs: Sequence[JobView]) -> list[Fold]:
    """Return jobs and arrays in the order of their first."""
    folds: dict[object, Fold] = {}
    for place, job in enumerate(jobs):
        if job.array is None:
            folds[place] = Fold(None, [job])
        else:
            # Of what is only planned every array has the id 0: the name tells them apart.
            key = (job.array["id"], job.name)
            folds.setdefault(key, Fold(job.array["id"], [])).jobs.append(job)
    return list(folds.values())


def array_view(array: int, folded: Fold) -> ArrayView:
    """Return an array as the head of a queue has it."""
    waits = [job for job in folded.jobs if job.state == "PENDING"]
    one = (waits or folded.jobs)[0]
    return ArrayView(
        id=array,
        name=one.name,
        user=one.user,
        profile=one.profile,
        count=one.count,
        indices=folded.indices,
        counts=folded.counts,
        submitted_at=one.submitted_at,
        image=one.image,
        reason=one.reason if waits else None,
    )


def short(indices: str) -> str:
    """Return the indices for a line among others.

    >>> short("0-99"), short("1,3,5,7,9,11,13,15,17")
    ('0-99', '1,3,5,7,…')
    """
    if len(indices) <= MOST_INDICES or "," not in indices[:MOST_INDICES]:
        return indices
    return indices[: indices.rindex(",", 0, MOST_INDICES - 1) + 1] + "…"
