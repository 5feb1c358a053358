"""What is committed is what is read: every field of jobs, attempts and leases."""

from __future__ import annotations

import dataclasses
import itertools
import sqlite3
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.core.messages.changes import Changes, Drain, HistoryLine, Quarantine
from launcher.core.messages.events import Now
from launcher.core.model.arrays import Array
from launcher.core.model.gpu import Placement, Slice
from launcher.core.model.job import (
    After,
    Dependency,
    Element,
    ImageKey,
    Job,
    Outcome,
    Owner,
    Reason,
    State,
)
from launcher.core.model.layout_change import (
    Busy,
    LayoutOp,
    LayoutTarget,
    OpResult,
    OpState,
    Step,
    StepKind,
    Want,
)
from launcher.core.model.lease import Attempt, Lease
from launcher.core.model.measurement import Measurement
from launcher.core.model.packing import Place
from launcher.core.model.reservation import Reservation
from launcher.core.model.use import Use
from launcher.core.world.clock_step import keep_pace
from launcher.errors import InternalError
from launcher.spec.gpus import GpuKind, GpuRequest
from launcher.spec.job_spec import Retries, SignalBefore
from launcher.store import Reader, Store, Stored
from tests.support.builders import ALICE, TEMPLATE, mig, whole
from tests.unit.store.worlds import AT, attempt_of, changes, done, job, lease_of, starting

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
maybe_text = st.one_of(st.none(), text)
number = st.integers(0, 2**31)
seconds = st.floats(0, 1e10)
ARRAY = Array(7 * 10**6, ALICE, "array", 3, 2)
needs = st.builds(
    GpuRequest,
    kind=st.sampled_from(get_args(GpuKind)),
    profile=maybe_text,
    count=st.integers(1, 9),
    memory_gb=st.one_of(st.none(), st.integers(1, 80)),
    memory_mib=st.one_of(st.none(), st.integers(1, 80000)),
    uuids=st.lists(text, max_size=3).map(tuple),
)
FIELDS: dict[str, Any] = {
    "owner": st.builds(Owner, number, number, text),
    "name": text,
    "need": needs,
    "image": st.builds(
        ImageKey,
        text,
        st.sampled_from(["always", "missing", "never"]),
        st.one_of(st.none(), number),
    ),
    "priority": st.integers(0, 1000),
    "submitted_at": seconds,
    "time_limit": st.one_of(st.none(), seconds),
    "stop_grace": seconds,
    "state": st.sampled_from(State),
    "outcome": st.sampled_from(Outcome),
    "reason": st.one_of(st.none(), st.sampled_from(Reason)),
    "message": maybe_text,
    "attempt": st.integers(0, 9),
    "slices": st.lists(text, max_size=3).map(tuple),
    "image_id": maybe_text,
    "container_id": maybe_text,
    "exit_code": st.one_of(st.none(), st.integers(0, 255)),
    "started_at": maybe_text,
    "ended_at": maybe_text,
    "started_wall": st.one_of(st.none(), seconds),
    "cancelled_by": st.one_of(st.none(), number),
    "timed_out": st.booleans(),
    "never_started": st.integers(0, 9),
    "held": st.one_of(st.none(), st.sampled_from(Reason)),
    "begin": st.one_of(st.none(), seconds),
    "waits_for": st.lists(st.builds(Dependency, number, st.sampled_from(After)), max_size=3).map(
        dict.fromkeys
    ),
    "depends_on": st.lists(st.builds(Dependency, number, st.sampled_from(After)), max_size=2).map(
        tuple
    ),
    "element": st.one_of(
        st.none(),
        st.builds(
            Element,
            st.just(ARRAY.id),
            number,
            st.dictionaries(text, text, max_size=2).map(lambda d: tuple(d.items())),
        ),
    ),
    "retries": st.one_of(
        st.none(),
        st.builds(Retries, number, st.lists(text, max_size=2).map(tuple), seconds, seconds),
    ),
    "warn": st.one_of(st.none(), st.builds(SignalBefore, text, seconds)),
    "idle_timeout": st.one_of(st.none(), seconds),
    "preemptible": st.booleans(),
    "interactive": st.booleans(),
    "has_ports": st.booleans(),
    "again": maybe_text,
    "stop_asked": st.one_of(st.none(), seconds),
    "retried": st.integers(0, 9),
    "pulls_failed": st.integers(0, 9),
    "policy_version": st.one_of(st.none(), st.integers(1, 99)),
    "kill_now": st.booleans(),
    "kept_bytes": st.integers(0, 2**40),
}
NOT_STORED = {"id", "deadline", "warn_at", "kill_at", "idle_since", "changes"}
"""The id is given; times of this boot are made anew, from ``started_wall``."""
NEVER_UPDATED = {
    "owner", "name", "image", "submitted_at", "stop_grace", "element", "retries", "warn",
    "idle_timeout", "preemptible", "interactive", "has_ports", "depends_on",
    "policy_version", "kept_bytes",
}  # fmt: skip

