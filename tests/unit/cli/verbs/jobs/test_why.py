"""``launch why``: what a job waits for, as a text and as a document."""

from __future__ import annotations

import dataclasses
import json

import pytest

from launcher.cli.output import terminal
from launcher.wire import BlockerView, Gate, JobView
from tests.unit.cli.launch_command import Launch
from tests.unit.cli.queue_views import FULL, why_view
from tests.unit.client.stub_daemon import Json, StubDaemon, ended, job_view


def test_why_tells_what_must_be_passed_who_is_in_the_way_and_when_it_starts(
    stub: StubDaemon, launch: Launch
) -> None:
    stub.on("GET", "/v1/jobs/12/why", Json(why_view()))
    result = launch("why", "12")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0].startswith("job 12 train of alice: PENDING, 1g.6gb, priority 50, waits for ")
    assert lines[1] == "position: number 2"
    gates = [line.split() for line in lines[3:6]]
    assert gates[0] == ["GATE", "IS", "REASON", "NEEDS", "THERE", "IS"]
    assert gates[1][:2] == ["hold", "ok"]
    assert " ".join(gates[2]) == "free slices blocked Resources 1 x 1g.6gb 4 of 4 in use"
    ahead = lines[8].split()
    assert ahead[:6] == ["3", "bob", "RUNNING", "40", "1g.6gb", "2026-01-02T07:04:05Z"]
    assert "earliest start:  2026-01-02T07:04:05Z (" in result.out
    assert "estimated start: 2999-01-02T09:04:05Z (in " in result.out
    assert lines[-1] == "  by a replay of the queue"


def test_what_cannot_be_told_is_unknown(stub: StubDaemon, launch: Launch) -> None:
    held = BlockerView(kind="JobHeldUser", need="a release", have="it is held")
    view = why_view(
        position=None, ahead=[], blockers=[held], earliest_start=None, estimated_start=None,
        gates=[Gate(name="hold", passed=False, blocker=held)],
        estimate="it is held: nobody knows until when",
    )  # fmt: skip
    stub.on("GET", "/v1/jobs/last/why", Json(view))
    text = launch("why", "last").out
    assert "position: not in the queue yet" in text
    assert "earliest start:  unknown" in text
    assert "estimated start: unknown\n  it is held: nobody knows until when\n" in text
    assert "UNTIL" not in text


def test_every_blocker_of_a_gate_is_told(stub: StubDaemon, launch: Launch) -> None:
    waits = [
        BlockerView(kind="Dependency", need=f"afterok of job {n}", have="RUNNING", jobs=[n])
        for n in (3, 4)
    ]
    gates = [Gate(name="dependencies", passed=False, blocker=waits[0])]
    stub.on("GET", "/v1/jobs/12/why", Json(why_view(gates=gates, blockers=[*waits, FULL])))
    rows = [line.split() for line in launch("why", "12").out.splitlines()[4:7]]
    assert [row[0] for row in rows] == ["dependencies", "dependencies", "-"]
    assert rows[1][6:7] == ["4"]
    assert rows[2][2] == "Resources"


@pytest.mark.parametrize(
    ("job", "word"),
    [(job_view(state="RUNNING"), "RUNNING"), (ended("FAILED", 1), "FAILED")],
)
def test_a_job_that_does_not_wait_is_said_in_one_line(
    stub: StubDaemon, launch: Launch, job: JobView, word: str
) -> None:
    view = why_view(job=job, position=None, gates=[], blockers=[], ahead=[], earliest_start=None,
                    estimated_start=None, estimate="it does not wait")  # fmt: skip
    stub.on("GET", "/v1/jobs/12/why", Json(view))
    result = launch("why", "12")
    assert (result.code, result.out) == (
        0, f"job 12 train of alice is {word}: it does not wait\n"
    )  # fmt: skip


def test_why_as_json_has_the_keys_that_are_promised(stub: StubDaemon, launch: Launch) -> None:
    view = why_view()
    stub.on("GET", "/v1/jobs/12/why", Json(view))
    shown = json.loads(launch("why", "12", "-o", "json").out)
    assert list(shown) == [
        "job", "state", "reason", "position", "blockers", "estimated_start", "earliest_start",
        "estimate", "gates", "ahead", "array", "gpu_memory_auto_mib",
    ]  # fmt: skip
    assert (shown["job"], shown["state"], shown["reason"]) == (12, "PENDING", "Resources")
    assert shown["blockers"] == [
        {"kind": "Resources", "need": "1 x 1g.6gb", "have": "4 of 4 in use", "jobs": [3]}
    ]
    assert shown["ahead"] == [dataclasses.asdict(view.ahead[0])]


def test_why_as_names_is_the_reasons(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/jobs/12/why", Json(why_view(blockers=[FULL, FULL])))
    assert launch("why", "12", "-o", "name").out == "Resources\n"


def test_what_others_wrote_cannot_steer_the_terminal(stub: StubDaemon, launch: Launch) -> None:
    evil = "a\x1b[31m\u202eb"
    bad = dataclasses.replace(FULL, need=evil, have=evil)
    view = why_view(
        job=job_view(name=evil), gates=[Gate(name=evil, passed=False, blocker=bad)],
        blockers=[bad], estimate=evil,
    )  # fmt: skip
    stub.on("GET", "/v1/jobs/12/why", Json(view))
    assert not set(launch("why", "12").out) & set("\x1b\u202e")


def test_a_job_that_is_not_there_is_exit_1(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/jobs/7/why", Json({"kind": "no-such-job", "message": "no job 7"}, 404))
    result = launch("why", "7")
    assert (result.code, result.out, result.err) == (1, "", "launch: no job 7\n")


def test_what_there_is_is_seen_on_40_columns(
    stub: StubDaemon, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "width", lambda: 40)
    stub.on("GET", "/v1/jobs/12/why", Json(why_view()))
    lines = launch("why", "12").out.splitlines()
    assert lines[3].split() == ["GATE", "REASON", "THERE", "IS"]
    assert lines[5].endswith("Resources  4 of 4 in use")
    assert "2026-01-02T07:04" in lines[8]
