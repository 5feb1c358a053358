"""The queue in virtual time: the same decisions, and nobody has to wait for them."""

from __future__ import annotations

import copy
import dataclasses

import pytest

from launcher.core.messages import events as ev
from launcher.core.model.job import ALONE, After, Dependency, Job, State
from launcher.core.model.reservation import Reservation
from launcher.core.policy.settings import HOUR, Settings
from launcher.core.replay import Replay, idle_copy, runtimes
from launcher.spec.job_spec import JobSpec, SignalBefore
from tests.support.builders import ALICE, BOB, CPU, IMAGE, ROOT, Machine, mig, moment_text, profile


def play(machine: Machine, **medians: float) -> Replay:
    """Replay what a machine has, on a copy."""
    world = copy.deepcopy(machine.world)
    known = {(ALICE.uid, name): seconds for name, seconds in medians.items()}
    replay = Replay(world, machine.time, runtimes(world, known))
    replay.run()
    return replay


def spans(replay: Replay, machine: Machine) -> dict[int, tuple[float, float]]:
    """Return job -> start and end, in seconds from the replay's beginning."""
    zero = machine.time.wall
    return {ran.job.id: (round(ran.start - zero), round(ran.end - zero)) for ran in replay.ran}


def test_jobs_run_one_after_another_for_as_long_as_their_limits_say() -> None:
    machine = Machine(slices=[mig(0)])
    first, second, third = (machine.submit(profile(), time_limit=t)[0] for t in (100, 50, 10))
    machine.run(first)
    found = spans(play(machine), machine)
    assert found == {first.id: (0, 100), second.id: (100, 150), third.id: (150, 160)}
    assert second.state is State.PENDING, "the replayed world is a copy"


def test_what_runs_already_has_run_for_a_while() -> None:
    machine = Machine(slices=[mig(0)])
    first, second = machine.submit(profile(), profile(), time_limit=100)
    machine.run(first)
    machine.wait(30)
    assert spans(play(machine), machine)[second.id] == (70, 170)


def test_a_job_without_a_limit_takes_what_is_assumed_and_a_known_name_its_median() -> None:
    machine = Machine(slices=[mig(0)], rules=Settings(assumed_time_limit=HOUR))
    (job,) = machine.submit(profile())
    assert spans(play(machine), machine)[job.id] == (0, 3600)
    assert spans(play(machine, job=7.0), machine)[job.id] == (0, 7)


def test_how_long_a_users_jobs_took_says_nothing_of_anothers_jobs_of_that_name() -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile(), owner=BOB, time_limit=100)
    assert spans(play(machine, job=7.0), machine)[job.id] == (0, 100)


def test_a_gang_a_backfill_and_a_dependency_happen_as_in_earnest() -> None:
    machine = Machine(slices=[mig(0), mig(1)], cpu_slots=1)
    (long,) = machine.submit(profile(), time_limit=1000)
    machine.run(long)
    (gang,) = machine.submit(profile(count=2), time_limit=100)
    (short,) = machine.submit(profile(), time_limit=200)
    (after,) = machine.submit(CPU, time_limit=10, hold=True)
    after.held = None
    after.waits_for = {Dependency(gang.id, After.OK): None}
    machine.world.dependents[gang.id] = {after.id}
    found = spans(play(machine), machine)
    assert found[short.id] == (0, 200)
    assert found[gang.id] == (1000, 1100)
    assert found[after.id] == (1100, 1110)


def test_a_begin_time_a_reservation_and_a_held_job() -> None:
    machine = Machine(slices=[mig(0)])
    machine.tell(ev.EngineDown("away"))
    late = machine.time.wall + 500
    (later,) = machine.submit(profile(), begin=moment_text(late), time_limit=10)
    (held,) = machine.submit(profile(), hold=True, time_limit=10)
    (kept_out,) = machine.submit(profile(), time_limit=10, owner=BOB)
    machine.world.reservations["r"] = Reservation(
        "r", ("MIG-a-0",), "alice", None, machine.time.wall, machine.time.wall + 800, ROOT
    )
    found = spans(play(machine), machine)
    assert found == {later.id: (500, 510), kept_out.id: (800, 810)}
    assert held.id not in found


def test_a_job_that_gives_way_runs_again_and_is_warned_first() -> None:
    machine = Machine(slices=[mig(0)])
    (low,) = machine.submit(
        profile(),
        priority=1,
        preemptible=True,
        time_limit=5000,
        signal=SignalBefore("SIGUSR1", 60.0),
    )
    machine.run(low)
    (high,) = machine.submit(profile(), priority=50, time_limit=100)
    replay = play(machine)
    runs = [(ran.job.id, round(ran.end - ran.start)) for ran in replay.ran]
    assert runs == [(low.id, 660), (high.id, 100), (low.id, 5000)]


def test_an_array_runs_so_many_at_once() -> None:
    machine = Machine(slices=[mig(i) for i in range(4)])
    machine.tell(ev.EngineDown("away"))
    jobs = machine.submit_array(4, profile(), most=2, time_limit=10.0)
    found = spans(play(machine), machine)
    assert sorted(found[j.id] for j in jobs) == [(0, 10), (0, 10), (10, 20), (10, 20)]


