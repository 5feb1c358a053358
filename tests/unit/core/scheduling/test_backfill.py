"""Gangs keep what is free for themselves, and short jobs may run in front of them."""

from __future__ import annotations

import pytest

from launcher.core.model.job import Job, Reason, State
from launcher.core.policy.settings import HOUR, Policy, Quota, Settings
from launcher.core.scheduling.explain import blockers
from launcher.core.world.pending_queue import limit_class
from launcher.spec.gpus import GpuRequest
from tests.support.builders import BOB, Machine, memory, mig, profile

TWO = [mig(0), mig(1)]


def waiting_gang(limit: float | None = 1000.0, **rules: float) -> tuple[Machine, Job, Job]:
    """A machine of two slices: one is busy, a gang of two waits for it."""
    machine = Machine(slices=TWO, rules=Settings(**rules))  # type: ignore[arg-type]
    (running,) = machine.submit(profile(), time_limit=limit)
    machine.run(running)
    (gang,) = machine.submit(profile(count=2), time_limit=600.0)
    return machine, running, gang


def test_a_job_that_ends_before_the_gang_could_start_runs_in_front_of_it() -> None:
    machine, running, gang = waiting_gang()
    (short,) = machine.submit(profile(), time_limit=900.0)
    assert (short.state, gang.state) == (State.STARTING, State.PENDING)
    machine.run(short)
    machine.end(short)
    machine.end(running)
    assert gang.state is State.STARTING


@pytest.mark.parametrize("limit", [1001.0, 5000.0, None])
def test_a_job_that_could_delay_the_gang_waits_and_is_told_for_whom(limit: float | None) -> None:
    machine, _, gang = waiting_gang()
    (long,) = machine.submit(profile(), time_limit=limit)
    (blocker,) = blockers(machine.world, long, machine.time)
    assert (long.state, blocker.reason, blocker.jobs) == (
        State.PENDING,
        Reason.PRIORITY,
        (gang.id,),
    )


def test_less_time_is_left_for_backfill_as_the_running_job_goes_on() -> None:
    machine, _, _ = waiting_gang()
    machine.wait(500)
    late, early = (machine.submit(profile(), time_limit=t)[0] for t in (600.0, 400.0))
    assert (late.state, early.state) == (State.PENDING, State.STARTING)


def test_a_running_job_without_a_limit_counts_as_long_as_is_assumed() -> None:
    machine, _, _ = waiting_gang(None, assumed_time_limit=2 * HOUR)
    (fits,) = machine.submit(profile(), time_limit=1.5 * HOUR)
    assert fits.state is State.STARTING
    machine, _, _ = waiting_gang(None, assumed_time_limit=HOUR)
    (too_long,) = machine.submit(profile(), time_limit=1.5 * HOUR)
    assert too_long.state is State.PENDING


def test_slices_idle_for_a_gang_only_so_long_then_others_get_a_turn_as_long() -> None:
    machine, _, gang = waiting_gang(None, holdback_idle=100.0)
    (other,) = machine.submit(profile())
    machine.tick(99)
    assert other.state is State.PENDING
    machine.tick(2)
    assert other.state is State.STARTING
    machine.run(other)
    machine.tick(100)
    machine.end(other)
    (next_one,) = machine.submit(profile())
    assert (next_one.state, gang.state) == (State.PENDING, State.PENDING)


def test_a_gang_that_could_not_start_on_all_its_slices_keeps_nobody_back() -> None:
    machine = Machine(slices=TWO)
    (running,) = machine.submit(profile())
    machine.run(running)
    machine.see(TWO, {"MIG-a-1": "is used by process 7"})
    machine.submit(profile(count=2))
    machine.end(running)
    (small,) = machine.submit(profile())
    assert small.state is State.STARTING


def test_a_request_by_memory_leaves_the_slice_that_others_wait_for() -> None:
    """Two jobs want the only 12 GB slice that is free; the 24 GB one would do as well for one."""
    big = mig(2, "4g.24gb", gpu="GPU-b", start=0)
    mid = mig(2, "2g.12gb", start=2)
    machine = Machine(slices=[])
    (any_ten,) = machine.submit(memory(10), priority=50)
    (wants_mid,) = machine.submit(profile("2g.12gb"), priority=10)
    machine.see([mid, big])
    assert any_ten.slices == (big.uuid,)
    assert wants_mid.slices == (mid.uuid,)


def test_a_request_by_memory_takes_the_smallest_where_nobody_else_waits() -> None:
    big = mig(2, "4g.24gb", gpu="GPU-b", start=0)
    mid = mig(2, "2g.12gb", start=2)
    machine = Machine(slices=[mid, big])
    (any_ten,) = machine.submit(memory(10))
    assert any_ten.slices == (mid.uuid,)


def test_slices_named_by_uuid_are_a_gang_too() -> None:
    machine = Machine(slices=TWO)
    (running,) = machine.submit(profile(), time_limit=500.0)
    machine.run(running)
    (pair,) = machine.submit(GpuRequest("uuid", uuids=("MIG-a-0", "MIG-a-1")))
    (small,) = machine.submit(profile())
    assert (pair.state, small.state) == (State.PENDING, State.PENDING)


def test_limits_share_a_class_of_an_eighth_of_an_octave_and_none_is_its_own() -> None:
    assert limit_class(None) is None
    for seconds in (0.5, 1.0, 59.0, 61.0, 3600.0, 86400.0):
        assert seconds <= (limit_class(seconds) or 0) <= seconds * 1.125
    assert len({limit_class(60.0 + i) for i in range(10_000)}) < 70


def test_a_long_grace_does_not_keep_the_short_ones_behind_from_backfilling() -> None:
    machine, _, _ = waiting_gang()
    machine.world.rules = Settings(policy=Policy(max_stop_grace=80_000.0))
    (slow_to_end,) = machine.submit(profile(), time_limit=600.0, stop_grace_period=80_000.0)
    (short,) = machine.submit(profile(), time_limit=600.0)
    assert (slow_to_end.state, short.state) == (State.PENDING, State.STARTING)


def test_what_a_gang_no_longer_keeps_once_a_start_took_its_quota_is_given_in_the_same_pass() -> (
    None
):
    machine = Machine(rules=Settings(user_quota=Quota(running_slices=3)))
    (running,) = machine.submit(GpuRequest("uuid", uuids=("MIG-a-1",)))
    (gang,) = machine.submit(GpuRequest("uuid", uuids=("MIG-a-1", "MIG-a-2")))
    (third,) = machine.submit(GpuRequest("uuid", uuids=("MIG-a-0",)), owner=BOB)
    first, second = machine.submit(profile(), profile())
    assert (running.state, third.state, first.slices) == (
        State.STARTING, State.STARTING, ("MIG-a-3",),
    )  # fmt: skip
    assert (gang.state, second.slices) == (State.PENDING, ("MIG-a-2",))
    (blocker,) = blockers(machine.world, gang, machine.time)
    assert blocker.reason is Reason.QUOTA
