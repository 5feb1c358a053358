"""What a daemon says about its queue, for the tests of the verbs that show it."""

from __future__ import annotations

from typing import Any

from launcher.wire import (
    Ahead,
    ArrayView,
    BlockerView,
    Forecast,
    Gate,
    LaneView,
    QueueEntry,
    ReservationView,
    Run,
    Why,
)
from tests.unit.client.stub_daemon import job_view

FULL = BlockerView(kind="Resources", need="1 x 1g.6gb", have="4 of 4 in use", jobs=[3])


def entry(**changes: Any) -> QueueEntry:
    """A waiting job with its place."""
    fields: dict[str, Any] = {
        "position": 1, "id": 12, "name": "train", "user": "alice", "priority": 50, "use": 3.25,
        "share": 1.0, "profile": "1g.6gb", "count": 1, "time_limit": 14400.0,
        "submitted_at": "2026-01-02T03:04:05.000006Z", "reason": "Resources", "array": None,
    }  # fmt: skip
    return QueueEntry(**{**fields, **changes})


def array_view(**changes: Any) -> ArrayView:
    """An array in one line."""
    fields: dict[str, Any] = {
        "id": 12, "name": "sweep", "user": "alice", "profile": "1g.6gb", "count": 1,
        "indices": "0-99", "counts": {"PENDING": 40, "RUNNING": 4, "COMPLETED": 53, "FAILED": 3},
        "submitted_at": "2026-01-02T03:04:05.000006Z", "image": "busybox", "reason": "Resources",
    }  # fmt: skip
    return ArrayView(**{**fields, **changes})


def why_view(**changes: Any) -> Why:
    """A job that waits for a slice that another has."""
    fields: dict[str, Any] = {
        "job": job_view(reason="Resources"),
        "position": 2,
        "gates": [Gate(name="hold", passed=True), Gate(name="free slices", passed=False,
                                                       blocker=FULL)],
        "blockers": [FULL],
        "ahead": [Ahead(id=3, user="bob", state="RUNNING", priority=40, profile="1g.6gb", count=1,
                        until="2026-01-02T07:04:05.000006Z")],
        "earliest_start": "2026-01-02T07:04:05.000006Z",
        "estimated_start": "2999-01-02T09:04:05.000006Z",
        "estimate": "by a replay of the queue",
    }  # fmt: skip
    return Why(**{**fields, **changes})


def run(job: int, lanes: list[str], start: float, end: float, **changes: Any) -> Run:
    """A job as it ran in a replay."""
    fields: dict[str, Any] = {"name": f"job-{job}", "user": "alice", **changes}
    return Run(job=job, lanes=lanes, start=start, end=end, **fields)


def forecast(layout: str, lanes: int, runs: list[Run], **changes: Any) -> Forecast:
    """A replay over slices a, b, c ..."""
    fields: dict[str, Any] = {
        "makespan": max((each.end for each in runs), default=0.0), "mean_wait": 60.0,
        "worst_wait": 3600.0, "use": 0.834, "jobs": len({each.job for each in runs}), "never": [],
    }  # fmt: skip
    slices = [
        LaneView(uuid=lane_uuid(i), label=f"0:1g.6gb@{i}", memory_mib=5952) for i in range(lanes)
    ]
    return Forecast(layout=layout, lanes=slices, runs=runs, **{**fields, **changes})


def lane_uuid(number: int) -> str:
    return f"MIG-{number}"


def reservation(**changes: Any) -> ReservationView:
    """Slices kept for a user."""
    fields: dict[str, Any] = {
        "name": "course", "user": "alice", "group": None, "slices": ["MIG-0", "MIG-1"],
        "labels": ["0:1g.6gb", "0:1g.6gb"], "start": "2999-01-02T03:00:00.000000Z",
        "end": "2999-01-02T05:00:00.000000Z", "state": "coming", "by": "root",
    }  # fmt: skip
    return ReservationView(**{**fields, **changes})
