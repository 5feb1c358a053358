"""Quotas make jobs wait or refuse them; reservations keep slices for others."""

from __future__ import annotations

import dataclasses

import pytest

from launcher.core.jobs.stored_size import DEPENDENCY_BYTES, kept_bytes
from launcher.core.jobs.submit import submit
from launcher.core.messages import events as ev
from launcher.core.model.arrays import ArrayTemplate
from launcher.core.model.job import After, Dependency, ImageKey, Owner, Reason, State
from launcher.core.model.reservation import Reservation
from launcher.core.policy.settings import HOUR, Quota, Settings
from launcher.core.scheduling.explain import blockers
from launcher.errors import NotAllowed, StaleRequest, UserError
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import JobSpec, Retries
from tests.support.builders import ALICE, BOB, CPU, IMAGE, ROOT, Machine, mig, profile


def test_more_running_slices_than_the_quota_wait_while_others_go_on() -> None:
    machine = Machine(rules=Settings(user_quota=Quota(running_slices=1)))
    first, second = machine.submit(profile(), profile(), owner=ALICE)
    (bobs,) = machine.submit(profile(), owner=BOB)
    assert (first.state, second.state, bobs.state) == (
        State.STARTING, State.PENDING, State.STARTING,
    )  # fmt: skip
    (blocker,) = blockers(machine.world, second, machine.time)
    assert (blocker.reason, blocker.have) == (Reason.QUOTA, "1 of 1 in use")
    machine.run(first)
    machine.end(first)
    assert second.state is State.STARTING


def test_memory_counts_by_the_slices_and_a_user_of_his_own_quota_has_that() -> None:
    rules = Settings(
        user_quota=Quota(running_gib=6.0), user_quotas={"bob": Quota(running_gib=12.0)}
    )
    machine = Machine(rules=rules)
    alices = machine.submit(profile(), profile(), owner=ALICE)
    bobs = machine.submit(profile(), profile(), owner=BOB)
    assert [j.state is State.STARTING for j in (*alices, *bobs)] == [True, False, True, True]


def test_cpu_jobs_need_no_quota_of_slices() -> None:
    machine = Machine(rules=Settings(user_quota=Quota(running_slices=0)))
    (job,) = machine.submit(CPU)
    assert job.state is State.STARTING


def test_a_group_shares_its_quota() -> None:
    machine = Machine(rules=Settings(group_quotas={"students": Quota(running_slices=1)}))
    for owner in (ALICE, BOB):
        new = (ev.NewJob(JobSpec("job", IMAGE.reference, profile()), "{}", IMAGE),)
        asked = ev.Submitted(owner, new, groups=frozenset({"students", "users"}))
        submit(machine.world, asked, machine.time)
    machine.tell(ev.ImageResolved(ImageKey(IMAGE.reference, IMAGE.policy), "sha256:1", pulled=True))
    assert sorted(j.state.value for j in machine.world.jobs.values()) == ["PENDING", "STARTING"]


def test_an_ordinary_user_has_a_quota_that_nobody_set_and_an_admin_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("launcher.core.scheduling.quota.ORDINARY_QUEUED_JOBS", 2)
    machine = Machine(slices=[])
    new = (ev.NewJob(JobSpec("job", IMAGE.reference, profile()), "{}", IMAGE),)
    for owner in (ALICE, ALICE, BOB):
        submit(machine.world, ev.Submitted(owner, new), machine.time)
    with pytest.raises(NotAllowed, match=r"alice has 2 jobs queued, 1 more .* quota of 2"):
        submit(machine.world, ev.Submitted(ALICE, new), machine.time)
    submit(machine.world, ev.Submitted(ALICE, new, admin=True), machine.time)
    machine = Machine(slices=[], rules=Settings(user_quota=Quota(queued_jobs=3)))
    submit(machine.world, ev.Submitted(ALICE, new * 3), machine.time)


def test_more_queued_jobs_than_the_quota_are_refused_and_none_is_queued() -> None:
    machine = Machine(slices=[], rules=Settings(user_quota=Quota(queued_jobs=3)))
    machine.submit(profile(), profile())
    with pytest.raises(NotAllowed, match="2 jobs queued, 2 more"):
        machine.submit(profile(), profile())
    machine.submit(profile())
    assert len(machine.world.jobs) == 3


