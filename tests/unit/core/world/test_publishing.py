"""The events that users follow: one for each thing that happened, from decisions of every kind."""

from __future__ import annotations

from typing import Any

from launcher.core.messages import events as ev
from launcher.core.messages.changes import Changes, Drain, Quarantine
from launcher.core.messages.published import EventType, PublishedEvent
from launcher.core.model.layout_change import LayoutOp, LayoutTarget, OpResult, OpState
from launcher.core.world.publishing import machine_events
from launcher.wire.history import EVENT_TYPES
from tests.support.builders import ALICE, ROOT, Machine, mig, profile

UP = (None, None)


def test_clients_know_every_type() -> None:
    assert tuple(EventType) == EVENT_TYPES


def new(machine: Machine) -> list[PublishedEvent]:
    """Return the events since the last call."""
    events, machine.world.changes.events = machine.world.changes.events, []
    return events


def said(machine: Machine, *keys: str) -> list[tuple[Any, ...]]:
    return [(event.type.value, *(event.data[key] for key in keys)) for event in new(machine)]


def test_a_job_is_submitted_started_and_ended_once_each() -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile())
    assert said(machine, "id", "outcome") == [("job.submitted", 1, None)]
    machine.run(job)
    assert said(machine, "id", "attempt") == [("job.started", 1, 1)]
    machine.end(job, 3)
    (ended,) = new(machine)
    assert (ended.type, ended.uid, ended.user) == ("job.ended", ALICE.uid, "alice")
    assert (ended.data["outcome"], ended.data["exit_code"]) == ("FAILED", 3)
    assert ended.data["slices"] == [mig(0).uuid]


def test_a_job_that_never_ran_ends_too() -> None:
    machine = Machine(slices=[])
    (job,) = machine.submit(profile())
    new(machine)
    machine.tell(ev.CancelAsked(job.id, ALICE.uid))
    assert said(machine, "id", "outcome") == [("job.ended", 1, "CANCELLED")]


def test_an_array_is_submitted_and_ends_as_one_and_its_elements_start_and_end() -> None:
    machine = Machine(slices=[])
    first, second = machine.submit_array(2)
    assert said(machine, "id", "size") == [("array.submitted", first.id - 1, 2)]
    for job in (first, second):
        if job.attempt == 0:
            continue
        machine.run(job)
        machine.end(job)
    machine.tell(*(ev.CancelAsked(j.id, ALICE.uid) for j in (first, second) if not j.outcome))
    events = new(machine)
    assert [e.type.value for e in events if e.type.startswith("array")] == ["array.ended"]
    (ended,) = [e for e in events if e.type.startswith("array")]
    assert sum(ended.data["ends"].values()) == 2
    elements = [e.data["array"] for e in events if e.type == "job.ended"]
    assert sorted(e["index"] for e in elements) == [0, 1]


def test_what_was_changed_of_the_machine_is_an_event_each() -> None:
    op = LayoutOp(7, "apply", "1g.6gb:4", ROOT, 1.0, (LayoutTarget("GPU-a", ()),))
    op.state, op.result = OpState.DONE, OpResult.FAILED
    op.message = "no room"
    waiting = LayoutOp(8, "apply", "x", ROOT, 1.0, (LayoutTarget("GPU-b", ()),))
    changes = Changes(
        quarantines={"MIG-1": Quarantine("a process stays"), "MIG-2": None},
        drains={"GPU-a": Drain("GPU-a", "repair", ROOT, 1.0), "GPU-b": None},
        layouts={7: op, 8: waiting},
        capacity=(5.0, {"2g.12gb": (1, 12_000), "1g.6gb": (2, 12_000)}),
    )
    found = [
        (e.type.value, e.data["subject"], e.data["detail"])
        for e in machine_events(changes, UP, UP, 5.0)
    ]
    assert found == [
        ("slice.quarantined", "MIG-1", "a process stays"),
        ("slice.cleared", "MIG-2", None),
        ("drain.started", "GPU-a", "repair"),
        ("drain.ended", "GPU-b", None),
        ("layout.ended", "7", "apply: failed: no room"),
        ("slices.changed", None, "2 of 1g.6gb, 1 of 2g.12gb"),
    ]


def test_docker_and_the_gpus_go_and_come_back_once_each() -> None:
    away = ("Docker is away", None)
    both = ("Docker is slow", "NVML is away")
    found = [
        [(e.type.value, e.data["detail"]) for e in machine_events(Changes(), before, after, 1.0)]
        for before, after in ((UP, away), (away, both), (both, both), (both, UP))
    ]
    assert found == [
        [("docker.down", "Docker is away")],
        [("gpu.down", "NVML is away")],
        [],
        [("docker.up", None), ("gpu.up", None)],
    ]


def test_an_event_is_bounded_however_long_a_message_is() -> None:
    (event,) = machine_events(Changes(), UP, ("x" * 100_000, None), 1.0)
    assert len(event.data["detail"]) == 500
