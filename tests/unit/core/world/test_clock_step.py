"""The wall clock is set by a day while jobs run and wait: what counts seconds goes on counting."""

from __future__ import annotations

import dataclasses

import pytest

from launcher.core.messages import events as ev
from launcher.core.messages.actions import StopAttempt
from launcher.core.model.job import Job, Outcome, Reason, State
from launcher.core.policy.settings import Settings
from launcher.core.recovery.reconcile import resume
from launcher.core.scheduling.fairshare import FairShareOrder
from launcher.spec.job_spec import Retries
from tests.support.builders import ALICE, BOB, IMAGE, ROOT, Machine, mig, moment_text, profile

DAY = 86400.0
both_ways = pytest.mark.parametrize("step", [-DAY, DAY, -3600.0, 10 * DAY])


def set_clock(machine: Machine, step: float) -> None:
    machine.time = dataclasses.replace(machine.time, wall=machine.time.wall + step)
    machine.tell(ev.Tick())


def started(machine: Machine, **spec: object) -> Job:
    (job,) = machine.submit(profile(), **spec)
    machine.run(job)
    return job


def stops(actions: list[object]) -> list[int]:
    return [a.job for a in actions if isinstance(a, StopAttempt)]


@both_ways
def test_a_time_limit_is_over_when_its_seconds_are(step: float) -> None:
    machine = Machine()
    job = started(machine, time_limit=600.0)
    machine.tick(100)
    set_clock(machine, step)
    assert not stops(machine.tick(499))
    assert stops(machine.tick(2)) == [job.id]


@both_ways
def test_a_time_limit_is_kept_by_a_daemon_that_takes_the_job_up(step: float) -> None:
    """Also where the clock was set while no daemon ran, or while its disk was full."""
    machine = Machine()
    job = started(machine, time_limit=600.0)
    machine.wait(100)
    machine.time = dataclasses.replace(machine.time, wall=machine.time.wall + step)
    resume(machine.world, machine.time)
    assert job.deadline == machine.time.boot + 500


@both_ways
def test_an_edited_time_limit_counts_from_the_start(step: float) -> None:
    machine = Machine()
    job = started(machine, time_limit=600.0)
    machine.tick(100)
    set_clock(machine, step)
    machine.tell(ev.EditAsked(job.id, ROOT, True, time_limit=300.0))
    assert not stops(machine.tick(199))
    assert stops(machine.tick(2)) == [job.id]


@both_ways
def test_a_retry_waits_for_its_backoff_and_no_longer(step: float) -> None:
    machine = Machine()
    job = started(machine, retries=Retries(2, ("any",), 30.0))
    machine.end(job, 1)
    assert machine.reasons(job) == [Reason.BEGIN_TIME]
    set_clock(machine, step)
    machine.tick(29)
    assert job.state is State.PENDING
    machine.tick(2)
    assert job.state is State.STARTING


@both_ways
def test_a_pull_is_tried_again_after_its_backoff(step: float) -> None:
    machine = Machine()
    (job,) = machine.submit(profile(), pinned=False)
    machine.tell(ev.ImageFailed(IMAGE, "no route to host", transient=True))
    set_clock(machine, step)
    machine.tick(9)
    assert not machine.world.images
    machine.tick(2)
    assert list(machine.world.images[IMAGE].waiting) == [job.id]


@both_ways
def test_a_preemptible_job_runs_undisturbed_for_its_time_and_then_gives_way(step: float) -> None:
    machine = Machine(slices=[mig(0)], rules=Settings(preempt_after=600.0))
    low = started(machine, preemptible=True, priority=10)
    machine.submit(profile(), priority=50, owner=BOB)
    machine.tick(100)
    set_clock(machine, step)
    assert not stops(machine.tick(499))
    assert stops(machine.tick(2)) == [low.id]


@both_ways
def test_an_idle_timeout_counts_seconds(step: float) -> None:
    machine = Machine()
    job = started(machine, idle_timeout=60.0)

    def look() -> list[object]:
        inventory = ev.Inventory("580.95.05", tuple(machine.gpus), tuple(machine.slices))
        return machine.tell(ev.InventoryRead(inventory, idle=frozenset(job.slices)))

    look()
    set_clock(machine, step)
    machine.wait(59)
    assert not stops(look())
    machine.wait(2)
    assert stops(look()) == [job.id]


