"""Deleted jobs are gone with all that was theirs; what they used and when they went is known."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from launcher.core.messages.changes import Changes, HistoryLine
from launcher.core.model.arrays import Array, ArrayTemplate
from launcher.core.model.job import Element, Job, Outcome
from launcher.errors import DatabaseDamaged
from launcher.store import Reader, Store, pruning
from launcher.store.old import OldJobs, first_id_since
from tests.support.builders import ALICE, BOB, mig
from tests.unit.store.worlds import AT, attempt_of, changes, done, job, lease_of

DAY = 86400.0
NOON = 20_833 * DAY + DAY / 2
"""2027-01-15, 12:00 UTC."""


def over(number: int, ended: float = AT, **fields: Any) -> tuple[Job, HistoryLine]:
    made = done(number, attempt=1, slices=(mig(0).uuid,), submitted_at=ended - 10, **fields)
    return made, HistoryLine(number, ended, "SlicesIdle", "")


def put(
    store: Store, *found: tuple[Job, HistoryLine], start: float = NOON, end: float = NOON
) -> None:
    jobs = [one for one, _ in found]
    store.commit(
        changes(
            new=tuple(jobs),
            attempts=tuple(dataclasses.replace(attempt_of(one), granted_at=start) for one in jobs),
            leases=tuple(
                dataclasses.replace(lease_of(one, released_at=end), granted_at=start)
                for one in jobs
            ),
            history=tuple(line for _, line in found),
        )
    )


def prune(store: Store, *ids: int, at: float = AT) -> None:
    store.commit(Changes(pruned=dict.fromkeys(ids, at)))


def rows(store: Store) -> dict[str, int]:
    return {
        table: store._db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
        for table in ("jobs", "attempts", "leases", "history", "arrays")
    }


def test_a_deleted_job_leaves_nothing_behind_and_its_id_is_not_used_again(
    store: Store, reader: Reader
) -> None:
    put(store, *(over(number) for number in (1, 2, 3)))
    prune(store, 1, 2, 3)
    assert set(rows(store).values()) == {0}
    assert reader.ended() == {"COMPLETED": 0}
    assert [reader.pruned_at(number) for number in (1, 3, 4)] == [AT, AT, None]
    assert store.load(1).next_id == 4


def test_a_job_that_has_not_ended_is_never_deleted(store: Store, reader: Reader) -> None:
    store.commit(changes(new=(job(1),)))
    prune(store, 1)
    assert rows(store)["jobs"] == 1
    assert reader.pruned_at(1) is None


def test_a_job_that_is_deleted_twice_keeps_its_first_date(store: Store, reader: Reader) -> None:
    put(store, *(over(number) for number in range(1, 6)))
    prune(store, *range(1, 6), at=NOON)
    prune(store, 1, 2, at=NOON + DAY)
    assert [reader.pruned_at(number) for number in range(1, 6)] == [NOON] * 5


def test_an_array_goes_with_its_last_element(store: Store, reader: Reader) -> None:
    elements = [done(5 + i, element=Element(4, i, ())) for i in range(3)]
    made = changes()
    made.arrays[4] = (Array(4, ALICE, "array", 3, None), ArrayTemplate("{}"))
    made.new_jobs = [(one, "") for one in elements]
    store.commit(made)
    prune(store, 5, 6)
    assert rows(store)["arrays"] == 1
    prune(store, 7)
    assert rows(store)["arrays"] == 0
    assert reader.pruned_at(4) == AT


def test_ids_that_go_on_one_day_are_one_row_and_others_are_not_taken_for_deleted(
    store: Store, reader: Reader
) -> None:
    put(store, *(over(number) for number in range(1, 10)))
    for some in ((1, 2), (3,), (5, 6)):
        prune(store, *some, at=NOON)
    prune(store, 7, at=NOON + DAY)
    found = [tuple(row) for row in store._db.execute("SELECT first, last FROM pruned")]
    assert found == [(1, 3), (5, 6), (7, 7)]
    told = {number: reader.pruned_at(number) for number in range(1, 11)}
    gone = {1: NOON, 2: NOON, 3: NOON, 5: NOON, 6: NOON, 7: NOON + DAY}
    assert told == dict.fromkeys(range(1, 11)) | gone


def test_of_too_many_ranges_the_oldest_are_forgotten(
    store: Store, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "MOST_RANGES", 3)
    put(store, *(over(number) for number in range(1, 12)))
    for number in range(1, 11, 2):
        prune(store, number, at=NOON + number * DAY)
    assert [bool(reader.pruned_at(number)) for number in range(1, 11, 2)] == [
        False, False, True, True, True,
    ]  # fmt: skip


def batches(reader: Reader, before: float, uid: int | None = None) -> list[int]:
    old, found = OldJobs(before, uid), []
    while batch := old.next(reader, 2):
        found += [each.job for each in batch]
    return found


def test_what_is_old_is_found_by_its_end_and_arrays_only_as_a_whole(
    store: Store, reader: Reader
) -> None:
    put(store, *(over(number, ended=1000.0 * number) for number in range(1, 8)))
    put(store, over(8, ended=9000.0, owner=BOB))
    for first, array in ((21, 20), (31, 30)):
        made = changes(
            history=tuple(HistoryLine(first + i, 500.0 + array * i, "x", "") for i in range(3))
        )
        made.arrays[array] = (Array(array, ALICE, "array", 3, None), ArrayTemplate("{}"))
        made.new_jobs = [
            (done(first + i, element=Element(array, i, ()), submitted_at=10.0), "")
            for i in range(3)
        ]
        store.commit(made)
    assert batches(reader, 550.0) == [21, 22, 23]
    assert batches(reader, 4500.0) == [1, 2, 3, 4, 21, 22, 23, 31, 32, 33]
    assert batches(reader, 99999.0, BOB.uid) == [8]
    assert batches(reader, 0.0) == []


def test_the_jobs_of_before_a_time_are_found_by_bisection(store: Store, reader: Reader) -> None:
    draw = random.Random(5)
    ids = sorted(draw.sample(range(1, 500), 60))
    put(store, *(over(number, ended=number + 10.0) for number in ids))  # submitted at `number`
    for at in (0.0, 77.5, 250.0, 1000.0):
        below = first_id_since(reader, at)
        assert [n for n in ids if n < below] == [n for n in ids if n < at]


def test_an_index_that_lost_a_live_job_is_found_at_the_start(store: Store) -> None:
    store.commit(changes(new=(job(1), job(2))))
    store._db.execute("PRAGMA writable_schema = ON")
    store._db.execute("UPDATE tallies SET jobs = 3 WHERE word = 'LIVE'")
    with pytest.raises(DatabaseDamaged, match="2 unfinished jobs were found, 3 are on record"):
        store.load(1)


def test_every_way_of_a_job_keeps_the_tallies(store: Store) -> None:
    def counted() -> dict[str, int]:
        return {r[0]: r[1] for r in store._db.execute("SELECT word, jobs FROM tallies") if r[1]}

    store.commit(changes(new=(job(1), job(2))))
    assert counted() == {"LIVE": 2}
    store.commit(changes(done(1), done(2, outcome=Outcome.LOST)))
    assert counted() == {"COMPLETED": 1, "LOST": 1}
    again = changes(job(1))
    again.reopened.add(1)
    store.commit(again)
    assert counted() == {"LIVE": 1, "LOST": 1}
    prune(store, 2)
    assert counted() == {"LIVE": 1}