ids = itertools.count(1)
one_store = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)


def made_of(number_: int, fields: dict[str, Any]) -> Job:
    """Return a job that can be: it has an outcome if it ended and does not run again."""
    state = fields["state"]
    again = None if state is State.DONE else fields["again"]
    over = state is State.DONE or (state is State.COMPLETING and again is None)
    outcome = fields["outcome"] if over else None
    return Job(id=number_, **{**fields, "outcome": outcome, "again": again})


def with_array(store: Store, reader: Reader) -> None:
    if reader.array(ARRAY.id) is None:
        made = changes()
        made.arrays[ARRAY.id] = (ARRAY, TEMPLATE)
        store.commit(made)


def test_the_strategies_below_know_every_field_of_a_job() -> None:
    assert {f.name for f in dataclasses.fields(Job)} == FIELDS.keys() | NOT_STORED


@one_store
@given(fields=st.fixed_dictionaries(FIELDS), spec=text.filter(bool))
def test_a_job_comes_back_as_it_was_submitted(
    store: Store, reader: Reader, fields: dict[str, Any], spec: str
) -> None:
    with_array(store, reader)
    one = made_of(next(ids) + 10**6, fields)
    submitted = changes(one)
    submitted.new_jobs.append((one, spec))
    store.commit(submitted)
    assert reader.job(one.id) == one
    assert reader.spec(one.id) == Stored(spec)
    live = store.load(1).jobs
    assert live.get(one.id) == (None if one.state is State.DONE else one)


@one_store
@given(before=st.fixed_dictionaries(FIELDS), after=st.fixed_dictionaries(FIELDS))
def test_a_job_comes_back_as_it_was_changed(
    store: Store, reader: Reader, before: dict[str, Any], after: dict[str, Any]
) -> None:
    with_array(store, reader)
    old = made_of(next(ids) + 2 * 10**6, before | {"state": State.PENDING})
    new = made_of(old.id, after | {name: before[name] for name in NEVER_UPDATED})
    store.commit(changes(new=(old,)))
    store.commit(changes(new))
    assert reader.job(old.id) == new


attempts = st.fixed_dictionaries(
    {
        "container_id": maybe_text,
        "started_at": maybe_text,
        "ended_at": maybe_text,
        "exit_code": st.one_of(st.none(), st.integers(0, 255)),
        "oom": st.booleans(),
        "cause": maybe_text,
        "measured": st.builds(
            Measurement,
            memory_peak_bytes=st.none() | number,
            cpu_seconds=st.none() | seconds,
            read_bytes=st.none() | number,
            written_bytes=st.none() | number,
            gpu_memory_peak_mib=st.none() | number,
            gpu_activity_percent=st.none() | seconds,
        ),
    }
)


@one_store
@given(first=attempts, second=attempts, slices=st.lists(text, max_size=3).map(tuple))
def test_an_attempt_comes_back_as_granted_and_as_ended(
    store: Store, reader: Reader, first: dict[str, Any], second: dict[str, Any], slices: Any
) -> None:
    one = starting(next(ids) + 3 * 10**6, slices=slices)
    granted = Attempt(one.id, 1, f"launch-{one.id}", slices, "sha256:2", AT, **first)
    ended = dataclasses.replace(granted, **second)
    store.commit(changes(new=(one,), attempts=(granted,)))
    assert reader.attempts(one.id) == [granted]
    assert store.load(1).attempts[one.id] == granted
    store.commit(changes(attempts=(ended,)))
    assert reader.attempts(one.id) == [ended]


def test_the_slice_of_a_lease_comes_back_as_it_was_when_it_was_granted(store: Store) -> None:
    """The record, not the UUID, says what was leased: UUIDs recur (I12)."""
    one = starting(1)
    odd = Slice("MIG-x", "GPU-x", 3, "1c.2g.10gb+me", 7, 9856, 0, 0, Placement(0, 2))
    leases = tuple(Lease(1, 1, s, AT) for s in (mig(1), whole("GPU-w", 2), odd))
    store.commit(changes(new=(one,), leases=leases))
    found = store.load(1)
    assert sorted(found.leases[1], key=lambda x: x.slice.uuid) == sorted(
        leases, key=lambda x: x.slice.uuid
    )
    assert {u: s.slice for u, s in found.slices.items()} == {s.slice.uuid: s.slice for s in leases}
    assert all(s.lost and not s.free for s in found.slices.values()), "until NVML shows them"


