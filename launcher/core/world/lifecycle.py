"""The transition table: every event that may change a job's state is in this file, as data.

A pair that is missing from the table is a bug: ``check`` raises with the job's history, and nothing
is changed. The diagram in launcher/README.md is generated from the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from launcher.core.messages import events as ev
from launcher.core.model.job import Job, State
from launcher.errors import InvalidTransition


@dataclass(frozen=True, slots=True)
class Granted:
    """The scheduler gave the job its slices."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A job that this one waited for has ended."""


@dataclass(frozen=True, slots=True)
class Preempted:
    """A job of higher priority needs the slices."""


PENDING, STARTING, RUNNING, COMPLETING, DONE = State

TRANSITIONS: Mapping[tuple[State, type], frozenset[State]] = {
    (PENDING, Granted): frozenset({STARTING}),
    (PENDING, Settled): frozenset({PENDING, DONE}),
    (PENDING, ev.HoldAsked): frozenset({PENDING}),
    (PENDING, ev.ReleaseAsked): frozenset({PENDING}),
    (PENDING, ev.EditAsked): frozenset({PENDING}),
    (PENDING, ev.CancelAsked): frozenset({DONE}),
    (PENDING, ev.ImageResolved): frozenset({PENDING, DONE}),
    (PENDING, ev.ImageFailed): frozenset({PENDING, DONE}),
    (STARTING, ev.AttemptStarted): frozenset({RUNNING}),
    (STARTING, ev.StartFailed): frozenset({PENDING, COMPLETING}),
    (STARTING, ev.AttemptLost): frozenset({COMPLETING}),
    (STARTING, ev.CancelAsked): frozenset({STARTING}),
    (STARTING, ev.RequeueAsked): frozenset({STARTING}),
    (RUNNING, ev.SignalAsked): frozenset({RUNNING}),
    (RUNNING, ev.CancelAsked): frozenset({RUNNING}),
    (RUNNING, ev.Tick): frozenset({RUNNING}),
    (RUNNING, ev.DiskJudged): frozenset({RUNNING}),
    (RUNNING, ev.TerminalsSeen): frozenset({RUNNING}),
    (RUNNING, ev.EditAsked): frozenset({RUNNING}),
    (RUNNING, ev.RequeueAsked): frozenset({RUNNING}),
    (RUNNING, Preempted): frozenset({RUNNING}),
    (RUNNING, ev.AttemptEnded): frozenset({COMPLETING}),
    (RUNNING, ev.AttemptLost): frozenset({COMPLETING}),
    (COMPLETING, ev.CancelAsked): frozenset({COMPLETING}),
    (COMPLETING, ev.SlicesIdle): frozenset({COMPLETING, PENDING, DONE}),
    (COMPLETING, ev.SliceStuck): frozenset({COMPLETING, PENDING, DONE}),
    (DONE, ev.RetryAsked): frozenset({PENDING}),
}

EVENTS: tuple[type, ...] = (
    Granted,
    Settled,
    Preempted,
    ev.HoldAsked,
    ev.ReleaseAsked,
    ev.CancelAsked,
    ev.EditAsked,
    ev.RequeueAsked,
    ev.RetryAsked,
    ev.SignalAsked,
    ev.ImageResolved,
    ev.ImageFailed,
    ev.AttemptStarted,
    ev.StartFailed,
    ev.AttemptEnded,
    ev.AttemptLost,
    ev.SlicesIdle,
    ev.SliceStuck,
    ev.Tick,
    ev.DiskJudged,
    ev.TerminalsSeen,
)
"""Every event that can move a job, for the tests that walk all pairs."""


def allowed(state: State, event: type) -> bool:
    """Whether this event applies to a job in this state."""
    return (state, event) in TRANSITIONS


def check(job: Job, event: type, to: State, story: Iterable[str] = ()) -> None:
    """Raise ``InvalidTransition`` unless the table allows ``event`` to take ``job`` to ``to``."""
    if to not in TRANSITIONS.get((job.state, event), frozenset()):
        history = "; ".join(story) or "no history"
        raise InvalidTransition(
            f"job {job.id}, attempt {job.attempt}: {event.__name__} cannot take it from "
            f"{job.state.value} to {to.value} (before: {history})"
        )


def diagram() -> str:
    """Return the state diagram as mermaid text, generated from the table."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, event), targets in TRANSITIONS.items():
        for target in sorted(targets, key=lambda s: s.value):
            if target is not state:
                arrows.setdefault((state.value, target.value), []).append(event.__name__)
    lines = ["stateDiagram-v2", "    [*] --> PENDING"]
    lines += [f"    {a} --> {b}: {', '.join(names)}" for (a, b), names in arrows.items()]
    return "\n".join([*lines, "    DONE --> [*]"])
