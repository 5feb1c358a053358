"""The verbs that change jobs: cancel with filters, retry, requeue, edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import Json, StubDaemon, ended, job_view

GONE = Json({"kind": "no-such-job", "message": "there is no job two"}, 404)


def test_retry_queues_each_again(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/jobs/retry", Json([job_view(id=14), job_view(id=15), job_view(id=20)]))
    result = launch("retry", "12[0-9]", "last", "-o", "name")
    assert (result.code, result.out, result.err) == (0, "14\n15\n20\n", "")
    assert [each.body for each in stub.asked] == [{"refs": ["12[0-9]", "last"], "failed": False}]


def test_retry_can_leave_what_completed(stub: StubDaemon, launch: Launch) -> None:
    nothing = {"kind": "conflict", "message": "none of 12 has failed: there is nothing to retry"}
    stub.on("POST", "/v1/jobs/retry", Json(nothing, 409))
    result = launch("retry", "--failed", "12")
    assert result.code == 1
    assert result.err == "launch: none of 12 has failed: there is nothing to retry\n"
    assert stub.asked[0].body == {"refs": ["12"], "failed": True}


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "a.yaml").write_text(
        "jobs: {one: {image: x}, two: {image: x}, sweep: {image: x, matrix: {lr: [1, 2]}}}"
    )
    return str(tmp_path / "a.yaml")


def test_retry_of_a_file_means_the_newest_jobs_of_its_names(
    stub: StubDaemon, launch: Launch, file: str
) -> None:
    stub.on("POST", "/v1/jobs/retry", Json([job_view(id=7)]))
    assert launch("retry", "-f", file, "one", "-o", "name").code == 0
    assert stub.asked[-1].body == {"refs": ["one", "one", "two", "sweep"], "failed": False}


def test_retry_of_a_file_with_a_job_that_never_was_retries_nothing(
    stub: StubDaemon, launch: Launch, file: str
) -> None:
    stub.on("POST", "/v1/jobs/retry", GONE)
    result = launch("retry", "-f", file)
    assert (result.code, result.err) == (1, "launch: there is no job two\n")


def test_retry_of_a_wrong_file_asks_nothing(
    stub: StubDaemon, launch: Launch, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text("imagee: x\n")
    result = launch("retry", "-f", str(tmp_path / "a.yaml"), "12")
    assert (result.code, stub.did()) == (2, [])


def test_requeue_stops_and_queues_again(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/jobs/3/requeue", Json([job_view(id=3, state="COMPLETING")]))
    stub.on("POST", "/v1/jobs/4/requeue", Json({"kind": "conflict", "message": "4 waits"}, 409))
    result = launch("requeue", "4", "3")
    assert (result.code, result.err) == (1, "launch: 4 waits\n")
    assert result.out.splitlines()[1].split()[:3] == ["3", "train", "COMPLETING"]


@pytest.mark.parametrize(
    ("args", "changed"),
    [
        (["--priority", "7"], {"priority": 7}),
        (["--time", "4h"], {"time_limit": 14400.0}),
        (["-t", "none"], {"time_limit": 0.0}),
        (["--hold"], {"hold": True}),
        (["--no-hold"], {"hold": False}),
    ],
)
def test_edit_changes_what_is_said_and_nothing_else(
    stub: StubDaemon, launch: Launch, args: list[str], changed: dict[str, Any]
) -> None:
    stub.on("POST", "/v1/jobs/12/edit", Json([job_view()]))
    result = launch("edit", "12", *args)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[1].split() == ["12", "train", "PENDING", "-"]
    nothing = {"priority": None, "time_limit": None, "gpus": None, "hold": None}
    assert stub.asked[0].body == nothing | changed


def test_edit_can_ask_for_other_slices(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/jobs/12/edit", Json([job_view()]))
    assert launch("edit", "--gpus", "2g.12gb:2", "12", "-o", "json").code == 0
    gpus = stub.asked[0].body["gpus"]
    assert (gpus["kind"], gpus["profile"], gpus["count"]) == ("profile", "2g.12gb", 2)


@pytest.mark.parametrize("limit", ["4", "4:00", "0s", "never"])
def test_a_time_limit_that_is_none_is_refused(stub: StubDaemon, launch: Launch, limit: str) -> None:
    result = launch("edit", "12", "--time", limit)
    assert (result.code, stub.did()) == (2, [])
    assert limit in result.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["edit", "12"], "Say what to change"),
        (["edit", "--hold"], "JOB"),
        (["retry"], "Say which jobs"),
        (["retry", "--failed"], "Say which jobs"),
        (["requeue"], "JOB"),
        (["cancel"], "Say which jobs"),
        (["cancel", "--state", "done"], "done"),
    ],
)
def test_saying_too_little_is_wrong_usage(
    stub: StubDaemon, launch: Launch, args: list[str], said: str
) -> None:
    result = launch(*args)
    assert (result.code, result.out, stub.did()) == (2, "", [])
    assert said in result.err


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        (["--user", "me"], {"user": "me"}),
        (["--user", "me", "--now"], {"user": "me", "now": True}),
        (["--state", "PENDING"], {"state": "pending"}),
        (["--name", "train-*", "10-20", "12[3]"], {"name": "train-*", "refs": ["10-20", "12[3]"]}),
    ],
)
def test_cancel_with_a_filter_is_one_request(
    stub: StubDaemon, launch: Launch, args: list[str], asked: dict[str, Any]
) -> None:
    stub.on("POST", "/v1/jobs/cancel", Json([ended("CANCELLED", id=2)]))
    result = launch("cancel", *args, "-o", "json")
    assert (result.code, result.err) == (0, "")
    assert [job["id"] for job in json.loads(result.out)] == [2]
    assert stub.did() == ["POST /v1/jobs/cancel"]
    base = {"refs": [], "user": None, "state": None, "name": None, "now": False}
    assert stub.asked[0].body == base | asked


def test_cancel_says_when_no_job_is_meant(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/jobs/cancel", Json([]))
    result = launch("cancel", "--user", "me")
    assert (result.code, result.out) == (0, "")
    assert "nothing was ended" in result.err
    assert launch("cancel", "--user", "me", "-o", "json").out == "[]\n"


def test_cancel_without_a_filter_goes_job_by_job(stub: StubDaemon, launch: Launch) -> None:
    element = {"id": 12, "index": 3, "matrix": {}}
    stub.on("POST", "/v1/jobs/12%5B3%5D/cancel", Json([ended("CANCELLED", id=16, array=element)]))
    result = launch("cancel", "12[3]")
    assert result.code == 0
    assert "12[3]" in result.out


def test_the_help_of_cancel_tells_what_the_id_of_an_array_means(launch: Launch) -> None:
    text = " ".join(launch("cancel", "--help").out.split())
    assert "If that is an array, all of it is meant; 12[3]" in text
