"""Rows and values: what is written is read back, and what makes no sense is refused."""

from __future__ import annotations

import dataclasses
import sqlite3
from typing import Any

import pytest

from launcher.core.messages.changes import Drain
from launcher.core.model.arrays import Array, ArrayTemplate
from launcher.core.model.gpu import Placement
from launcher.core.model.job import Outcome
from launcher.core.model.lease import Attempt, Lease
from launcher.core.model.reservation import Reservation
from launcher.store.rows import rows
from tests.support.builders import ALICE, ROOT, mig, whole


def as_row(columns: dict[str, Any]) -> sqlite3.Row:
    """Return a row as SQLite returns it."""
    db = sqlite3.connect(":memory:")
    db.row_factory = sqlite3.Row
    names = ", ".join(f":{name} AS {name}" for name in columns)
    row: sqlite3.Row = db.execute(f"SELECT {names}", columns).fetchone()
    db.close()
    return row


def named(table: str, values: tuple[Any, ...]) -> sqlite3.Row:
    """Return the values of a row of a table, by the names of its columns."""
    names = {
        "drains": "uuid reason uid gid user at",
        "arrays": "id uid gid user name size max_parallel indices template keys",
        "reservations": "name slices for_user for_group start_at end_at uid gid user",
    }
    return as_row(dict(zip(names[table].split(), values, strict=True)))


@pytest.mark.parametrize(
    "attempt",
    [
        Attempt(1, 2, "launch-feed-1-2", ("MIG-0", "MIG-1"), "sha256:1", 5.0),
        Attempt(1, 2, "n", (), "", 5.0, "c1", "then", "later", 137, True, "because", "boot"),
    ],
)
def test_an_attempt_is_read_as_it_was(attempt: Attempt) -> None:
    assert rows.attempt_from(as_row(rows.attempt_row(attempt))) == attempt


@pytest.mark.parametrize("slice_", [mig(0), whole("GPU-a")])
def test_a_lease_is_read_with_the_slice_as_it_was_granted(slice_: Any) -> None:
    lease = Lease(1, 2, slice_, 5.0, 9.0, "a process stays")
    assert rows.lease_from(as_row(rows.lease_row(lease))) == lease


def test_a_lease_at_the_first_place_keeps_it() -> None:
    lease = Lease(1, 1, dataclasses.replace(mig(0), placement=Placement(0, 1)), 5.0, None)
    assert rows.lease_from(as_row(rows.lease_row(lease))).slice.placement == Placement(0, 1)


def test_drains_and_reservations_are_read_as_they_were() -> None:
    drain = Drain("GPU-a", "looked at", ALICE, 5.0)
    assert rows.drain_from(named("drains", rows.drain_row(drain))) == drain
    reservation = Reservation("course", ("MIG-0",), None, "students", 5.0, 9.0, ROOT)
    row = named("reservations", rows.reservation_row(reservation))
    assert rows.reservation_from(row) == reservation


def test_an_array_is_read_with_the_ends_of_its_elements() -> None:
    array, template = Array(1, ALICE, "sweep", 3, 2, "0-2"), ArrayTemplate("{}", ("lr",))
    row = named("arrays", rows.array_row(array, template))
    read = rows.array_from(row, {"FAILED": 2})
    assert (read.size, read.max_parallel, read.ended[Outcome.FAILED]) == (3, 2, 2)
    with pytest.raises(ValueError, match="SAD"):
        rows.array_from(row, {"SAD": 1})


def test_values_and_keys_that_are_not_there_are_none() -> None:
    assert rows.values_from(None, 1) == {}
    assert rows.keys_from(None) == ()
    assert rows.values_from('{"lr": "1"}', 1) == {"lr": "1"}
    assert rows.keys_from('["lr"]') == ("lr",)


def test_a_request_is_not_shown_where_its_row_is_printed() -> None:
    assert "secret" not in repr(rows.Stored("secret", ("k",), {"k": "secret"}))
