"""The timeline: runs from events on their slices, reservations ahead; bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from launcher.web.bounds import MOST_RUNS
from launcher.web.pages.timeline import RunHistory, Timeline
from launcher.wire import EventLine, PublishedJob, ReservationView
from tests.unit.client.stub_daemon import job_view, slice_view

NOW = datetime(2026, 1, 2, 12, 0, 30, tzinfo=UTC)


def event(kind: str, job: int, minutes: float, **changes: Any) -> EventLine:
    """An event of a job, so many minutes ago."""
    at = (NOW - timedelta(minutes=minutes)).isoformat()
    fields: dict[str, Any] = {
        "id": job, "name": None, "image": None, "array": None, "attempt": 1, "slices": ["MIG-1"],
        "outcome": None, "reason": None, "exit_code": None, "message": None,
    }  # fmt: skip
    return EventLine(
        version=1, seq=1, at=at, type=kind, user="alice", job=PublishedJob(**fields | changes),
        array=None, subject=None, detail=None, text="",
    )  # fmt: skip


def reserved(start: float, end: float) -> ReservationView:
    """A reservation from and to so many hours from now."""
    return ReservationView(
        name="class", user=None, group="students", slices=["MIG-1"], labels=["1g.6gb"],
        start=(NOW + timedelta(hours=start)).isoformat(),
        end=(NOW + timedelta(hours=end)).isoformat(), state="coming", by="root",
    )  # fmt: skip


def test_runs_stand_where_they_were_with_how_they_ended() -> None:
    history = RunHistory()
    for each in (
        event("job.submitted", 1, 200),
        event("job.started", 1, 180),
        event("job.ended", 1, 60, outcome="COMPLETED"),
        event("job.started", 2, 30),
        event("job.ended", 2, 20, outcome="FAILED"),
        event("job.started", 3, 10, array={"id": 3, "index": 7}),
    ):
        history.add(each)
    (lane,) = Timeline.at(NOW, []).lanes([slice_view(uuid="MIG-1")], history, [])
    assert [run.label for run in lane.runs] == ["1 alice", "2 alice", "3[7] alice"]
    assert [run.kind for run in lane.runs] == ["over", "bad", "leased"]
    assert 30 < lane.runs[0].width < 35, "two hours of six and a quarter"
    assert abs(lane.runs[0].left - 48) < 1


def test_a_second_attempt_is_a_second_bar() -> None:
    history = RunHistory()
    history.add(event("job.started", 1, 50))
    history.add(event("job.requeued", 1, 40))
    history.add(event("job.started", 1, 30, attempt=2))
    (lane,) = Timeline.at(NOW, []).lanes([slice_view(uuid="MIG-1")], history, [])
    assert sorted(run.kind for run in lane.runs) == ["bad", "leased"]


def test_a_job_that_runs_since_before_the_first_event_is_there() -> None:
    history = RunHistory()
    old = (NOW - timedelta(hours=9)).isoformat()
    history.seen([job_view(id=4, state="RUNNING", started_at=old, slices=["MIG-1"])])
    (lane,) = Timeline.at(NOW, []).lanes([slice_view(uuid="MIG-1")], history, [])
    (run,) = lane.runs
    assert (run.left, run.width > 90) == (0.0, True)


def test_reservations_lengthen_it_into_the_future() -> None:
    timeline = Timeline.at(NOW, [reserved(1, 2)])
    assert timeline.end - timeline.now == timedelta(hours=6)
    assert len(list(timeline.ticks())) <= 8
    (lane,) = timeline.lanes([slice_view(uuid="MIG-1")], RunHistory(), [reserved(1, 2)])
    (kept,) = lane.kept
    assert 55 < kept.left < 62
    assert Timeline.at(NOW, [reserved(48, 50)]).end - NOW < timedelta(hours=1)


def test_it_changes_once_a_minute_and_keeps_a_bounded_number_of_runs() -> None:
    assert Timeline.at(NOW, []) == Timeline.at(NOW + timedelta(seconds=20), [])
    history = RunHistory()
    for number in range(3 * MOST_RUNS):
        history.add(event("job.started", number, 10))
    assert len(history._runs) == MOST_RUNS
    for _ in range(3 * MOST_RUNS):
        history.add(event("job.started", 1, 10))
    assert len(history._runs) == MOST_RUNS