def asked(*documents: str, owner: Owner = ALICE, admin: bool = False) -> ev.Submitted:
    """A submit of plain jobs that are stored as these documents."""
    spec = JobSpec("job", IMAGE.reference, profile())
    new = tuple(ev.NewJob(spec, document, IMAGE) for document in documents)
    return ev.Submitted(owner, new, admin=admin)


ROW = len("job" + IMAGE.reference + "1g.6gb")
"""What a job of these takes in columns beside its document."""


def test_more_bytes_than_the_quota_are_refused_and_come_back_as_jobs_end() -> None:
    machine = Machine(slices=[], rules=Settings(user_quota=Quota(queued_bytes=2 * (100 + ROW))))
    (first, _), _ = submit(machine.world, asked("x" * 100, "x" * 100), machine.time)
    has = 2 * (100 + ROW)
    with pytest.raises(NotAllowed) as refused:
        submit(machine.world, asked("x"), machine.time)
    assert refused.value.message == (
        f"user alice has jobs of {has} bytes, {1 + ROW} more would be above the quota "
        f"queued_bytes of {has}"
    )
    assert refused.value.fix is not None
    assert "launcher.toml" in refused.value.fix
    assert len(machine.world.jobs) == 2
    machine.tell(ev.CancelAsked(first.id, ALICE.uid))
    submit(machine.world, asked("x" * 100), machine.time)
    machine.tell()
    assert machine.world.stored_bytes == {ALICE.uid: has}


def test_an_ordinary_user_has_a_quota_of_bytes_and_an_admin_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("launcher.core.scheduling.quota.ORDINARY_QUEUED_BYTES", 100)
    world, now = Machine(slices=[]).world, ev.Now(1.0, 1.0)
    with pytest.raises(NotAllowed, match="quota queued_bytes of 100"):
        submit(world, asked("x" * 100), now)
    submit(world, asked("x" * 100, admin=True), now)
    submit(world, asked("x" * 50, owner=BOB), now)


def test_letters_count_as_the_bytes_that_they_take() -> None:
    assert kept_bytes(asked("é" * 10)) == [20 + ROW]


def test_a_template_counts_once_however_many_elements_it_has() -> None:
    spec = JobSpec("job", IMAGE.reference, profile())
    elements = tuple(
        ev.NewJob(spec, "", IMAGE, element=ev.NewElement(0, n, (("a", "1"),))) for n in range(10)
    )
    array = ev.NewArray("job", ArrayTemplate("x" * 1000))
    kept = kept_bytes(ev.Submitted(ALICE, elements, arrays=(array,)))
    assert kept == [100 + ROW + len('{"a": "1"}')] * 10


def test_what_every_element_repeats_in_its_row_counts_for_each() -> None:
    spec = JobSpec(
        "job", "i" * 500, profile(), retries=Retries(1, ("exit:1", "exit:2")), command=("x" * 9999,)
    )
    elements = tuple(
        ev.NewJob(spec, "", IMAGE, (Dependency(0, After.OK),) * 5, element=ev.NewElement(0, n))
        for n in range(2)
    )
    array = ev.NewArray("job", ArrayTemplate(""))
    each = len("job" + "1g.6gb" + "exit:1exit:2") + 500 + 5 * DEPENDENCY_BYTES
    assert kept_bytes(ev.Submitted(ALICE, elements, arrays=(array,))) == [each] * 2


def test_a_retry_counts_against_the_quota_of_bytes() -> None:
    machine = Machine(slices=[mig(0)], rules=Settings(user_quota=Quota(queued_bytes=150)))
    (over,) = machine.submit(profile())
    machine.run(over)
    machine.end(over, 1)
    submit(machine.world, asked("x" * (149 - ROW)), machine.time)
    with pytest.raises(NotAllowed, match="quota queued_bytes of 150"):
        machine.tell(ev.RetryAsked((ev.Retried(over),), ALICE.uid))


def kinds(*mib: int) -> list[GpuRequest]:
    """Requests by memory, each of another kind."""
    return [GpuRequest("memory", memory_mib=each) for each in mib]