def test_a_released_lease_is_kept_on_record_and_holds_nothing(store: Store) -> None:
    one = starting(1)
    lease = lease_of(one)
    store.commit(changes(new=(one,), leases=(lease,)))
    lease.released_at, lease.quarantine = AT + 5, "a process stayed"
    store.commit(
        changes(leases=(lease,), quarantines={lease.slice.uuid: Quarantine("a process stayed")})
    )
    world = store.load(1)
    assert world.leases == {}
    assert world.slices[lease.slice.uuid].quarantine == "a process stayed"


def test_a_quarantine_stays_over_a_restart_until_it_is_cleared(store: Store) -> None:
    first = {"MIG-1": Quarantine("why"), "MIG-2": Quarantine("other", lasting=True)}
    store.commit(changes(quarantines=first))
    again = Quarantine("why not", lasting=True, since=AT)
    store.commit(changes(quarantines={"MIG-1": again, "MIG-2": None}))
    slices = store.load(1).slices
    told = {u: (s.quarantine, s.lasting, s.quarantined_at) for u, s in slices.items()}
    assert told == {"MIG-1": ("why not", True, AT)}


def test_whose_images_are_and_which_pulls_are_open_stays_over_a_restart(store: Store) -> None:
    mine = ("host:5000/app:1", 1000)
    store.commit(
        Changes(
            private_images={"sha256:1": frozenset({1000, 1001})},
            public_images={"sha256:2": True, "sha256:3": True},
            pulls={mine: True, ("app", 1001): True},
        )
    )
    store.commit(Changes(public_images={"sha256:3": False}, pulls={("app", 1001): False}))
    world = store.load(4)
    assert world.private_images == {"sha256:1": {1000, 1001}}
    assert (world.public_images, world.pulls) == ({"sha256:2"}, {mine})


def test_a_drain_stays_over_a_restart_until_it_is_ended(store: Store) -> None:
    drain = Drain("GPU-1", "fan", Owner(7, 8, "eve"), AT)
    store.commit(changes(drains={"GPU-1": drain, "MIG-2": drain}))
    store.commit(changes(drains={"MIG-2": None}))
    assert store.load(1).drains == {"GPU-1": drain}


def test_a_layout_change_comes_back_as_it_was_and_only_an_open_one_is_taken_up(
    store: Store, reader: Reader
) -> None:
    step = Step(StepKind.CREATE, "GPU-1", 0, "4g.24gb", 0, Placement(0, 4), gi=5, cut=(2, 1))
    wish = LayoutTarget(
        "GPU-1",
        (Want("14", 2), Want("2g.12gb", 1, 0)),
        exact=True,
        drop=frozenset({(3, Place(14, 2))}),
        mode=True,
    )
    op = LayoutOp(1, "apply", "1g.6gb:2", Owner(0, 0, "root"), AT, (wish,), Busy.WAIT)
    op.steps, op.done, op.undo = [step], [step, step], []
    op.pending, op.changing, op.state = ("GPU-1",), ("MIG-1",), OpState.WAITING
    store.commit(changes(layouts={1: op}))
    world = store.load(1)
    assert world.layouts == {1: op}
    assert world.next_layout == 2
    assert world.slices["MIG-1"].changing == 1
    op.state, op.result, op.message, op.ended_at = OpState.DONE, OpResult.FAILED, "why", AT + 1
    store.commit(changes(layouts={1: op}))
    assert store.load(1).layouts == {}
    assert reader.layout(1) == op
    assert reader.layouts(5) == [op]


def test_a_layout_change_from_before_gpu_instances_were_divided_is_read(
    store: Store, reader: Reader
) -> None:
    op = LayoutOp(1, "destroy", "x", Owner(0, 0, "root"), AT)
    op.wishes = (LayoutTarget("GPU-1", drop=frozenset({(3, Place(14, 2))})),)
    op.steps = [Step(StepKind.DESTROY, "GPU-1", 0, "1g.6gb", 14, Placement(2, 1), gi=3)]
    store.commit(changes(layouts={1: op}))
    db = sqlite3.connect(store.path)
    (document,) = db.execute("SELECT document FROM layouts").fetchone()
    assert document.count(',"cut":[]') == 2
    with db:
        db.execute("UPDATE layouts SET document = ?", (document.replace(',"cut":[]', ""),))
    db.close()
    assert reader.layout(1) == op


def test_two_layout_changes_that_are_carried_out_at_once_are_refused(store: Store) -> None:
    ops = [LayoutOp(n, "apply", "x", Owner(0, 0, "root"), AT) for n in (1, 2, 3, 4)]
    first, second, waiting, pending = ops
    first.state = second.state = OpState.RUNNING
    pending.state = OpState.PENDING
    store.commit(changes(layouts={1: first, 3: waiting, 4: pending}))
    assert store.load(1).layouts == {1: first, 3: waiting, 4: pending}
    with pytest.raises(InternalError, match="UNIQUE"):
        store.commit(changes(layouts={2: second}))


