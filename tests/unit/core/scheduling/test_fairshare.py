"""Who goes first among equals: whoever had less of the machine lately."""

from __future__ import annotations

import pytest

from launcher.core.messages import events as ev
from launcher.core.model.job import Job, State
from launcher.core.model.use import accrued, decayed
from launcher.core.policy.settings import DAY, FairShare, Settings
from launcher.core.scheduling.explain import Explainer
from launcher.core.scheduling.fairshare import FairShareOrder
from launcher.core.scheduling.scheduler import QueueWalk
from tests.support.builders import ALICE, BOB, CPU, Machine, mig, profile


def started(*jobs: Job) -> list[bool]:
    return [job.state is not State.PENDING for job in jobs]


def use(machine: Machine, uid: int) -> float:
    return FairShareOrder(machine.world, machine.time.wall).use(uid)


def test_a_burst_of_submits_does_not_take_every_slice_from_who_comes_right_behind() -> None:
    machine = Machine(slices=[])
    burst = machine.submit(*[profile()] * 8, owner=ALICE)
    others = machine.submit(*[profile()] * 2, owner=BOB)
    machine.see([mig(i) for i in range(4)])
    assert sum(started(*burst)) == 2
    assert started(*others) == [True, True]


def test_who_used_less_goes_first_and_priority_stands_above_that() -> None:
    machine = Machine(slices=[mig(0)])
    (first,) = machine.submit(profile(), owner=ALICE)
    machine.run(first)
    mine, urgent = (machine.submit(profile(), owner=ALICE, priority=p)[0] for p in (40, 50))
    (bobs,) = machine.submit(profile(), owner=BOB, priority=40)
    machine.wait(600)
    machine.end(first)
    assert started(urgent, bobs, mine) == [True, False, False]
    machine.run(urgent)
    machine.end(urgent)
    assert started(bobs, mine) == [True, False]


def test_the_end_of_a_job_changes_nobodys_place() -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile(), owner=ALICE)
    machine.run(job)
    machine.wait(3600)
    before = use(machine, ALICE.uid)
    machine.end(job)
    assert use(machine, ALICE.uid) == pytest.approx(before)
    assert before == pytest.approx(3600 * mig(0).memory_mib / 1024, rel=0.01)


def test_a_use_counts_half_after_the_half_life() -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile(), owner=ALICE)
    machine.run(job)
    machine.wait(1000)
    machine.end(job)
    before = use(machine, ALICE.uid)
    machine.wait(7 * DAY)
    assert use(machine, ALICE.uid) == pytest.approx(before / 2)


def test_a_job_that_has_just_started_counts_its_entry_charge() -> None:
    machine = Machine(rules=Settings(FairShare(entry_charge=100.0)))
    machine.submit(profile(), owner=ALICE)
    assert use(machine, ALICE.uid) == pytest.approx(100 * mig(0).memory_mib / 1024, rel=0.001)


def test_a_user_with_twice_the_share_may_have_used_twice_as_much() -> None:
    rules = Settings(FairShare(shares={"alice": 2.0}))
    machine = Machine(rules=rules)
    machine.submit(profile(), owner=ALICE)
    machine.submit(profile(), owner=BOB)
    standing = FairShareOrder(machine.world, machine.time.wall)
    assert standing.use(ALICE.uid) == standing.use(BOB.uid)
    assert standing.of(BOB.uid) - standing.of(ALICE.uid) == pytest.approx(1.0), "one half-life"


def test_jobs_without_a_slice_are_shared_out_too() -> None:
    machine = Machine(cpu_slots=2)
    machine.tell(ev.EngineDown("away"))
    burst = machine.submit(CPU, CPU, CPU, owner=ALICE)
    others = machine.submit(CPU, owner=BOB)
    machine.tell(ev.EngineUp())
    assert started(*burst, *others) == [True, False, False, True]
    machine.run(burst[0])
    machine.wait(50)
    machine.end(burst[0])
    assert use(machine, ALICE.uid) == pytest.approx(50.0 + 60.0, rel=0.001)


def test_use_that_accrues_decays_by_the_same_rule_as_use_that_is_over() -> None:
    half = 1000.0
    whole = accrued(3.0, 500.0, half)
    parts = decayed(accrued(3.0, 200.0, half), 300.0, half) + accrued(3.0, 300.0, half)
    assert whole == pytest.approx(parts)


def test_the_order_that_is_shown_is_the_order_in_which_users_will_take_turns() -> None:
    machine = Machine(slices=[])
    alices = machine.submit(*[profile()] * 4, owner=ALICE)
    bobs = machine.submit(*[profile()] * 2, owner=BOB)
    urgent = machine.submit(profile(), owner=ALICE, priority=50)
    for job in (*alices, *bobs):
        machine.tell(ev.EditAsked(job.id, ALICE, False, priority=10))
    shown = [job.id for job in QueueWalk(machine.world, machine.time).order()]
    machine.see([mig(0)])
    served = []
    while waiting := [j for j in machine.world.jobs.values() if j.state is State.STARTING]:
        (job,) = waiting
        served.append(job.id)
        machine.run(job)
        machine.wait(60)
        machine.end(job)
    assert shown == served
    assert served[0] == urgent[0].id
    explainer = Explainer(machine.world, machine.time)
    assert explainer.position(urgent[0]) is None


def test_places_are_those_of_the_order_that_is_shown() -> None:
    machine = Machine(slices=[])
    jobs = machine.submit(*[profile()] * 3, owner=ALICE) + machine.submit(
        *[profile()] * 2, owner=BOB
    )
    order = list(QueueWalk(machine.world, machine.time).order())
    explainer = Explainer(machine.world, machine.time)
    assert [explainer.position(job) for job in jobs] == [1 + order.index(job) for job in jobs]


def test_a_clock_set_back_charges_nothing_and_gives_nothing_back() -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile(), owner=ALICE)
    machine.run(job)
    machine.wait(-7200)
    machine.end(job)
    assert use(machine, ALICE.uid) == 0.0


def test_nobody_is_charged_for_the_time_in_which_nothing_ran() -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile(), owner=ALICE)
    machine.run(job)
    machine.wait(3 * DAY)
    machine.end(job, ago=3 * DAY - 60)
    assert use(machine, ALICE.uid) < 61 * mig(0).memory_mib / 1024


@pytest.mark.parametrize("seconds", [0.0, 3600.0, 1025 * 60.0, 400 * 365 * DAY])
def test_a_clock_that_is_many_half_lives_behind_ends_nothing(seconds: float) -> None:
    machine = Machine(rules=Settings(fair_share=FairShare(half_life=60.0)))
    (job,) = machine.submit(profile(), owner=ALICE)
    machine.run(job)
    machine.wait(10)
    machine.end(job)
    (again,) = machine.submit(profile(), owner=ALICE)
    machine.run(again)
    standing = FairShareOrder(machine.world, machine.time.wall - seconds)
    assert standing.of(ALICE.uid) > standing.of(BOB.uid)
