"""The transition table: every pair is decided, and an illegal one changes nothing."""

from __future__ import annotations

import copy
import itertools

import pytest

from launcher.core.dispatch import handle, handles
from launcher.core.messages import events as ev
from launcher.core.model.job import Job, Outcome, State
from launcher.core.world import lifecycle
from launcher.core.world.lifecycle import EVENTS, TRANSITIONS, Granted, Preempted, Settled
from launcher.errors import InvalidTransition, LauncherError, NoSuchJob, StaleRequest
from tests.support.builders import ALICE, IMAGE, Machine, profile

SLICE = "MIG-a-0"


def job_in(state: State) -> tuple[Machine, Job]:
    """Return a machine with one job in the state, reached by real events."""
    machine = Machine()
    (job,) = machine.submit(profile(), pinned=state is not State.PENDING)
    if state in (State.RUNNING, State.COMPLETING, State.DONE):
        machine.run(job)
    if state in (State.COMPLETING, State.DONE):
        machine.end(job, idle=state is State.DONE)
    assert job.state is state
    return machine, job


def event_for(kind: type, job: Job) -> ev.Event:
    """Return an event of the kind about the job's present attempt."""
    made: dict[type, ev.Event] = {
        ev.CancelAsked: ev.CancelAsked(job.id, 1000),
        ev.HoldAsked: ev.HoldAsked(job.id, 1000),
        ev.ReleaseAsked: ev.ReleaseAsked(job.id, 1000),
        ev.RequeueAsked: ev.RequeueAsked(job.id, 1000),
        ev.RetryAsked: ev.RetryAsked((ev.Retried(job),), 1000),
        ev.EditAsked: ev.EditAsked(job.id, ALICE, False, time_limit=30.0),
        ev.SignalAsked: ev.SignalAsked(job.id, "SIGINT"),
        ev.ImageResolved: ev.ImageResolved(IMAGE, "sha256:1", pulled=True),
        ev.ImageFailed: ev.ImageFailed(IMAGE, "manifest unknown"),
        ev.AttemptStarted: ev.AttemptStarted(job.id, job.attempt, "c", "t"),
        ev.StartFailed: ev.StartFailed(job.id, job.attempt, ev.StartFailure.USER, "no", 127),
        ev.AttemptEnded: ev.AttemptEnded(job.id, job.attempt, 0, False, "t", "t"),
        ev.AttemptLost: ev.AttemptLost(job.id, job.attempt, "gone"),
        ev.SlicesIdle: ev.SlicesIdle(job.id, job.attempt, (SLICE,)),
        ev.SliceStuck: ev.SliceStuck(job.id, job.attempt, SLICE, "pid 1"),
        ev.Tick: ev.Tick(),
        ev.DiskJudged: ev.DiskJudged({}, {job.id: "too much"}),
        ev.TerminalsSeen: ev.TerminalsSeen({job.id: 1e6}),
    }
    return made[kind]


PAIRS = list(
    itertools.product(State, [e for e in EVENTS if e not in (Granted, Preempted, Settled)])
)


@pytest.mark.parametrize(("state", "kind"), PAIRS)
def test_every_state_and_event_goes_where_the_table_says_or_changes_nothing(
    state: State, kind: type
) -> None:
    machine, job = job_in(state)
    before = copy.copy(job)
    try:
        handle(machine.world, event_for(kind, job), machine.time)
    except (InvalidTransition, StaleRequest, NoSuchJob) as refused:
        assert job == before, f"{refused} and yet the job changed"
        assert not lifecycle.allowed(state, kind) or isinstance(refused, NoSuchJob)
        return
    allowed = TRANSITIONS.get((state, kind), frozenset())
    # An end may prove its slices free at once: COMPLETING is passed through.
    through = {t for s in allowed for t in TRANSITIONS.get((s, ev.SlicesIdle), ())}
    assert job.state in allowed | through | {state}


def test_an_illegal_pair_raises_with_the_history_of_the_job() -> None:
    machine, job = job_in(State.RUNNING)
    with pytest.raises(InvalidTransition, match=r"RUNNING.*Granted -> STARTING as attempt 1"):
        machine.tell(ev.StartFailed(job.id, 1, ev.StartFailure.USER, "late"))


def test_every_event_that_names_an_attempt_is_in_the_list_of_events() -> None:
    named = {kind for kind in handles() if "attempt" in getattr(kind, "__slots__", ())}
    assert named <= set(EVENTS)


def test_every_state_can_be_reached_and_only_a_retry_leaves_the_last_one() -> None:
    assert set().union(*TRANSITIONS.values()) == set(State)
    assert {state for state, _ in TRANSITIONS} == set(State)
    assert [event for state, event in TRANSITIONS if state is State.DONE] == [ev.RetryAsked]


def test_the_diagram_shows_every_move_of_the_table() -> None:
    text = lifecycle.diagram()
    for (state, _), targets in TRANSITIONS.items():
        for target in targets - {state}:
            assert f"{state.value} --> {target.value}:" in text


@pytest.mark.parametrize(
    ("code", "oom", "outcome"),
    [
        (0, False, Outcome.COMPLETED),
        (0, True, Outcome.COMPLETED),
        (3, False, Outcome.FAILED),
        (137, True, Outcome.OUT_OF_MEMORY),
        (137, False, Outcome.FAILED),
    ],
)
def test_the_outcome_follows_from_exit_code_and_memory(
    code: int, oom: bool, outcome: Outcome
) -> None:
    machine, job = job_in(State.RUNNING)
    machine.end(job, code, oom=oom)
    assert (job.outcome, job.exit_code) == (outcome, code)


def test_a_cancelled_job_is_stopped_and_ends_cancelled_whatever_its_exit_code() -> None:
    machine, job = job_in(State.RUNNING)
    actions = machine.tell(ev.CancelAsked(job.id, 1000))
    assert [type(a).__name__ for a in actions] == ["StopAttempt"]
    machine.end(job, 143)
    assert job.outcome is Outcome.CANCELLED


def test_a_cancel_while_starting_stops_the_container_as_soon_as_it_runs() -> None:
    machine, job = job_in(State.STARTING)
    assert machine.tell(ev.CancelAsked(job.id, 1000)) == []
    names = [type(a).__name__ for a in machine.run(job)]
    assert names == ["FollowAttempt", "StopAttempt"]


def test_a_time_limit_stops_the_job_once_and_the_outcome_is_timeout() -> None:
    machine = Machine()
    (job,) = machine.submit(profile(), time_limit=60.0)
    machine.run(job)
    machine.wait(59)
    assert machine.tell(ev.Tick()) == []
    machine.wait(2)
    assert [type(a).__name__ for a in machine.tell(ev.Tick())] == ["StopAttempt"]
    assert machine.tell(ev.Tick()) == []
    machine.end(job, 143)
    assert job.outcome is Outcome.TIMEOUT


def test_an_event_that_no_handler_knows_is_an_error() -> None:
    with pytest.raises(KeyError):
        handle(Machine().world, object(), ev.Now(0, 0))  # type: ignore[arg-type]


def test_every_error_of_the_tree_has_a_message_and_a_kind_of_its_own() -> None:
    from launcher.errors import by_kind

    classes = by_kind()
    assert len({cls.kind for cls in classes.values()}) == len(classes)
    assert all(isinstance(cls, type) and issubclass(cls, LauncherError) for cls in classes.values())