@both_ways
def test_a_gang_keeps_slices_for_as_long_as_running_jobs_may_run(step: float) -> None:
    machine = Machine(slices=[mig(0), mig(1)])
    started(machine, time_limit=1000.0)
    machine.submit(profile(count=2), owner=BOB)
    machine.tick(100)
    set_clock(machine, step)
    short, long = machine.submit(profile(), time_limit=600.0), machine.submit(profile())
    assert short[0].state is State.STARTING
    assert long[0].state is State.PENDING


@both_ways
def test_a_job_is_charged_for_what_it_ran(step: float) -> None:
    """Neither a day that was not, nor nothing at all."""
    charged = []
    for by in (0.0, step):
        machine = Machine()
        job = started(machine)
        machine.tick(1800)
        set_clock(machine, by)
        machine.tick(1800)
        machine.end(job)
        charged.append(machine.world.uses[ALICE.uid].amount)
    assert charged[1] == pytest.approx(charged[0], rel=1e-6)


@both_ways
def test_what_was_used_before_decays_as_if_nothing_had_happened(step: float) -> None:
    machine = Machine()
    job = started(machine)
    machine.tick(3600)
    machine.end(job)
    before = FairShareOrder(machine.world, machine.time.wall).use(ALICE.uid)
    set_clock(machine, step)
    standing = FairShareOrder(machine.world, machine.time.wall)
    assert standing.use(ALICE.uid) == pytest.approx(before, rel=1e-6)
    machine.submit(profile(count=4), owner=ROOT)
    ours, theirs = machine.submit(profile(), owner=ALICE), machine.submit(profile(), owner=BOB)
    assert machine.reasons(ours[0])
    standing = FairShareOrder(machine.world, machine.time.wall)
    assert standing.of(BOB.uid) < standing.of(ALICE.uid), "who used nothing is in front"
    assert theirs[0].state is State.PENDING


def test_a_begin_time_is_the_wall_clocks() -> None:
    machine = Machine()
    (job,) = machine.submit(profile(), begin=moment_text(machine.time.wall + DAY))
    machine.tick(60)
    assert job.state is State.PENDING
    set_clock(machine, DAY)
    machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
    assert job.state is State.STARTING


def test_a_clock_set_back_makes_who_waits_for_a_time_wait_longer() -> None:
    machine = Machine()
    (job,) = machine.submit(profile(), begin=moment_text(machine.time.wall + 60))
    set_clock(machine, -DAY)
    machine.tick(120)
    assert machine.reasons(job) == [Reason.BEGIN_TIME]
    machine.tick(DAY)
    machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
    assert job.state is State.STARTING


def test_a_job_whose_time_has_come_is_not_forgotten_when_the_clock_is_set_back() -> None:
    machine = Machine()
    (job,) = machine.submit(profile(), begin=moment_text(machine.time.wall + 60), pinned=False)
    machine.tick(61)
    assert list(machine.world.images[IMAGE].waiting) == [job.id]
    set_clock(machine, -DAY)
    machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
    assert job.state is State.STARTING


def test_a_job_that_queues_and_whose_time_has_come_keeps_its_place() -> None:
    machine = Machine(slices=[mig(0)])
    holder = started(machine)
    (job,) = machine.submit(profile(), begin=moment_text(machine.time.wall + 60))
    machine.tick(61)
    machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
    set_clock(machine, -DAY)
    assert machine.reasons(job) == [Reason.RESOURCES]
    machine.end(holder)
    assert job.state is State.STARTING


@both_ways
def test_a_cancelled_job_is_cancelled_whatever_the_clock_says_when_it_ends(step: float) -> None:
    """Docker stamps the end by the new clock, the cancel was asked for by the old one."""
    machine = Machine()
    job = started(machine)
    machine.tell(ev.CancelAsked(job.id, ALICE.uid))
    set_clock(machine, step)
    machine.wait(1)
    machine.end(job, 143)
    assert job.outcome is Outcome.CANCELLED


def test_a_clock_that_is_slowly_corrected_disturbs_nothing() -> None:
    machine = Machine()
    job = started(machine, time_limit=3600.0)
    for _ in range(35):
        machine.time = dataclasses.replace(machine.time, wall=machine.time.wall + 0.5)
        assert not stops(machine.tick(100))
    resume(machine.world, machine.time)
    assert job.deadline == pytest.approx(machine.time.boot + 100, abs=2.0)