def test_more_kinds_of_jobs_than_the_quota_are_refused_and_come_back_as_jobs_end() -> None:
    machine = Machine(slices=[], rules=Settings(user_quota=Quota(queued_kinds=2)))
    first, _ = machine.submit(*kinds(1, 2))
    machine.submit(*kinds(1, 2, 1, 2))
    with pytest.raises(NotAllowed) as refused:
        machine.submit(*kinds(2, 3))
    assert refused.value.message == (
        "user alice has jobs of 2 kinds, 1 more would be above the quota queued_kinds of 2"
    )
    with pytest.raises(NotAllowed, match="queued_kinds"):
        machine.submit(*kinds(1), time_limit=60.0)
    machine.submit(*kinds(3), owner=BOB)
    for job in [job for job in machine.world.jobs.values() if job.need == first.need]:
        machine.tell(ev.CancelAsked(job.id, ALICE.uid))
    machine.submit(*kinds(3))
    machine.tell()
    assert {uid: len(found) for uid, found in machine.world.kinds.items()} == {
        ALICE.uid: 2, BOB.uid: 1,
    }  # fmt: skip


def test_an_ordinary_user_has_a_quota_of_kinds_and_an_admin_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("launcher.core.scheduling.quota.ORDINARY_QUEUED_KINDS", 2)
    machine = Machine(slices=[])
    with pytest.raises(NotAllowed, match="queued_kinds of 2"):
        machine.submit(*kinds(1, 2, 3))
    new = tuple(ev.NewJob(JobSpec("job", IMAGE.reference, n), "{}", IMAGE) for n in kinds(1, 2, 3))
    submit(machine.world, ev.Submitted(ALICE, new, admin=True), machine.time)


def test_an_edit_and_a_retry_count_against_the_quota_of_kinds() -> None:
    machine = Machine(slices=[mig(0)], rules=Settings(user_quota=Quota(queued_kinds=2)))
    (over,) = machine.submit(*kinds(1))
    machine.run(over)
    machine.end(over, 1)
    one, two, _ = machine.submit(*kinds(2, 3, 3))
    with pytest.raises(NotAllowed, match="queued_kinds of 2"):
        machine.tell(ev.RetryAsked((ev.Retried(over),), ALICE.uid))
    with pytest.raises(NotAllowed, match="queued_kinds of 2"):
        machine.tell(ev.EditAsked(two.id, ALICE, admin=False, need=kinds(4)[0]))
    with pytest.raises(NotAllowed, match="queued_kinds of 2"):
        machine.tell(ev.EditAsked(two.id, ALICE, admin=False, time_limit=60.0))
    machine.tell(ev.EditAsked(two.id, ALICE, admin=False, need=one.need))
    machine.run(one)
    machine.tell(ev.EditAsked(one.id, ALICE, admin=False, time_limit=60.0))
    for job in (one, two):
        machine.tell(ev.CancelAsked(job.id, ALICE.uid))


def waiting(owner: Owner, *counts: int, admin: bool = False) -> ev.Submitted:
    """A held job, and for each count one that waits for so many others: all the same ones."""
    spec = JobSpec("job", IMAGE.reference, profile(), hold=True)
    others = [ev.NewJob(spec, "", IMAGE) for _ in range(max(counts))]
    after = [
        ev.NewJob(spec, "", IMAGE, tuple(Dependency(at, After.ANY) for at in range(count)))
        for count in counts
    ]
    return ev.Submitted(owner, (*others, *after), admin=admin)


def test_more_dependencies_than_the_quota_are_refused_and_come_back_as_jobs_end() -> None:
    machine = Machine(slices=[], rules=Settings(user_quota=Quota(queued_dependencies=5)))
    (_, _, _, first), _ = submit(machine.world, waiting(ALICE, 3), machine.time)
    with pytest.raises(NotAllowed) as refused:
        submit(machine.world, waiting(ALICE, 3), machine.time)
    assert refused.value.message == (
        "user alice has jobs that wait for 3 others, 3 more would be above the quota "
        "queued_dependencies of 5"
    )
    machine.tell(ev.CancelAsked(first.id, ALICE.uid))
    submit(machine.world, waiting(ALICE, 2, 3), machine.time)
    assert machine.world.waits == {ALICE.uid: 5}


