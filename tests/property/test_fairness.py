"""Fairness over virtual weeks, and what backfill may never do."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.core.messages import events as ev
from launcher.core.model.job import Job, Owner, State
from launcher.core.policy.settings import DAY, HOUR, FairShare, Settings
from launcher.core.replay import Ran, Replay, runtimes
from launcher.core.scheduling.scheduler import QueueWalk, grant, schedule
from launcher.spec.gpus import GpuRequest
from tests.support.builders import ALICE, BOB, CPU, Machine, memory, mig, moment_text, profile
from tests.support.whole import many

WEEK = 7 * DAY


def weeks_work(machine: Machine, owner: Owner, limit: float, seconds: float = WEEK) -> list[Job]:
    """Queue more jobs of this length than the whole machine could do in the time."""
    many = int(len(machine.slices) * seconds / limit) + 1
    return machine.submit(*[profile()] * many, owner=owner, time_limit=limit)


def play(machine: Machine, until: float) -> list[Ran]:
    """Replay until so many seconds have passed; returns what had begun by then."""
    machine.tell(ev.EngineUp())
    replay = Replay(machine.world, machine.time, runtimes(machine.world, {}))
    end = machine.time.wall + until
    replay.run(until=lambda: replay.now.wall >= end)
    return [ran for ran in replay.ran if ran.start < end]


def used(runs: list[Ran], owner: Owner, since: float, until: float) -> float:
    """Return the slice-seconds that a user had in a span of time."""
    return sum(
        max(0.0, min(r.end, until) - max(r.start, since)) * len(r.slices)
        for r in runs
        if r.job.owner == owner
    )


def stopped() -> Machine:
    machine = Machine(slices=[mig(i) for i in range(4)])
    machine.tell(ev.EngineDown("until all have submitted"))
    return machine


@pytest.mark.parametrize("bobs", [HOUR, 3 * HOUR])
def test_two_users_with_endless_jobs_get_equal_shares_of_a_week(bobs: float) -> None:
    machine = stopped()
    weeks_work(machine, ALICE, HOUR)
    weeks_work(machine, BOB, bobs)
    start = machine.time.wall
    runs = play(machine, WEEK)
    alice, bob = (used(runs, owner, start, start + WEEK) for owner in (ALICE, BOB))
    assert alice + bob > 0.99 * 4 * WEEK
    assert abs(alice - bob) / (alice + bob) < 0.02


def test_a_user_with_twice_the_share_gets_twice_as_much() -> None:
    machine = stopped()
    machine.world.rules = Settings(FairShare(shares={"alice": 2.0}))
    weeks_work(machine, ALICE, HOUR)
    weeks_work(machine, BOB, HOUR)
    start = machine.time.wall
    runs = play(machine, WEEK)
    alice, bob = (used(runs, owner, start, start + WEEK) for owner in (ALICE, BOB))
    assert alice / bob == pytest.approx(2.0, rel=0.05)


def test_a_newcomer_overtakes_who_had_the_machine_for_a_week() -> None:
    machine = stopped()
    weeks_work(machine, ALICE, HOUR, 2 * WEEK)
    play(machine, WEEK)
    machine.world.changes.history.clear()
    now = ev.Now(machine.time.wall + WEEK, machine.time.boot + WEEK)
    machine.time = now
    newcomers = machine.submit(*[profile()] * 4, owner=BOB, time_limit=HOUR)
    replay = Replay(machine.world, now, runtimes(machine.world, {}))
    replay.run(until=lambda: all(job.state is not State.PENDING for job in newcomers))
    assert replay.now.wall - now.wall <= HOUR, "as soon as the running jobs ended"


limits = st.sampled_from([60.0, 200.0, 1000.0, 4000.0])


@given(
    running=st.lists(limits, min_size=1, max_size=4),
    gang=st.integers(2, 4),
    behind=st.lists(st.tuples(limits, st.integers(1, 2)), max_size=12),
    later=st.lists(st.tuples(limits, st.floats(0, 3000)), max_size=6),
)
@settings(max_examples=many(100, 500), deadline=None)
def test_easy_the_head_never_starts_later_for_those_that_run_in_front_of_it(
    running: list[float],
    gang: int,
    behind: list[tuple[float, int]],
    later: list[tuple[float, float]],
) -> None:
    machine = Machine(slices=[mig(i) for i in range(4)])
    for limit in running:
        for job in machine.submit(profile(), time_limit=limit):
            machine.run(job)
    (head,) = machine.submit(profile(count=gang), time_limit=100.0, priority=50)
    alone = copy.deepcopy(machine)
    for limit, count in behind:
        machine.submit(profile(count=count), time_limit=limit, priority=10)
    for limit, begin in later:
        at = machine.time.wall + begin
        machine.submit(profile(), time_limit=limit, priority=10, begin=moment_text(at))
    assert _start(machine, head.id) <= _start(alone, head.id)


def _start(machine: Machine, job_id: int) -> float:
    job = machine.world.jobs[job_id]
    replay = Replay(machine.world, machine.time, runtimes(machine.world, {}))
    replay.run(until=lambda: job.state is not State.PENDING)
    assert job.state is not State.PENDING
    return replay.now.wall - machine.time.wall


@given(
    asked=st.lists(
        st.tuples(
            st.sampled_from([profile(), profile("2g.12gb"), profile(count=2), memory(5, 2), CPU]),
            st.sampled_from([ALICE, BOB]),
            st.integers(0, 50),
            limits,
            st.booleans(),
        ),
        max_size=20,
    )
)
@settings(max_examples=many(60, 400), deadline=None)
def test_liveness_every_feasible_job_ends_before_all_would_one_after_another(
    asked: list[tuple[GpuRequest, Owner, int, float, bool]],
) -> None:
    rules = Settings(holdback_idle=12 * HOUR, preempt_after=1e9)
    layout = [mig(0), mig(1), mig(2, "2g.12gb", start=2)]
    machine = Machine(slices=layout, rules=rules, cpu_slots=1)
    jobs = [
        machine.submit(
            need, owner=owner, priority=priority, time_limit=limit, preemptible=preemptible
        )[0]
        for need, owner, priority, limit, preemptible in asked
    ]
    replay = Replay(machine.world, machine.time, runtimes(machine.world, {}))
    replay.run()
    assert {ran.job.id for ran in replay.ran} == {job.id for job in jobs}
    assert replay.now.wall - machine.time.wall <= sum(limit for *_, limit, _ in asked)


asks = st.tuples(
    st.sampled_from([profile(), profile("2g.12gb"), profile(count=2), profile(count=3), CPU]),
    st.sampled_from([ALICE, BOB]),
    st.sampled_from([10, 50]),
    st.sampled_from([None, 60.0, 600.0, 6000.0]),
)


@given(before=st.lists(asks, max_size=4), asked=st.lists(asks, max_size=10))
@settings(max_examples=many(100, 500), deadline=None)
def test_looking_at_the_heads_of_lanes_is_as_good_as_looking_at_every_job(
    before: list[tuple[GpuRequest, Owner, int, float | None]],
    asked: list[tuple[GpuRequest, Owner, int, float | None]],
) -> None:
    machine = Machine(slices=[mig(0), mig(1), mig(2, "2g.12gb", start=2)])
    for need, owner, priority, limit in before:
        machine.submit(need, owner=owner, priority=priority, time_limit=limit)
    machine.tell(ev.EngineDown("until all have submitted"))
    for need, owner, priority, limit in asked:
        machine.submit(need, owner=owner, priority=priority, time_limit=limit)
    machine.world.engine_down = None
    naive = copy.deepcopy(machine)
    schedule(machine.world, machine.time)
    _schedule_by_looking_at_every_job(naive)
    ours, theirs = ({j.id: j.slices for j in m.world.jobs.values() if j.state is State.STARTING}
                    for m in (machine, naive))  # fmt: skip
    assert ours == theirs


def _schedule_by_looking_at_every_job(machine: Machine) -> None:
    """The rule as it reads: in order, each job starts, or keeps what it may.

    Where somebody keeps slices a start may change who is in front: then all are looked at again.
    """
    world, started = machine.world, True
    while started:
        walk, started = QueueWalk(world, machine.time), False
        left = [world.jobs[i] for i in world.queue.ids()]
        while left:
            left.sort(key=walk.key)
            job = left.pop(0)
            chosen = walk.choose(job)
            if chosen is None:
                walk.refuse(job)
            else:
                grant(world, job, chosen, machine.time)
                walk.standing.started(job)
                started = True
        started = started and bool(walk.withheld)
