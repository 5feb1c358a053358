"""What the database itself refuses, whatever the program thinks; and one transaction or none."""

from __future__ import annotations

import dataclasses
import sqlite3

import pytest

from launcher.core.messages.changes import Changes, Quarantine
from launcher.core.model.job import Outcome, State
from launcher.core.model.layout_change import LayoutOp, OpResult, OpState
from launcher.errors import InternalError
from launcher.store import Reader, Store
from tests.support.builders import ROOT
from tests.unit.store.worlds import AT, attempt_of, changes, done, job, lease_of, starting


def test_i1_a_second_live_lease_on_a_slice_is_refused_and_nothing_of_it_stays(
    store: Store, reader: Reader
) -> None:
    first, second = starting(1), starting(2)
    store.commit(changes(new=(first,), leases=(lease_of(first),)))
    with pytest.raises(InternalError, match=r"leases\.slice_uuid"):
        store.commit(
            changes(
                new=(second, job(3)),
                attempts=(attempt_of(second),),
                leases=(lease_of(second),),
                quarantines={"MIG-z": Quarantine("x")},
            )
        )
    assert [j.id for j in reader.jobs_after(0, 10**6)] == [1]
    assert reader.attempts(2) == []
    assert set(store.load(1).slices) == {lease_of(first).slice.uuid}
    store.commit(changes(new=(job(2),)))  # and the next transaction works


def test_i1_two_leases_on_one_slice_in_one_transaction_are_refused(store: Store) -> None:
    first, second = starting(1), starting(2)
    with pytest.raises(InternalError):
        store.commit(changes(new=(first, second), leases=(lease_of(first), lease_of(second))))
    assert store.load(1).jobs == {}


def test_a_slice_may_change_hands_within_one_transaction(store: Store) -> None:
    first, second = starting(2), starting(1)
    lease = lease_of(first)
    store.commit(changes(new=(first,), leases=(lease,)))
    lease.released_at = AT + 1
    store.commit(changes(new=(second,), leases=(lease_of(second), lease)))
    assert {job_: len(leases) for job_, leases in store.load(1).leases.items()} == {1: 1}


def test_a_layout_change_may_follow_another_within_one_transaction(store: Store) -> None:
    """Whichever was asked or changed first: the one that ends is written first."""
    ends, follows = (LayoutOp(n, "apply", "", ROOT, AT) for n in (1, 2))
    ends.state = OpState.RUNNING
    store.commit(Changes(layouts={1: ends}))
    ends.state, ends.result, follows.state = OpState.DONE, OpResult.APPLIED, OpState.LOOKING
    store.commit(Changes(layouts={2: follows, 1: ends}))
    assert list(store.load(1).layouts) == [2]


def test_a_slice_is_leased_again_and_again(store: Store) -> None:
    for number in range(1, 6):
        one = starting(number)
        store.commit(changes(new=(one,), leases=(lease_of(one),)))
        store.commit(changes(leases=(lease_of(one, released_at=AT),)))
    assert store.load(1).leases == {}


@pytest.mark.parametrize("state", [State.COMPLETING, State.DONE])
def test_a_job_cannot_end_without_an_outcome(store: Store, state: State) -> None:
    with pytest.raises(InternalError, match="CHECK"):
        store.commit(changes(new=(job(1, state=state),)))


@pytest.mark.parametrize("state", [State.PENDING, State.STARTING, State.RUNNING])
def test_a_job_that_has_not_ended_has_no_outcome(store: Store, state: State) -> None:
    with pytest.raises(InternalError, match="CHECK"):
        store.commit(changes(new=(job(1, state=state, outcome=Outcome.FAILED),)))
    store.commit(changes(new=(job(1, state=state),)))


def test_a_job_that_is_done_is_never_changed_again(store: Store, reader: Reader) -> None:
    over = done(1, exit_code=0)
    store.commit(changes(new=(over,)))
    store.commit(changes(dataclasses.replace(over, exit_code=7, outcome=Outcome.FAILED)))
    store.commit(changes(job(1)))
    assert reader.job(1) == over


@pytest.mark.parametrize(
    "orphan",
    [
        changes(attempts=(attempt_of(starting(9)),)),
        changes(leases=(lease_of(starting(9)),)),
    ],
)
def test_an_attempt_or_lease_of_no_job_is_refused(store: Store, orphan: object) -> None:
    with pytest.raises(InternalError, match="FOREIGN KEY"):
        store.commit(orphan)  # type: ignore[arg-type]


def test_an_id_is_never_given_twice(store: Store) -> None:
    store.commit(changes(new=(job(1),)))
    with pytest.raises(InternalError, match="UNIQUE"):
        store.commit(changes(new=(job(1, name="another"),)))
    assert store.load(1).jobs[1].name == "job"


def test_ids_go_on_after_everything_is_over(store: Store) -> None:
    assert store.load(1).next_id == 1
    store.commit(changes(new=(done(41),)))
    assert store.load(1).next_id == 42


def test_an_id_stays_used_even_if_its_job_is_deleted_by_hand(store: Store) -> None:
    store.commit(changes(new=(done(41),)))
    with sqlite3.connect(store.path) as hand:
        hand.execute("DELETE FROM jobs")
    hand.close()
    assert store.load(1).next_id == 42


@pytest.mark.parametrize(
    "bad",
    [
        changes(new=(job(1), job(2, name="\ud800"))),
        changes(new=(job(1), job(2, priority=2**80))),
        changes(new=(job(1), job(2, exit_code=object()))),
    ],
)
def test_a_value_that_no_database_holds_is_a_refusal_and_nothing_stays(
    store: Store, bad: object
) -> None:
    with pytest.raises(InternalError):
        store.commit(bad)  # type: ignore[arg-type]
    assert store.load(1).jobs == {}
    store.commit(changes(new=(job(1),)))


def test_a_row_of_the_wrong_type_is_refused(store: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="cannot store"):
        store._db.execute("UPDATE meta SET value = x'00'")


def test_nothing_of_a_transaction_stays_when_its_last_row_fails(
    store: Store, reader: Reader
) -> None:
    bad = changes(new=(job(1),), history=())
    bad.history.append(bad.history[0] if bad.history else _line_of_no_job())
    with pytest.raises(InternalError):
        store.commit(bad)
    assert reader.jobs_after(0, 10**6) == []


def _line_of_no_job() -> object:
    from launcher.core.messages.changes import HistoryLine

    return HistoryLine(99, AT, "event", "")