def test_an_ordinary_user_has_a_quota_of_dependencies_and_an_admin_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("launcher.core.scheduling.quota.ORDINARY_QUEUED_DEPENDENCIES", 2)
    world, now = Machine(slices=[]).world, ev.Now(1.0, 1.0)
    with pytest.raises(NotAllowed, match="queued_dependencies of 2"):
        submit(world, waiting(ALICE, 3), now)
    submit(world, waiting(ALICE, 3, admin=True), now)


def test_what_could_never_start_under_the_quota_is_refused_at_once() -> None:
    machine = Machine(rules=Settings(user_quota=Quota(running_slices=1)))
    with pytest.raises(NotAllowed, match="2 slices at once"):
        machine.submit(profile(count=2))


def reserved(machine: Machine, start: float, end: float, **whose: str | None) -> None:
    wall = machine.time.wall
    fields = {"user": None, "group": None} | whose
    machine.world.reservations["demo"] = Reservation(
        "demo", ("MIG-a-0",), fields["user"], fields["group"], wall + start, wall + end, ROOT
    )


def test_a_reserved_slice_is_for_its_user_only_while_the_window_lasts() -> None:
    machine = Machine(slices=[mig(0)])
    reserved(machine, -10, 100, user="bob")
    (alices,) = machine.submit(profile(), owner=ALICE)
    assert machine.reasons(alices) == [Reason.RESERVATION]
    (bobs,) = machine.submit(profile(), owner=BOB)
    assert bobs.state is State.STARTING
    machine.run(bobs)
    machine.wait(101)
    machine.end(bobs)
    assert alices.state is State.STARTING


def test_before_the_window_only_jobs_that_end_in_time_get_the_slice() -> None:
    for limit, expected in (
        (3000.0, State.STARTING),
        (4000.0, State.PENDING),
        (None, State.PENDING),
    ):
        machine = Machine(slices=[mig(0)])
        reserved(machine, HOUR, 2 * HOUR, group="vips")
        (job,) = machine.submit(profile(), time_limit=limit)
        assert job.state is expected


def test_members_of_the_group_are_let_in() -> None:
    machine = Machine(slices=[mig(0)])
    reserved(machine, -1, HOUR, group="vips")
    machine.world.groups[ALICE.uid] = frozenset({"vips"})
    (job,) = machine.submit(profile())
    assert machine.reasons(job) == [Reason.RESERVATION], "a submit tells the groups anew"
    machine.world.groups[ALICE.uid] = frozenset({"vips"})
    machine.tell(ev.Tick())
    assert job.state is State.STARTING


def test_a_reservation_is_refused_where_it_cannot_be_and_ends_by_itself() -> None:
    machine = Machine(slices=[mig(0), mig(1)])
    wall = machine.time.wall
    first = ev.ReserveAsked("a", ROOT, wall, wall + 60, "bob", None, (), "1g.6gb", 1)
    machine.tell(first)
    for wrong, error in (
        (dataclasses.replace(first), StaleRequest),
        (dataclasses.replace(first, name="b", count=2), UserError),
        (dataclasses.replace(first, name="b", slices=("MIG-a-0",)), UserError),
        (dataclasses.replace(first, name="b", slices=("MIG-x",)), UserError),
        (dataclasses.replace(first, name="b", end=wall - 1), UserError),
        (dataclasses.replace(first, name="b", group="vips"), UserError),
    ):
        with pytest.raises(error):
            machine.tell(wrong)
    machine.wait(61)
    machine.tell(dataclasses.replace(first, name="b", start=wall + 70, end=wall + 99, count=2))
    assert list(machine.world.reservations) == ["b"]
    machine.tell(ev.UnreserveAsked("b"))
    with pytest.raises(StaleRequest, match="reservation b does not exist"):
        machine.tell(ev.UnreserveAsked("b"))


def test_a_gang_keeps_no_slice_that_is_reserved_for_somebody_else() -> None:
    machine = Machine(slices=[mig(0), mig(1)])
    (running,) = machine.submit(profile(), time_limit=100.0)
    machine.run(running)
    wall = machine.time.wall
    machine.world.reservations["r"] = Reservation(
        "r", ("MIG-a-1",), "bob", None, wall, wall + HOUR, ROOT
    )
    (gang,) = machine.submit(profile(count=2), owner=ALICE, priority=50)
    (bobs,) = machine.submit(profile(), owner=BOB, priority=10)
    assert (gang.state, bobs.state) == (State.PENDING, State.STARTING)
