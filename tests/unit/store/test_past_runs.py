"""Ended jobs with what they used, as advice and `memory: auto` read them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest

from launcher.core.model.job import Job, Outcome, Owner
from launcher.core.model.measurement import Measurement, PastRun
from launcher.store import Reader, Store
from tests.support.builders import ALICE, BOB
from tests.unit.store.worlds import attempt_of, changes, done, lease_of

EARLY = "2026-01-01T00:00:00.000000Z"
STARTED, ENDED = "2027-01-15T08:00:00.000000Z", "2027-01-15T09:00:00.000000Z"


def ended(job_id: int, owner: Owner = ALICE, **fields: object) -> Job:
    facts = {"started_at": STARTED, "ended_at": ENDED, "name": "train", "attempt": 1, **fields}
    return done(job_id, owner=owner, **facts)


def commit(store: Store, jobs: Iterable[Job], peak: int | None = 100, slices: int = 1) -> None:
    for one in jobs:
        attempt = attempt_of(one)
        attempt.measured = Measurement(gpu_memory_peak_mib=peak, gpu_activity_percent=40.0)
        leases = tuple(lease_of(one, number, released_at=2e9) for number in range(slices))
        store.commit(changes(new=(one,), attempts=(attempt,), leases=leases))


def test_a_run_comes_with_its_slices_and_what_it_used(store: Store, reader: Reader) -> None:
    commit(store, [ended(1, time_limit=7200.0)])
    (run,) = reader.past_runs(EARLY, 10)
    assert dataclasses.replace(run, seconds=round(run.seconds)) == PastRun(
        ALICE.uid,
        ALICE.name,
        "train",
        Outcome.COMPLETED,
        3600,
        7200.0,
        1,
        "1g.6gb",
        5952,
        100,
        40.0,
    )
    assert reader.past_runs_of_name(ALICE.uid, "train", EARLY, 10) == [run]


def test_the_slices_of_one_run_count_together(store: Store, reader: Reader) -> None:
    commit(store, [ended(1)], slices=2)
    (run,) = reader.past_runs(EARLY, 10)
    assert (run.slices, run.profile, run.memory_mib) == (2, "1g.6gb", 2 * 5952)


def test_runs_are_the_newest_of_one_user_or_of_all(store: Store, reader: Reader) -> None:
    commit(store, [ended(1), ended(2, owner=BOB), ended(3, name="other"), ended(4)], slices=0)
    assert [run.name for run in reader.past_runs(EARLY, 2)] == ["train", "other"]
    assert [run.user for run in reader.past_runs(EARLY, 9, uid=BOB.uid)] == [BOB.name]
    assert [run.user for run in reader.past_runs(EARLY, 9, user=BOB.name)] == [BOB.name]
    assert len(reader.past_runs_of_name(ALICE.uid, "train", EARLY, 9)) == 2


@pytest.mark.parametrize(
    "fields", [{"ended_at": "2025-12-31T00:00:00.000000Z"}, {"started_at": None}]
)
def test_what_ended_long_ago_or_never_ran_is_left_out(
    store: Store, reader: Reader, fields: dict[str, object]
) -> None:
    commit(store, [ended(1, **fields)], slices=0)
    assert reader.past_runs(EARLY, 10) == []
    assert reader.past_runs_of_name(ALICE.uid, "train", EARLY, 10) == []


def test_the_peaks_of_a_name_are_those_of_completed_jobs_with_one_slice(
    store: Store, reader: Reader
) -> None:
    commit(store, [ended(1)], peak=700)
    commit(store, [ended(2)], peak=None)
    commit(store, [ended(3)], peak=800, slices=2)
    commit(store, [ended(4, outcome=Outcome.FAILED)], peak=900)
    commit(store, [ended(5, owner=BOB)], peak=1000)
    commit(store, [ended(6)], peak=300)
    assert reader.gpu_peaks(ALICE.uid, "train", 9) == [(300, 5952), (700, 5952)]
    assert reader.gpu_peaks(ALICE.uid, "train", 1) == [(300, 5952)]
