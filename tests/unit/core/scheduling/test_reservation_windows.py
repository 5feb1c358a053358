"""Reservations: who may make them, which slices they take, and which jobs they bar."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from launcher.core.messages import events as ev
from launcher.core.messages.requests import ReserveAsked, UnreserveAsked
from launcher.core.model.job import Job
from launcher.core.scheduling.reservation_windows import admits, barring
from launcher.core.world.pending_queue import lane_of
from launcher.errors import StaleRequest, UserError
from tests.support.builders import ALICE, BOB, ROOT, Machine, mig, profile

FIRST, SECOND = mig(0).uuid, mig(1).uuid
HOUR = 3600.0


def asked(machine: Machine, name: str = "course", start: float = 0.0, **fields: Any) -> None:
    """Reserve a slice for alice from ``start`` seconds from now, for an hour."""
    at = machine.time.wall + start
    given = {"slices": (FIRST,), "user": "alice", "end": at + HOUR} | fields
    machine.tell(ReserveAsked(name, ROOT, at, **given))


def job_of(machine: Machine, owner: Any = BOB, limit: float | None = 60.0) -> Job:
    return machine.submit(profile(), owner=owner, time_limit=limit, pinned=False)[0]


def barred(machine: Machine, job: Job, uuid: str = FIRST) -> bool:
    return barring(machine.world, job, uuid, machine.time) is not None


def test_a_reservation_admits_its_user_and_the_members_of_its_group() -> None:
    machine = Machine()
    asked(machine)
    asked(machine, "group", user=None, group="students", slices=(SECOND,))
    for_user, for_group = machine.world.reservations.values()
    alices, bobs = job_of(machine, ALICE), job_of(machine, BOB)
    machine.world.groups[BOB.uid] = frozenset({"students"})
    assert admits(machine.world, for_user, alices)
    assert not admits(machine.world, for_user, bobs)
    assert admits(machine.world, for_group, bobs)
    assert not admits(machine.world, for_group, alices)


def test_a_reservation_without_user_and_group_admits_everybodys_interactive_jobs() -> None:
    machine = Machine()
    asked(machine, user=None)
    batch = job_of(machine)
    interactive = replace(batch, interactive=True)
    assert barred(machine, batch)
    assert not barred(machine, interactive)
    assert lane_of(batch) != lane_of(interactive), "what bars one must not hide the other"


def test_others_are_barred_from_its_slices_alone() -> None:
    machine = Machine()
    asked(machine)
    job = job_of(machine)
    assert barred(machine, job)
    assert not barred(machine, job, SECOND)
    assert not barred(machine, job_of(machine, ALICE))
    machine.wait(HOUR)
    assert not barred(machine, job)


def test_before_its_window_a_job_is_barred_that_would_run_into_it() -> None:
    machine = Machine()
    asked(machine, start=600.0)
    assert not barred(machine, job_of(machine, limit=60.0))
    assert barred(machine, job_of(machine, limit=6000.0))
    assert barred(machine, job_of(machine, limit=None)), "it counts with the assumed limit"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"end": 1.0}, "must end after"),
        ({"group": "students"}, "one user or one group"),
        ({"slices": ("MIG-x",)}, "slice MIG-x"),
        ({"slices": (), "profile": "1g.6gb", "count": 9}, "9 x 1g.6gb .* 4 of 4"),
        ({"slices": (), "profile": "1g.6gb", "count": 0}, "0 x 1g.6gb"),
        ({"slices": (), "profile": "7g.80gb"}, "0 of 0 can be reserved"),
    ],
)
def test_what_cannot_be_reserved_is_refused_and_nothing_is_recorded(
    fields: dict[str, Any], words: str
) -> None:
    machine = Machine()
    with pytest.raises(UserError, match=words):
        asked(machine, **fields)
    assert machine.world.reservations == {}


def test_a_name_is_taken_until_its_window_is_over() -> None:
    machine = Machine()
    asked(machine)
    with pytest.raises(StaleRequest, match="reservation course"):
        asked(machine, slices=(SECOND,))
    machine.wait(HOUR)
    asked(machine, slices=(SECOND,))
    assert machine.world.reservations["course"].slices == (SECOND,)


def test_windows_of_one_slice_may_meet_and_not_overlap() -> None:
    machine = Machine()
    asked(machine, start=HOUR)
    with pytest.raises(UserError, match=f"{FIRST} is reserved as course"):
        asked(machine, "other", start=HOUR / 2)
    asked(machine, "before")
    asked(machine, "after", start=2 * HOUR)
    assert set(machine.world.reservations) == {"course", "before", "after"}


def test_of_a_profile_the_free_slices_without_a_reservation_are_taken_first() -> None:
    machine = Machine()
    (busy,) = machine.submit(profile())
    (taken,) = busy.slices
    asked(machine, slices=(mig(3).uuid,))
    asked(machine, "two", slices=(), profile="1g.6gb", count=2)
    chosen = machine.world.reservations["two"].slices
    assert set(chosen) == {mig(n).uuid for n in range(4)} - {taken, mig(3).uuid}
    asked(machine, "rest", slices=(), profile="1g.6gb", count=1)
    assert machine.world.reservations["rest"].slices == (taken,)


def test_a_window_that_is_over_blocks_none_and_is_forgotten_with_the_next() -> None:
    machine = Machine()
    asked(machine)
    machine.wait(HOUR)
    asked(machine, "next", start=-60.0, end=machine.time.wall + HOUR)
    assert set(machine.world.reservations) == {"next"}
    assert machine.world.take_changes().reservations["course"] is None


def test_a_reservation_that_is_cancelled_bars_no_job() -> None:
    machine = Machine()
    asked(machine)
    job = job_of(machine)
    machine.tell(UnreserveAsked("course"))
    assert not barred(machine, job)
    with pytest.raises(StaleRequest, match="reservation course"):
        machine.tell(UnreserveAsked("course"))
    machine.tell(ev.Tick())
