"""What is said of many jobs while they are waited for, and of one that waits in the queue."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from launcher.cli.foreground.outlook import sentence
from launcher.cli.output.tally import FEW, tallied
from launcher.wire import Why
from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import Json, StubDaemon, ended, job_view

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_all_states_are_counted_in_one_line() -> None:
    over = [ended("COMPLETED", 0), ended("FAILED", 1)]
    jobs = [*over, job_view(state="RUNNING"), job_view(), job_view()]
    assert tallied(jobs) == "2 of 5 ended, 1 of them not well, 1 run, 2 wait"
    assert tallied(jobs[:1]) == "1 of 1 ended"


def test_waiting_for_many_says_how_many_have_ended(
    stub: StubDaemon, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.cli.output.tally.PLAIN_SECONDS", 0.0)
    jobs = [job_view(id=number) for number in range(1, FEW + 2)]
    over = [ended("COMPLETED", 0, id=job.id) for job in jobs]
    stub.on("GET", "/v1/jobs", Json(jobs), Json([over[0], *jobs[1:]]), Json(over))
    for job, end in zip(jobs, over, strict=True):
        stub.on("GET", f"/v1/jobs/{job.id}/wait", Json(job), Json(end))
    result = launch("wait", *(str(job.id) for job in jobs))
    assert result.code == 0
    assert "1 of 3 ended, 2 wait\n" in result.err


def why(**fields: object) -> Why:
    given: dict[str, object] = {
        "position": 3, "gates": [], "blockers": [], "ahead": [],
        "earliest_start": None, "estimated_start": "2026-01-02T03:24:05.000000Z", "estimate": "",
    }  # fmt: skip
    return Why(job=job_view(id=7), **{**given, **fields})  # type: ignore[arg-type]


def test_a_waiting_job_has_its_place_and_its_likely_start() -> None:
    text = sentence(why(), NOW)
    assert text is not None
    assert text.startswith("job 7 is number 3 in the queue, is likely to start in 20m, at ")
    assert sentence(why(estimated_start=None), NOW) == "job 7 is number 3 in the queue"
    assert sentence(why(estimated_start=None, position=None), NOW) is None