def test_submits_to_come_arrive_at_their_time() -> None:
    machine = Machine(slices=[mig(0)])
    other = Machine(slices=[mig(0)])
    (job,) = other.submit(profile(), time_limit=10.0)
    new = ev.NewJob(_spec_of(job), "{}", job.image)
    at = machine.time.wall + 60
    submitted = ev.Submitted(job.owner, (new,))
    replay = Replay(machine.world, machine.time, runtimes(machine.world, {}), [(at, submitted)])
    replay.run()
    assert spans(replay, machine) == {1: (60, 70)}


def _spec_of(job: Job) -> JobSpec:
    return JobSpec(job.name, job.image.reference, job.need, time_limit=job.time_limit)


def test_a_replay_ends_though_a_gang_waits_for_ever() -> None:
    machine = Machine(slices=[mig(0), mig(1)])
    (gang,) = machine.submit(profile(count=2))
    machine.see([mig(0), mig(1)], {"MIG-a-1": "is used by process 7"})
    assert gang.id not in spans(play(machine), machine) or gang.state is not State.PENDING


def test_it_can_stop_when_enough_was_seen() -> None:
    machine = Machine(slices=[mig(0)])
    first, second = machine.submit(profile(), profile(), time_limit=100)
    machine.run(first)
    replay = Replay(machine.world, machine.time, runtimes(machine.world, {}))
    replay.run(until=lambda: second.state is not State.PENDING)
    assert replay.now.wall == pytest.approx(machine.time.wall + 100)


def test_an_idle_copy_has_the_waiting_jobs_and_what_they_waited_for_is_done() -> None:
    machine = Machine(slices=[mig(0)])
    first, second = machine.submit_array(2, profile(), most=1, time_limit=10.0)
    machine.run(first)
    (after,) = machine.submit(CPU, time_limit=5.0, hold=True)
    after.held = None
    after.waits_for = dict.fromkeys((Dependency(first.id), Dependency(second.id)))
    copied = idle_copy(machine.world, [second, after])
    assert all(state.free for state in copied.slices.values())
    assert list(copied.jobs[after.id].waits_for) == [Dependency(second.id)]
    assert copied.arrays[1].live == {second.id}
    assert machine.world.arrays[1].live == {first.id, second.id}


def test_an_alarm_between_two_numbers_of_the_other_clock_does_not_stop_the_replay() -> None:
    for boot in (847492.0369372327, 12345.000000123, 99999.99999999):
        machine = Machine(slices=[mig(0)])
        machine.time = ev.Now(machine.time.wall + 0.1234567, boot)
        (job,) = machine.submit(profile(), time_limit=600.1, signal=SignalBefore("SIGUSR1", 33.3))
        machine.run(job)
        assert spans(play(machine, job=600.0), machine)[job.id] == (0, 600)


def test_a_replay_knows_starts_delays_and_jobs_that_run_alone() -> None:
    machine = Machine(slices=[], cpu_slots=8)
    (first,) = machine.submit(CPU, time_limit=100.0)
    waits = (Dependency(first.id, After.START, delay=60.0), None)
    spec = JobSpec("job", IMAGE.reference, CPU, time_limit=10.0)
    new = [
        ev.NewJob(spec, "{}", IMAGE, after=(waits,)),
        ev.NewJob(dataclasses.replace(spec, name="a", singleton=True), "{}", IMAGE),
        ev.NewJob(dataclasses.replace(spec, name="a", singleton=True), "{}", IMAGE),
    ]
    machine.tell(ev.Submitted(ALICE, tuple(new)))
    replay = Replay(machine.world, machine.time, runtimes(machine.world, {}))
    replay.run()
    began = {ran.job.id: round(ran.start - machine.time.wall) for ran in replay.ran}
    assert began == {first.id: 0, first.id + 1: 60, first.id + 2: 0, first.id + 3: 10}


def test_an_idle_copy_keeps_who_runs_alone_and_one_of_several_that_is_done() -> None:
    machine = Machine(slices=[], cpu_slots=8)
    first, second = machine.submit(CPU, CPU, time_limit=10.0, hold=True)
    both = tuple((Dependency(job.id, After.OK, either=True), None) for job in (first, second))
    spec = JobSpec("a", IMAGE.reference, CPU, singleton=True)
    machine.tell(ev.Submitted(ALICE, (ev.NewJob(spec, "{}", IMAGE, after=both),)))
    job = machine.world.jobs[second.id + 1]
    waits = {ids: list(_waits(machine, [first, second, job], ids)) for ids in (1, 2)}
    assert waits == {1: [], 2: [dependency for dependency, _ in both]}


def _waits(machine: Machine, jobs: list[Job], others: int) -> list[Dependency]:
    """Return what the last waits for in a copy with so many of the others, but for itself."""
    copied = idle_copy(machine.world, [*jobs[:others], jobs[-1]])
    return [d for d in copied.jobs[jobs[-1].id].waits_for if d != ALONE]
