"""When the slices of running jobs should be free, and whose turn it is to keep the free ones."""

from __future__ import annotations

from launcher.core.model.job import Job, State
from launcher.core.scheduling.holdback import (
    RELEASE_SECONDS,
    HeldBack,
    ends_in,
    limit_in,
    may_withhold,
    runs_for,
    starts_in,
    withhold,
)
from tests.support.builders import Machine, mig, profile


def running(machine: Machine, **spec: object) -> Job:
    (job,) = machine.submit(profile(), **spec)  # type: ignore[arg-type]
    machine.run(job)
    return job


def key(job: Job) -> tuple[int, float, int]:
    return (-job.priority, 0.0, job.id)


def test_a_job_without_a_time_limit_holds_its_slices_for_an_unknown_time() -> None:
    job = running(Machine())
    assert runs_for(job) is None
    job.time_limit = 60.0
    assert runs_for(job) == 60 + job.stop_grace + RELEASE_SECONDS


def test_the_time_that_is_left_is_never_negative() -> None:
    machine = Machine()
    job = running(machine, time_limit=60.0)
    machine.wait(20)
    assert limit_in(machine.world, job, machine.time) == 40
    machine.wait(100)
    assert limit_in(machine.world, job, machine.time) == 0


def test_a_job_that_starts_counts_from_its_grant_and_one_without_a_limit_with_the_assumed() -> None:
    machine = Machine()
    limited, unlimited = machine.submit(profile(), time_limit=60.0)[0], machine.submit(profile())[0]
    assert limited.state is unlimited.state is State.STARTING
    machine.wait(20)
    assert limit_in(machine.world, limited, machine.time) == 40
    assumed = machine.world.rules.assumed_time_limit
    assert limit_in(machine.world, unlimited, machine.time) == assumed - 20


def test_a_job_that_ended_only_has_its_slice_to_prove_free() -> None:
    machine = Machine()
    job = running(machine, time_limit=600.0)
    assert ends_in(machine.world, job, machine.time) == 600 + job.stop_grace + RELEASE_SECONDS
    machine.end(job, idle=False)
    assert job.state is State.COMPLETING
    assert ends_in(machine.world, job, machine.time) == RELEASE_SECONDS


def test_a_gang_starts_when_the_last_slice_that_it_needs_is_free() -> None:
    machine = Machine(slices=[mig(n) for n in range(3)])
    jobs = [running(machine, time_limit=limit) for limit in (60.0, 600.0)]
    usable = list(machine.world.slices.values())
    ends = [ends_in(machine.world, job, machine.time) for job in jobs]
    times = [starts_in(machine.world, usable, n, machine.time) for n in (1, 2, 3)]
    assert times == [0.0, *ends]


def test_a_gang_keeps_as_many_free_slices_as_it_needs_and_no_more() -> None:
    machine = Machine(slices=[mig(n) for n in range(4)])
    (gang,) = machine.submit(profile(count=2), pinned=False)
    held: dict[str, HeldBack] = {}
    withhold(machine.world, key(gang), list(machine.world.slices.values()), held, machine.time)
    assert [one.job for one in held.values()] == [gang.id, gang.id]


def test_a_gang_that_could_not_start_on_all_slices_that_it_could_use_keeps_none() -> None:
    machine = Machine(slices=[mig(n) for n in range(2)])
    (gang,) = machine.submit(profile(count=3), pinned=False)
    held: dict[str, HeldBack] = {}
    withhold(machine.world, key(gang), list(machine.world.slices.values()), held, machine.time)
    assert held == {}


def test_a_gang_keeps_nothing_while_nothing_is_free() -> None:
    machine = Machine(slices=[mig(n) for n in range(2)])
    for _ in range(2):
        running(machine)
    (gang,) = machine.submit(profile(count=2), pinned=False)
    held: dict[str, HeldBack] = {}
    withhold(machine.world, key(gang), list(machine.world.slices.values()), held, machine.time)
    assert held == {}


def test_a_gang_keeps_slices_and_pauses_in_turns_of_equal_length() -> None:
    machine = Machine()
    (gang,) = machine.submit(profile(count=2), pinned=False)
    turn = machine.world.rules.holdback_idle
    machine.world.keeping[gang.id] = machine.time.boot
    turns = []
    for _ in range(4):
        turns.append(may_withhold(machine.world, gang, machine.time))
        machine.wait(turn)
    assert turns == [True, False, True, False]
