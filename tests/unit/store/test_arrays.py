"""Pages of arrays: counts of all elements, and a few of them, failures first."""

from __future__ import annotations

import dataclasses

from launcher.core.messages.changes import Changes
from launcher.core.model.arrays import Array, ArrayTemplate
from launcher.core.model.job import Element, Job, Outcome, State
from launcher.store import Reader, Store
from launcher.store.arrays import StoredElements, elements_page, first_elements, number_of_elements
from tests.support.builders import ALICE
from tests.unit.store.worlds import done, job, starting

ARRAY = 10


def put(store: Store) -> None:
    """Store the array 10 with the elements 11 to 18, beside a job."""
    jobs = [
        done(11),
        done(12, outcome=Outcome.FAILED),
        starting(13, 0),
        job(14),
        done(15),
        done(16, outcome=Outcome.CANCELLED),
        dataclasses.replace(starting(17, 1), state=State.COMPLETING, outcome=Outcome.TIMEOUT),
        job(18),
    ]
    elements = [dataclasses.replace(each, element=Element(ARRAY, each.id - 11)) for each in jobs]
    array = Array(ARRAY, ALICE, "many", len(elements), None, "0-7")
    store.commit(
        Changes(
            new_jobs=[(each, "") for each in [*elements, job(1)]],
            arrays={ARRAY: (array, ArrayTemplate("{}", ()))},
        )
    )


def ids(jobs: list[Job]) -> list[int]:
    return sorted(job.id for job in jobs)


def page(reader: Reader, part: int | None, after: int = 0, most: int = 100) -> StoredElements:
    found = elements_page(reader, ARRAY, part, after, most)
    assert found is not None
    return found


def test_a_page_has_the_counts_of_all_elements_and_those_of_one_part(
    store: Store, reader: Reader
) -> None:
    put(store)
    found = page(reader, None)
    assert (found.first.id, found.indices) == (11, "0-7")
    assert found.counts == {
        "COMPLETED": 2, "FAILED": 1, "CANCELLED": 1, "TIMEOUT": 1, "STARTING": 1, "PENDING": 2,
    }  # fmt: skip
    assert [ids(page(reader, part).elements) for part in range(4)] == [
        [12, 16, 17], [13], [14, 18], [11, 15],
    ]  # fmt: skip


def test_a_short_page_begins_with_failures_and_the_next_one_goes_on(
    store: Store, reader: Reader
) -> None:
    put(store)
    assert ids(page(reader, None, most=4).elements) == [12, 13, 16, 17]
    assert ids(page(reader, 0, most=2).elements) == [12, 16]
    assert ids(page(reader, 0, after=16, most=2).elements) == [17]
    assert page(reader, 0, after=17).counts["FAILED"] == 1, "counts are of all pages"


def test_what_is_not_an_array_has_no_page(store: Store, reader: Reader) -> None:
    put(store)
    assert elements_page(reader, 1, None, 0, 10) is None
    assert number_of_elements(reader, 1) == 0
    assert number_of_elements(reader, ARRAY) == 8
    assert ids(first_elements(reader, ARRAY, 3)) == [11, 12, 13]
