"""What the client asks about the queue, and the verbs that change many jobs."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from launcher import Client, errors
from launcher.wire import (
    ArrayView,
    EditRequest,
    Forecast,
    GpuRequest,
    JobSpec,
    LaneView,
    LayoutSpec,
    QueueEntry,
    ReservationView,
    ReserveRequest,
    Run,
    SelectRequest,
    WhatIfLayout,
    Why,
)
from tests.unit.client.stub_daemon import Json, StubDaemon, ended, head, job_view

KEPT = ReservationView(
    name="a b", user=None, group="course", slices=["MIG-1"], labels=["0:1g.6gb"],
    start="2026-01-02T03:00:00.000000Z", end="2026-01-02T05:00:00.000000Z", state="on", by="root",
)  # fmt: skip


def test_the_order_of_the_queue_is_asked_for_its_first(stub: StubDaemon) -> None:
    entry = QueueEntry(
        position=1, id=12, name=None, user="alice", priority=50, use=1.5, share=1.0, profile=None,
        count=0, time_limit=None, submitted_at="2026-01-02T03:04:05.000006Z", reason=None,
    )  # fmt: skip
    stub.on("GET", "/v1/queue", Json([entry]))
    assert Client(stub.path).queue.order(7) == [entry]
    assert stub.asked[0].query == "most=7"


def test_why_a_job_waits_is_rebuilt_whole(stub: StubDaemon) -> None:
    view = Why(job=job_view(), position=None, gates=[], blockers=[], ahead=[],
               earliest_start=None, estimated_start=None, estimate="it is held")  # fmt: skip
    stub.on("GET", "/v1/jobs/12%5B3%5D/why", Json(view))
    assert Client(stub.path).queue.why("12[3]") == view


def test_the_head_of_the_queue_has_its_arrays(stub: StubDaemon) -> None:
    array = ArrayView(
        id=12, name="a", user="alice", profile=None, count=0, indices="0-9", counts={"PENDING": 10},
        submitted_at="2026-01-02T03:04:05.000006Z", image=None, reason=None,
    )  # fmt: skip
    stub.on("GET", "/v1/queue/head", Json({**head().value, "arrays": [dataclasses.asdict(array)]}))
    assert Client(stub.path).head().arrays == [array]


def test_a_daemon_that_knows_no_arrays_has_none(stub: StubDaemon) -> None:
    stub.on("GET", "/v1/queue/head", head())
    assert Client(stub.path).head().arrays == []


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ({}, {"jobs": None, "layouts": [], "runtime": "limit"}),
        ({"history": True}, {"jobs": None, "layouts": [], "runtime": "history"}),
        (
            {
                "jobs": [JobSpec(name="a", image="x")],
                "layouts": [WhatIfLayout(text="1g.6gb:4",
                                         specs=[LayoutSpec(profile="1g.6gb", count=4)])],
            },
            {
                "jobs": [dataclasses.asdict(JobSpec(name="a", image="x"))],
                "layouts": [{"text": "1g.6gb:4",
                             "specs": [{"profile": "1g.6gb", "count": 4, "start": None}]}],
                "runtime": "limit",
            },
        ),
    ],
)  # fmt: skip
def test_a_replay_is_asked_for(
    stub: StubDaemon, arguments: dict[str, Any], body: dict[str, Any]
) -> None:
    found = Forecast(
        layout="present", makespan=3, mean_wait=0.0, worst_wait=0.0, use=0.5, jobs=1, never=[4],
        lanes=[LaneView(uuid="MIG-1", label="0:1g.6gb", memory_mib=5952)],
        runs=[Run(job=1, name=None, user="alice", lanes=["MIG-1"], start=0.0, end=3.0)], best=True,
    )  # fmt: skip
    stub.on("POST", "/v1/whatif", Json([found]))
    assert Client(stub.path).queue.whatif(**arguments) == [found]
    assert stub.asked[0].body == json.loads(json.dumps(body))


def test_slices_are_reserved_shown_and_given_back(stub: StubDaemon) -> None:
    stub.on("POST", "/v1/reservations", Json(KEPT, 201))
    stub.on("GET", "/v1/reservations", Json([KEPT]))
    stub.on("POST", "/v1/reservations/a%20b/cancel", Json([]))
    queue = Client(stub.path).queue
    wanted = ReserveRequest(
        name="a b", start=KEPT.start, end=KEPT.end, group="course", slices=["MIG-1"]
    )
    assert queue.reserve(wanted) == KEPT
    assert stub.asked[0].body == dataclasses.asdict(wanted)
    assert queue.reservations() == [KEPT]
    assert queue.unreserve("a b") == []


def test_jobs_are_ended_retried_requeued_and_changed(stub: StubDaemon) -> None:
    stub.on("POST", "/v1/jobs/cancel", Json([ended("CANCELLED")]))
    stub.on("POST", "/v1/jobs/retry", Json([job_view()]))
    stub.on("POST", "/v1/jobs/12/requeue", Json([job_view()]))
    stub.on("POST", "/v1/jobs/12/edit", Json([job_view()]))
    client = Client(stub.path)
    assert client.cancel_all(SelectRequest(user="me")) == [ended("CANCELLED")]
    assert client.retry([12], failed=True) == [job_view()]
    assert client.requeue(12) == [job_view()]
    assert client.edit(12, EditRequest(gpus=GpuRequest(kind="all"))) == [job_view()]
    bodies = [each.body for each in stub.asked]
    assert bodies[0] == {"refs": [], "user": "me", "state": None, "name": None, "now": False}
    assert bodies[1] == {"refs": ["12"], "failed": True}
    assert bodies[3]["gpus"]["kind"] == "all"
    assert bodies[3]["priority"] is None


def test_a_replay_that_cannot_be_made_says_why(stub: StubDaemon) -> None:
    stub.on("POST", "/v1/whatif", Json({"kind": "impossible-layout", "message": "no room"}, 400))
    with pytest.raises(errors.ImpossibleLayout, match="no room"):
        Client(stub.path).queue.whatif()
