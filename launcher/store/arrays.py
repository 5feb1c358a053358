"""Reads of arrays that a page shows: counts and a few elements, at a cost that is bounded.

The counts and the ids come from one index: about 10 ms for 100,000 elements.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.core.model.job import Job
from launcher.store.rows.job_rows import JobReader

if TYPE_CHECKING:
    from launcher.store.reader import Reader


@dataclass(frozen=True, slots=True)
class StoredElements:
    """An array as it is stored: some of its elements, and the numbers of all by state or outcome.

    ``first`` is the element with the lowest id.
    """

    first: Job
    counts: Counter[str]
    indices: str
    elements: list[Job]


def elements_page(
    reader: Reader, array_id: int, part: int | None, after: int, most: int
) -> StoredElements | None:
    """Return elements of an array with higher ids than ``after``; None if it has no elements.

    Failed ones come first (part 0), then those that hold slices (1), wait (2) or completed (3);
    ``part`` selects one of these.
    """
    with reader.snapshot():
        groups = reader.rows("element_counts", array_id)
        if not groups:
            return None
        counts: Counter[str] = Counter()
        for row in groups:
            counts[row["outcome"] or row["state"]] += row["n"]
        values = {"array": array_id, "part": part, "after": after, "most": most}
        elements = _jobs(reader.rows("elements_page", **values))
        (first,) = _jobs(reader.rows("job", min(row["first"] for row in groups)))
        of_array = reader.rows("array", array_id)
    return StoredElements(first, counts, of_array[0]["indices"] if of_array else "", elements)


def first_elements(reader: Reader, array_id: int, most: int) -> list[Job]:
    """Return the first elements of an array, by id."""
    return _jobs(reader.rows("elements_first", array_id, most))


def number_of_elements(reader: Reader, array_id: int) -> int:
    """Return how many elements of an array are stored."""
    return sum(row["n"] for row in reader.rows("element_counts", array_id))


def _jobs(rows: list[Any]) -> list[Job]:
    reading = JobReader()
    return [reading.job(row) for row in rows]
