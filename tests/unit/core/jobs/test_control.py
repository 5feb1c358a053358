"""What people do to jobs that exist: requeue, retry, edit; and limits that end them."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest

from launcher.core.jobs.control import MOST_ATTEMPTS, MOST_CHANGES
from launcher.core.messages import events as ev
from launcher.core.messages.actions import SignalAttempt, StopAttempt
from launcher.core.model.arrays import Array
from launcher.core.model.job import After, Dependency, Job, Outcome, Reason, State
from launcher.core.policy.settings import Quota, Settings
from launcher.core.recovery.reconcile import take_up
from launcher.core.scheduling.scheduler import QueueWalk
from launcher.errors import ImpossibleRequest, NotAllowed, StaleRequest, UserError
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import Retries, SignalBefore
from tests.support.builders import ALICE, CPU, IMAGE, ROOT, Machine, mig, moment_text, profile


def edit(machine: Machine, job: Job, admin: bool = False, **changes: Any) -> None:
    machine.tell(ev.EditAsked(job.id, ROOT if admin else ALICE, admin, **changes))


def retry(machine: Machine, *jobs: Job, admin: bool = False) -> None:
    """Queue ended jobs again, as the store has them."""
    ends = {job.id: job.outcome for job in jobs}
    machine.tell(
        ev.RetryAsked(
            tuple(
                ev.Retried(copy.copy(j), tuple((d, ends.get(d.job)) for d in j.depends_on))
                for j in jobs
            ),
            1000,
            admin,
        )
    )


def running(**spec: Any) -> tuple[Machine, Job]:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile(), **spec)
    machine.run(job)
    return machine, job


def test_a_requeued_job_is_stopped_and_takes_its_next_attempt_without_using_a_retry() -> None:
    machine, job = running()
    (stop,) = machine.tell(ev.RequeueAsked(job.id, 1000))
    assert isinstance(stop, StopAttempt)
    with pytest.raises(StaleRequest, match="being stopped"):
        machine.tell(ev.RequeueAsked(job.id, 1000))
    machine.end(job, 0)
    assert (job.state, job.attempt, job.retried) == (State.STARTING, 2, 0)


def test_a_requeue_while_starting_stops_the_container_as_soon_as_it_runs() -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile())
    assert machine.tell(ev.RequeueAsked(job.id, 1000)) == []
    assert [type(a).__name__ for a in machine.run(job)] == ["FollowAttempt", "StopAttempt"]
    machine.end(job, 143)
    assert (job.state, job.attempt) == (State.STARTING, 2)


def test_a_job_that_had_ended_before_anybody_asked_for_its_end_has_ended_by_itself() -> None:
    for asked, code, outcome in (
        (ev.CancelAsked, 0, Outcome.COMPLETED),
        (ev.CancelAsked, 3, Outcome.FAILED),
        (ev.RequeueAsked, 0, Outcome.COMPLETED),
    ):
        machine, job = running(retries=Retries(9, ("any",)))
        machine.wait(10)
        machine.tell(asked(job.id, 1000))
        machine.end(job, code, ago=0.5)
        assert (job.state, job.outcome, job.exit_code) == (State.DONE, outcome, code)


def test_a_job_that_completed_just_before_its_limit_or_its_giving_way_has_completed() -> None:
    machine, job = running(time_limit=100.0)
    machine.tick(101)
    machine.end(job, 0, ago=2.0)
    assert job.outcome is Outcome.COMPLETED
    machine, job = running(preemptible=True, priority=1)
    machine.wait(700)
    machine.submit(profile(), priority=50)
    assert job.again is not None
    machine.end(job, 0, ago=1.0)
    assert (job.state, job.outcome) == (State.DONE, Outcome.COMPLETED)


def test_an_ended_job_is_retried_under_its_id_with_the_next_attempt() -> None:
    machine, job = running()
    machine.end(job, 1)
    retry(machine, job)
    again = machine.world.jobs[job.id]
    assert (again.state, again.attempt, again.outcome) == (State.STARTING, 2, None)
    with pytest.raises(StaleRequest, match="only an ended job"):
        retry(machine, job)


def test_a_job_whose_dependency_still_fails_is_not_retried() -> None:
    machine, job = running()
    machine.end(job, 1)
    job.depends_on = (Dependency(77, After.OK),)
    after = ((Dependency(77, After.OK), Outcome.FAILED),)
    with pytest.raises(StaleRequest, match="job 77 is FAILED"):
        machine.tell(ev.RetryAsked((ev.Retried(copy.copy(job), after),), 1000))
    assert job.id not in machine.world.jobs


def test_jobs_that_are_retried_together_wait_for_each_other_again() -> None:
    machine = Machine(cpu_slots=9)
    first, second = machine.submit(CPU, CPU, hold=True)
    second.depends_on = (Dependency(first.id, After.ANY),)
    second.waits_for = dict.fromkeys(second.depends_on)
    machine.world.depend(second)
    for job in (first, second):
        machine.tell(ev.ReleaseAsked(job.id, 1000))
        machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
        machine.run(job)
        machine.end(job, 1)
    retry(machine, second, first)
    jobs = machine.world.jobs
    assert (jobs[first.id].state, jobs[second.id].state) == (State.STARTING, State.PENDING)
    assert machine.reasons(jobs[second.id]) == [Reason.DEPENDENCY]
    machine.run(jobs[first.id])
    machine.end(jobs[first.id])
    assert jobs[second.id].state is State.STARTING


def test_of_several_jobs_to_retry_those_that_cannot_are_passed_over() -> None:
    machine = Machine(slices=[mig(0)])
    (over,) = machine.submit(profile())
    machine.run(over)
    machine.end(over, 1)
    (runs,) = machine.submit(profile())
    retry(machine, over, runs)
    assert machine.world.jobs[over.id].state is State.PENDING


def test_a_priority_that_an_admin_gave_is_not_the_users_to_use_again() -> None:
    for admin, priority in ((False, 50), (True, 900)):
        machine, job = running()
        job.priority = 900
        machine.end(job, 1)
        retry(machine, job, admin=admin)
        assert machine.world.jobs[job.id].priority == priority


def test_what_an_admin_holds_only_an_admin_lets_go() -> None:
    machine = Machine(slices=[])
    (job,) = machine.submit(profile())
    machine.tell(ev.HoldAsked(job.id, 0, admin=True))
    assert machine.reasons(job) == [Reason.JOB_HELD_ADMIN]
    with pytest.raises(NotAllowed, match="held by an admin"):
        machine.tell(ev.ReleaseAsked(job.id, 1000))
    with pytest.raises(NotAllowed, match="held by an admin"):
        edit(machine, job, hold=False)
    machine.tell(ev.ReleaseAsked(job.id, 0, admin=True))
    assert job.held is None


def test_a_longest_limit_is_also_that_of_who_asks_for_none() -> None:
    machine = Machine(slices=[], rules=Settings(max_time_limit=100.0))
    (job,) = machine.submit(profile())
    assert job.time_limit == 100.0
    with pytest.raises(NotAllowed, match="must have one here, by default 100 s"):
        edit(machine, job, time_limit=0.0)
    edit(machine, job, admin=True, time_limit=0.0)
    assert job.time_limit is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"need": CPU}, "needs a GPU"), ({"time_limit": 30.0}, "not longer than the 30 s")],
)
def test_an_edit_keeps_to_the_rules_of_a_submit(changes: dict[str, Any], words: str) -> None:
    machine = Machine(slices=[])
    (job,) = machine.submit(
        profile(), idle_timeout=5.0, signal=SignalBefore("SIGUSR1", 30.0), time_limit=60.0
    )
    with pytest.raises(UserError, match=words):
        edit(machine, job, **changes)


def test_a_retried_element_opens_its_array_again() -> None:
    machine = Machine(cpu_slots=9)
    first, second = machine.submit_array(2)
    for job, code in ((first, 0), (second, 1)):
        machine.run(job)
        machine.end(job, code)
    array = Array(1, ALICE, "job", 2)
    array.ended.update({Outcome.COMPLETED: 1, Outcome.FAILED: 1})
    machine.tell(ev.RetryAsked((ev.Retried(copy.copy(second)),), 1000, arrays=(array,)))
    assert machine.world.arrays[1].live == {second.id}
    machine.run(machine.world.jobs[second.id])
    machine.end(machine.world.jobs[second.id])
    assert array.outcome is Outcome.COMPLETED


def test_a_pending_job_can_be_given_another_place_and_another_slice() -> None:
    machine = Machine(slices=[mig(0)])
    machine.submit(profile())
    first, second = machine.submit(profile(), profile(), priority=30)
    edit(machine, second, priority=40)
    edit(machine, first, need=profile("2g.12gb"))
    assert machine.reasons(first) == [Reason.NO_SUCH_PROFILE]
    machine.see([mig(0), mig(2, "2g.12gb", start=2)])
    assert (first.state, first.slices) == (State.STARTING, ("MIG-a-2",))
    edit(machine, second, hold=True)
    assert machine.reasons(second) == [Reason.JOB_HELD_USER]
    edit(machine, second, hold=False, time_limit=60.0)
    assert (machine.reasons(second), second.time_limit) == ([Reason.RESOURCES], 60.0)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"priority": 51}, NotAllowed),
        ({"priority": -1}, UserError),
        ({"time_limit": 7200.0}, NotAllowed),
        ({"need": profile("9g.99gb")}, ImpossibleRequest),
        ({}, UserError),
    ],
)
def test_an_edit_that_is_refused_changes_nothing(
    changes: dict[str, Any], error: type[Exception]
) -> None:
    machine = Machine(slices=[], rules=Settings(max_time_limit=3600.0))
    (job,) = machine.submit(profile())
    before = copy.copy(job)
    with pytest.raises(error):
        edit(machine, job, **changes)
    assert job == before
    assert job.id in machine.world.queue


def test_the_owner_may_shorten_the_limit_of_a_running_job_and_an_admin_extend_it() -> None:
    machine, job = running(time_limit=100.0)
    machine.wait(10)
    with pytest.raises(NotAllowed, match="its owner may only shorten"):
        edit(machine, job, time_limit=200.0)
    edit(machine, job, time_limit=50.0)
    edit(machine, job, admin=True, time_limit=300.0)
    machine.tick(280)
    assert not job.timed_out
    machine.tick(11)
    assert job.timed_out
    with pytest.raises(StaleRequest):
        edit(machine, job, time_limit=10.0)


def test_of_a_running_job_nothing_but_the_limit_can_be_edited() -> None:
    machine, job = running()
    with pytest.raises(StaleRequest, match="only its time limit"):
        edit(machine, job, priority=10)


def test_a_warning_comes_so_long_before_the_limit_and_once() -> None:
    machine, job = running(time_limit=100.0, signal=SignalBefore("SIGUSR1", 30.0))
    assert machine.tick(69) == []
    (warning,) = machine.tick(2)
    assert isinstance(warning, SignalAttempt)
    assert warning.signal == "SIGUSR1"
    assert machine.tick(20) == []
    (stop,) = machine.tick(10)
    assert isinstance(stop, StopAttempt)
    machine.end(job, 0)
    assert job.outcome is Outcome.TIMEOUT


def test_limits_come_from_the_rules_where_a_job_says_nothing_or_too_much() -> None:
    machine = Machine(rules=Settings(default_time_limit=50.0, max_time_limit=100.0))
    (job,) = machine.submit(profile())
    assert job.time_limit == 50.0
    with pytest.raises(NotAllowed, match="100 s"):
        machine.submit(profile(), time_limit=101.0)


def test_a_job_without_a_process_on_its_slice_for_too_long_is_ended() -> None:
    machine, job = running(idle_timeout=60.0)
    seen = ev.InventoryRead(inventory=_inventory(machine), idle=frozenset({"MIG-a-0"}))
    assert machine.tell(seen) == []
    machine.wait(40)
    machine.tell(ev.InventoryRead(inventory=_inventory(machine)))  # a process came
    machine.wait(40)
    assert machine.tell(seen) == []
    machine.wait(60)
    (stop,) = machine.tell(seen)
    assert isinstance(stop, StopAttempt)
    machine.end(job, 143)
    assert job.outcome is Outcome.TIMEOUT


def _inventory(machine: Machine) -> Any:
    from launcher.core.model.gpu import Inventory

    return Inventory("580.95.05", tuple(machine.gpus), tuple(machine.slices))


def test_a_retry_of_a_job_whose_dependency_is_passed_over_is_passed_over_too() -> None:
    machine = Machine(cpu_slots=9)
    first, second = machine.submit(CPU, CPU, hold=True)
    second.depends_on = (Dependency(first.id, After.OK),)
    for job, code in ((first, 1), (second, 1)):
        machine.tell(ev.ReleaseAsked(job.id, 1000))
        machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
        machine.run(job)
        machine.end(job, code)
    first.need = profile("9g.99gb")
    with pytest.raises(StaleRequest, match="none of these"):
        retry(machine, first, second)
    assert machine.world.jobs == {}


def test_a_word_of_a_job_from_before_its_last_attempt_is_stale() -> None:
    machine, job = running()
    machine.end(job, 1)
    before = copy.copy(job)
    retry(machine, job)
    again = machine.world.jobs[job.id]
    machine.run(again)
    machine.end(again, 1)
    with pytest.raises(StaleRequest, match="was just changed"):
        retry(machine, before)


def test_a_retry_counts_against_the_quota_of_what_is_queued() -> None:
    machine = Machine(slices=[mig(0)], rules=Settings(user_quota=Quota(queued_jobs=1)))
    (over,) = machine.submit(profile())
    machine.run(over)
    machine.end(over, 1)
    (runs,) = machine.submit(profile())
    machine.run(runs)
    machine.submit(profile())
    with pytest.raises(NotAllowed, match="quota of 1"):
        retry(machine, over)


def test_an_element_whose_array_is_not_known_any_more_is_refused() -> None:
    machine = Machine(cpu_slots=9)
    (one,) = machine.submit_array(1)
    machine.run(one)
    machine.end(one, 1)
    with pytest.raises(StaleRequest, match="its array has just ended"):
        retry(machine, one)


@pytest.mark.parametrize(
    "changes",
    [
        {"time_limit": -1.0},
        {"time_limit": math.inf},
        {"time_limit": math.nan},
        {"need": profile(count=-1)},
        {"need": profile(count=0)},
        {"need": GpuRequest("uuid")},
    ],
)
def test_an_edit_to_what_cannot_be_is_refused_and_changes_nothing(changes: dict[str, Any]) -> None:
    machine, job = running(time_limit=100.0)
    before = copy.copy(job)
    with pytest.raises(UserError):
        edit(machine, job, admin=True, **changes)
    assert job == before


@pytest.mark.parametrize(
    "spec",
    [
        {"time_limit": math.inf},
        {"time_limit": 1e12},
        {"begin": "9999-12-31T23:59:59Z"},
        {"begin": "nan"},
        {"idle_timeout": math.inf},
        {"retries": Retries(1, ("any",), 1e15, 1e16)},
        {"signal": SignalBefore("SIGUSR1", math.inf)},
    ],
)
def test_times_without_end_are_refused(spec: dict[str, Any]) -> None:
    machine = Machine()
    with pytest.raises(UserError):
        machine.submit(profile(), **spec)
    assert machine.world.jobs == {}


def test_a_job_that_was_idle_before_its_retry_is_not_ended_at_the_first_look() -> None:
    machine, job = running(idle_timeout=60.0)
    job.idle_since = machine.time.boot
    machine.end(job, 1)
    machine.wait(1000)
    retry(machine, job)
    again = machine.world.jobs[job.id]
    machine.run(again)
    machine.tell(ev.InventoryRead(inventory=_inventory(machine), idle=frozenset({"MIG-a-0"})))
    assert not again.timed_out


def test_a_job_that_was_cancelled_before_its_begin_waits_for_that_again() -> None:
    machine = Machine()
    (job,) = machine.submit(profile(), begin=moment_text(machine.time.wall + 100))
    machine.tell(ev.CancelAsked(job.id, 1000))
    retry(machine, job)
    assert machine.reasons(machine.world.jobs[job.id]) == [Reason.BEGIN_TIME]


def test_an_end_that_is_told_twice_of_a_job_that_is_queued_again_is_dropped() -> None:
    machine = Machine(cpu_slots=1)
    (job,) = machine.submit(CPU, retries=Retries(1, ("any",), backoff=60.0))
    machine.run(job)
    machine.end(job, 1)
    machine.end(job, 1)
    assert (job.state, machine.world.late_events) == (State.PENDING, 1)


def test_a_hold_and_a_release_leave_one_place_in_the_queue() -> None:
    machine = Machine(slices=[])
    jobs = machine.submit(profile(), profile())
    for _ in range(200):
        machine.tell(ev.HoldAsked(jobs[0].id, 1000))
        machine.tell(ev.ReleaseAsked(jobs[0].id, 1000))
    order = [job.id for job in QueueWalk(machine.world, machine.time).order()]
    assert order == [job.id for job in jobs]
    assert sum(len(heap) for heap in machine.world.queue._lanes[profile()].values()) < 100


def test_a_job_that_was_stopped_when_a_commit_failed_is_stopped_again() -> None:
    machine, job = running(preemptible=True, priority=1, signal=SignalBefore("SIGUSR1", 30.0))
    machine.wait(700)
    machine.submit(profile(), priority=50)
    assert job.again is not None
    world = copy.deepcopy(machine.world)
    world.alarms = []
    assert next(type(a).__name__ for a in take_up(world, machine.time)) == "StopAttempt"


def test_a_job_is_not_changed_without_end() -> None:
    machine = Machine(slices=[])
    (job,) = machine.submit(profile(), pinned=False)
    for _ in range(MOST_CHANGES // 2):
        machine.tell(ev.HoldAsked(job.id, ALICE.uid), ev.ReleaseAsked(job.id, ALICE.uid))
    for event in (
        ev.HoldAsked(job.id, ALICE.uid),
        ev.ReleaseAsked(job.id, ALICE.uid),
        ev.EditAsked(job.id, ALICE, False, priority=3),
        ev.RequeueAsked(job.id, ALICE.uid),
    ):
        with pytest.raises(NotAllowed, match="1000 times"):
            machine.tell(event)
    machine.tell(ev.CancelAsked(job.id, ALICE.uid))
    assert job.outcome is Outcome.CANCELLED


def test_a_job_that_had_a_thousand_attempts_is_not_tried_again() -> None:
    machine, job = running()
    machine.end(job, 1)
    job.attempt = MOST_ATTEMPTS
    with pytest.raises(NotAllowed, match="1000 attempts"):
        retry(machine, job)
    assert machine.world.jobs == {}
