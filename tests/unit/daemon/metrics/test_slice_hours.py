"""What leases hold, by user: it never falls, and has a bound."""

from __future__ import annotations

import dataclasses

import pytest

from launcher.core.model.lease import Lease
from launcher.core.model.use import Use
from launcher.daemon.metrics.amounts import OTHER
from launcher.daemon.metrics.slice_hours import MOST_USERS, SliceHours
from tests.support.builders import mig
from tests.unit.store.worlds import changes, lease_of, starting

GIB = mig(0).share_mib / 1024


def leased(hours: SliceHours, user: str, number: int, now: float) -> Lease:
    lease = lease_of(starting(number, number % 4), number % 4)
    hours.changed(changes(leases=(lease,)), {number: user}, now)
    return lease


def released(hours: SliceHours, lease: Lease, now: float) -> None:
    lease = dataclasses.replace(lease, released_at=1.0)
    hours.changed(changes(leases=(lease,)), {}, now)


def test_a_live_lease_counts_up_to_now_and_an_ended_one_up_to_its_end() -> None:
    hours = SliceHours()
    lease = leased(hours, "alice", 1, 100.0)
    assert hours.totals(110.0) == {"alice": pytest.approx(10 * GIB)}
    released(hours, lease, 115.0)
    assert hours.totals(500.0) == {"alice": pytest.approx(15 * GIB)}
    assert not hours._held


def test_an_amount_never_falls_even_if_a_release_was_decided_before_the_last_reading() -> None:
    hours = SliceHours()
    lease = leased(hours, "alice", 1, 100.0)
    before = hours.totals(110.0)["alice"]
    released(hours, lease, 109.0)
    assert hours.totals(111.0)["alice"] >= before


def test_leases_that_live_at_the_start_count_from_there() -> None:
    hours = SliceHours()
    lease = lease_of(starting())
    hours.resume([("alice", lease)], [Use("bob", 5.0, 0.0)], 1000.0)
    assert hours.totals(1001.0) == {"alice": pytest.approx(GIB), "bob": 0.0}
    released(hours, lease, 1002.0)
    assert hours.totals(1003.0)["alice"] == pytest.approx(2 * GIB)


def test_the_greatest_users_have_amounts_of_their_own_and_the_rest_one() -> None:
    hours = SliceHours()
    uses = [Use(f"user-{number}", float(number), 0.0) for number in range(2 * MOST_USERS)]
    hours.resume([], uses, 0.0)
    assert len(hours.totals(0.0)) == MOST_USERS
    assert f"user-{2 * MOST_USERS - 1}" in hours.totals(0.0)
    for number in range(100):
        released(hours, leased(hours, f"user-{number}", number, 0.0), 1.0)
    found = hours.totals(2.0)
    assert len(found) == MOST_USERS + 1
    assert found[OTHER] == pytest.approx(MOST_USERS * GIB)