def test_only_the_last_attempt_of_a_live_job_is_loaded(store: Store, reader: Reader) -> None:
    one = starting(1)
    again = dataclasses.replace(one, attempt=2)
    waiting, over = job(2, attempt=1), done(3, attempt=1)
    store.commit(
        changes(
            new=(one, waiting, over),
            attempts=(attempt_of(one), attempt_of(waiting), attempt_of(over)),
        )
    )
    store.commit(changes(again, attempts=(attempt_of(again),)))
    assert {j: a.number for j, a in store.load(1).attempts.items()} == {1: 2}
    assert [a.number for a in reader.attempts(1)] == [1, 2]


def test_history_comes_back_in_the_order_in_which_it_happened(store: Store, reader: Reader) -> None:
    lines = tuple(HistoryLine(1, AT + i, f"event{i}", f"détail {i}") for i in (3, 1, 2))
    store.commit(changes(new=(job(1), job(2)), history=lines[:2]))
    store.commit(changes(job(1), history=lines[2:]))
    assert reader.history(1) == [(x.at, x.event, x.detail) for x in lines]
    assert reader.history(2) == []


def test_what_people_ask_for_is_found(store: Store, reader: Reader) -> None:
    bob = Owner(1001, 1001, "bob")
    jobs = (job(1), job(2, name="other"), job(3, owner=bob), done(4), done(5, name="other"))
    store.commit(changes(new=jobs))
    assert [j.id for j in reader.jobs_after(0, 10**6)] == [1, 2, 3, 4, 5]
    assert [j.id for j in reader.jobs_between(2, 4)] == [2, 3, 4]
    assert [j.id for j in reader.jobs_named("other")] == [2, 5]
    last = [reader.last_of(uid) for uid in (1000, 1001, 7)]
    assert [found.id if found else None for found in last] == [5, 3, None]
    assert (reader.job(9), reader.spec(9), reader.attempts(9)) == (None, None, [])
    assert reader.ended() == {"COMPLETED": 2}


def test_the_reader_sees_only_what_is_committed(store: Store, reader: Reader) -> None:
    store._db.execute("BEGIN IMMEDIATE")
    store._write(changes(new=(job(1),)))
    assert reader.job(1) is None
    store._db.execute("COMMIT")
    assert reader.job(1) == job(1)


def test_arrays_use_and_reservations_come_back(store: Store, reader: Reader) -> None:
    first = job(2, element=Element(1, 0))
    second = done(3, element=Element(1, 1, (("lr", "0.10"),)))
    made = changes(new=(first, second))
    made.arrays[1] = (Array(1, ALICE, "sweep", 2, 1), TEMPLATE)
    made.uses[1000] = Use("alice", 12.5, AT)
    kept = Reservation("demo", ("MIG-1",), None, "vips", AT, AT + 60, ALICE)
    made.reservations["demo"] = kept
    store.commit(made)
    world = store.load(1)
    array = world.arrays[1]
    assert (array.size, array.max_parallel, array.live) == (2, 1, {2})
    assert array.ended == {Outcome.COMPLETED: 1}
    assert (world.uses, world.reservations) == ({1000: Use("alice", 12.5, AT)}, {"demo": kept})
    assert [one.id for one in reader.elements(1)] == [2, 3]
    assert [one.id for one in reader.elements(1, 1, 9)] == [3]
    over = changes()
    over.reservations["demo"] = None
    store.commit(over)
    assert store.load(1).reservations == {}


def test_an_ended_job_is_opened_again_only_by_a_retry(store: Store, reader: Reader) -> None:
    store.commit(changes(new=(done(1),)))
    again = job(1, attempt=1)
    store.commit(changes(again))
    assert reader.job(1) == done(1)
    retried = changes(again)
    retried.reopened.add(1)
    store.commit(retried)
    assert reader.job(1) == again


def test_what_the_wall_clock_is_ahead_comes_back_and_moves_what_was_granted(store: Store) -> None:
    one = starting(1)
    made = changes(new=(one,), attempts=(attempt_of(one),), leases=(lease_of(one),))
    made.clock = 1234.5
    store.commit(made)
    world = store.load(1)
    assert world.clock == 1234.5
    keep_pace(world, Now(AT, AT - 1234.5 + 3600.0))
    store.commit(world.take_changes())
    again = store.load(1)
    assert again.clock == 1234.5 - 3600.0
    assert again.attempts[1].granted_at == again.leases[1][0].granted_at == AT - 3600.0


def test_the_id_of_an_array_is_never_a_jobs(store: Store) -> None:
    made = changes()
    made.arrays[7] = (Array(7, ALICE, "sweep", 2), TEMPLATE)
    store.commit(made)
    assert store.load(1).next_id == 8
