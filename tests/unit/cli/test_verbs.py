"""Every verb but ``run``: the request, stdout, stderr, the exit code."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from launcher.wire import NOTE, Frame, JobSpec
from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import (
    Json,
    Raw,
    Stream,
    StubDaemon,
    end,
    ended,
    err,
    head,
    job_view,
    out,
    slice_view,
    status_view,
)

RUNS = job_view(
    id=3, state="RUNNING", slices=["MIG-1"], started_at="2026-01-02T03:04:05.000006Z", attempt=1
)


def test_ps_lists_jobs(stub: StubDaemon, launch: Launch) -> None:
    waits = job_view(id=4, name=None, image=None, reason="Resources", count=2, message="2 of 4")
    failed = ended("FAILED", 3, id=5, started_at="2026-01-02T03:04:05.000000Z",
                   ended_at="2026-01-02T04:06:05.000000Z", profile=None, count=0)  # fmt: skip
    stub.on("GET", "/v1/queue/head", head(waits, failed))
    result = launch("ps")
    assert (result.code, result.err) == (0, "")
    rows = [line.split() for line in result.out.splitlines()]
    assert rows[0] == ["ID", "NAME", "USER", "STATE", "GPUS", "TIME", "EXIT", "IMAGE", "REASON"]
    assert rows[1][:5] == ["4", "-", "alice", "PENDING", "1g.6gb:2"]
    assert rows[1][-4:] == ["Resources:", "2", "of", "4"]
    assert rows[2] == ["5", "train", "alice", "FAILED", "-", "1h2m", "3", "busybox", "-"]
    assert stub.asked[0].query == "most=50"


def test_ps_says_how_many_more_there_are(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/queue/head", head(RUNS, waiting=100_000, running=7))
    result = launch("ps")
    assert len(result.out.splitlines()) == 2
    assert "and 100006 more: 7 run, 100000 wait (-o json has all of them)" in result.err


def test_ps_asks_for_all_and_for_some(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/jobs", Json([]))
    launch("ps", "-a", "10-20", "last")
    assert stub.asked[0].query == "all=1&ref=10-20&ref=last"


@pytest.mark.parametrize(
    ("args", "path", "value", "name"),
    [
        (["ps"], "/v1/jobs", [RUNS], "3"),
        (["slices"], "/v1/slices", [slice_view()], slice_view().uuid),
        (["status"], "/v1/status", status_view(), "healthy"),
        (["doctor"], "/v1/doctor",
         [{"check": "nvml", "state": "ok", "message": "fine", "fix": None}], "nvml"),
    ],
)  # fmt: skip
def test_json_is_the_wire_s_keys_and_name_one_word(
    stub: StubDaemon, launch: Launch, args: list[str], path: str, value: Any, name: str
) -> None:
    stub.on("GET", path, Json(value))
    document = launch(*args, "-o", "json")
    assert document.code == 0
    plain = json.loads(json.dumps(value, default=dataclasses.asdict))
    assert json.loads(document.out) == plain
    assert launch(*args, "-o", "name").out == f"{name}\n"


def test_the_keys_of_ps_are_those_promised(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/jobs", Json([RUNS]))
    (row,) = json.loads(launch("ps", "-o", "json").out)
    assert list(row)[:19] == [
        "id", "name", "user", "state", "outcome", "reason", "profile", "count", "slices", "image",
        "command", "priority", "array", "attempt", "exit_code", "submitted_at", "started_at",
        "ended_at", "container_id",
    ]  # fmt: skip


def detail() -> dict[str, Any]:
    attempt = {
        "attempt": 1, "slices": ["MIG-1"], "container_id": "c0", "container_name": "launch-s-3-1",
        "image_id": "sha256:1", "started_at": None, "ended_at": None, "exit_code": None,
        "oom": False, "cause": None,
    }  # fmt: skip
    spec = JobSpec(name="train", image="busybox", environment={"A": "1"})
    return {
        "job": vars(job_view(reason="Resources")),
        "spec": json.loads(json.dumps(dataclasses.asdict(spec))),
        "image_id": "sha256:1",
        "blockers": [{"kind": "Resources", "need": "1 x 1g.6gb", "have": "4 of 4 in use"}],
        "position": 2,
        "attempts": [attempt],
        "events": [{"at": "2026-01-02T03:04:05.000006Z", "event": "submitted", "detail": "by a"}],
    }  # fmt: skip


def test_show_tells_all_of_a_job(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/jobs", Json([job_view()]))
    stub.on("GET", "/v1/jobs/12", Json(detail()))
    result = launch("show", "train")
    assert result.code == 0
    for text in (
        "position:", "environment:", "A=1", "launch-s-3-1", "submitted",
        "waits for Resources: needs 1 x 1g.6gb, 4 of 4 in use",
    ):  # fmt: skip
        assert text in result.out


def test_show_as_json_has_the_job_s_keys_at_the_top(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/jobs", Json([job_view()]))
    stub.on("GET", "/v1/jobs/12", Json(detail()))
    shown = json.loads(launch("show", "12", "-o", "json").out)
    assert shown["id"] == 12
    assert shown["spec"]["image"] == "busybox"
    assert {"image_id", "blockers", "position", "attempts", "events"} <= set(shown)
    assert "job" not in shown


def test_a_job_that_is_not_there_is_exit_1(stub: StubDaemon, launch: Launch) -> None:
    gone = {"kind": "no-such-job", "message": "there is no job 7", "fix": "`launch ps -a`"}
    stub.on("GET", "/v1/jobs", Json(gone, 404))
    result = launch("show", "7")
    assert (result.code, result.out) == (1, "")
    assert result.err == "launch: there is no job 7\n  `launch ps -a`\n"


def test_logs_go_where_the_job_wrote_them(stub: StubDaemon, launch: Launch) -> None:
    frames = [out("a\n"), err("b\n"), Frame(NOTE, 1, b"cut here"), out("c"), end(ended("FAILED"))]
    stub.on("GET", "/v1/jobs/last/logs", Stream(frames))
    result = launch("logs", "-f", "--tail", "5", "--attempt", "2", "last")
    assert (result.code, result.out) == (0, "a\nc")
    assert result.err == "b\nlaunch: cut here\n"
    assert stub.asked[0].query == "follow=1&tail=5&attempt=2"


def test_logs_with_times(stub: StubDaemon, launch: Launch) -> None:
    at = 1_767_323_045_123_456_789
    frames = [out("a\nb", at), out("c\n", at + 1000), end(ended("COMPLETED", 0))]
    stub.on("GET", "/v1/jobs/1/logs", Stream(frames))
    stamp = "2026-01-02T03:04:05.123456Z"
    assert launch("logs", "-t", "1").out == f"{stamp} a\n{stamp} bc\n"


def test_wait_on_one_returns_its_code(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/jobs/12/wait", Json(ended("FAILED", 3)))
    result = launch("wait", "12")
    assert result.code == 3
    assert "FAILED" in result.out


@pytest.mark.parametrize(("outcomes", "code"), [(["COMPLETED", "COMPLETED"], 0),
                                                (["COMPLETED", "CANCELLED"], 1)])  # fmt: skip
def test_wait_on_several_is_0_only_if_all_completed(
    stub: StubDaemon, launch: Launch, outcomes: list[str], code: int
) -> None:
    stub.on("GET", "/v1/jobs", Json([job_view(id=1), job_view(id=2)]))
    for number, outcome in enumerate(outcomes, start=1):
        stub.on("GET", f"/v1/jobs/{number}/wait", Json(ended(outcome, id=number)))
    assert launch("wait", "1-2", "-o", "name").code == code
    assert stub.asked[0].query == "all=0&ref=1-2"


@pytest.mark.parametrize("ref", ["12[0,3]", "12[0-3,7]"])
def test_wait_takes_some_elements_of_an_array(stub: StubDaemon, launch: Launch, ref: str) -> None:
    stub.on("GET", "/v1/jobs", Json([job_view(id=13), job_view(id=16)]))
    for number in (13, 16):
        stub.on("GET", f"/v1/jobs/{number}/wait", Json(ended("COMPLETED", 0, id=number)))
    assert launch("wait", ref).code == 0
    assert parse_qs(stub.asked[0].query)["ref"] == [ref]


def test_wait_ends_with_its_time(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/jobs/12/wait", Json(job_view()))
    result = launch("wait", "--timeout", "0s", "12")
    assert result.code == 124
    assert "not all jobs ended within 0 s" in result.err


def test_wait_fails_with_125_as_docker_does(stub: StubDaemon, launch: Launch) -> None:
    gone = {"kind": "no-such-job", "message": "there is no job 7"}
    stub.on("GET", "/v1/jobs/7/wait", Json(gone, 404))
    result = launch("wait", "7")
    assert (result.code, result.err) == (125, "launch: there is no job 7\n")


def test_cancel_goes_on_after_one_that_fails(stub: StubDaemon, launch: Launch) -> None:
    refused = {"kind": "not-allowed", "message": "job 1 is bob's"}
    stub.on("POST", "/v1/jobs/1/cancel", Json(refused, 403))
    stub.on("POST", "/v1/jobs/2/cancel", Json([ended("CANCELLED", id=2)]))
    result = launch("cancel", "1", "2")
    assert result.code == 1
    assert "CANCELLED" in result.out
    assert result.err == "launch: job 1 is bob's\n"


def test_slices_say_who_is_on_them(stub: StubDaemon, launch: Launch) -> None:
    taken = slice_view(state="leased", job=3, user="alice", why=None)
    stub.on("GET", "/v1/slices", Json([taken, slice_view(state="foreign", why="container web")]))
    lines = launch("slices").out.splitlines()
    assert "leased" in lines[1]
    assert "alice" in lines[1]
    assert lines[2].endswith("container web")


def test_slices_why_says_of_each_that_cannot_be_used_what_and_since_when_and_what_to_do(
    stub: StubDaemon, launch: Launch
) -> None:
    long = "is quarantined: " + "a long reason " * 30
    since = "2026-01-02T03:04:05.000006Z"
    bad = slice_view(state="quarantined", why=long, since=since, fix="Look at dmesg.")
    busy = slice_view(uuid="MIG-2", state="leased", job=7, why="is drained: fan", fix="Undrain it.")
    stub.on("GET", "/v1/slices", Json([slice_view(uuid="MIG-1"), bad, busy]))
    assert launch("slices", "--why").out.splitlines() == [
        f"{bad.uuid} (1g.6gb on GPU 0): quarantined since {since}",
        f"  {long}",
        "  Look at dmesg.",
        "MIG-2 (1g.6gb on GPU 0, job 7): leased",
        "  is drained: fan",
        "  Undrain it.",
    ]
    assert launch("slices", "--why", "-o", "name").out.splitlines() == [bad.uuid, "MIG-2"]
    stub.on("GET", "/v1/slices", Json([slice_view()]))
    none = launch("slices", "--why")
    assert (none.code, none.out, none.err) == (0, "", "every slice can be used\n")


def test_status_says_what_is_wrong_and_returns_1(stub: StubDaemon, launch: Launch) -> None:
    ill = status_view(state="degraded", problems=["Docker is away"], version="9.9.9")
    stub.on("GET", "/v1/status", Json(ill))
    result = launch("status")
    assert result.code == 1
    assert "Docker is away" in result.out
    assert "9.9.9 (this command is" in result.out


def test_status_without_a_daemon_is_3(
    launch: Launch, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUNCHER_SOCKET", str(short_dir / "none"))
    result = launch("status")
    assert (result.code, result.out) == (3, "")
    assert "no launcher daemon is running" in result.err


def test_doctor_without_a_daemon_says_what_it_can(
    launch: Launch, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUNCHER_SOCKET", str(short_dir / "none"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{short_dir}/docker.sock")
    result = launch("doctor", "-o", "json")
    assert result.code == 1
    checks = {check["check"]: check for check in json.loads(result.out)}
    assert checks["daemon"]["state"] == "problem"
    assert "launch serve" in checks["daemon"]["fix"]
    assert checks["docker"]["state"] == "problem"
    assert {"nvml", "library", "container-toolkit", "exits", "disk", "clock"} <= checks.keys()


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("warning", 0), ("problem", 1)])
def test_doctor_fails_only_for_problems(
    stub: StubDaemon, launch: Launch, state: str, code: int
) -> None:
    check = {"check": "hook", "state": state, "message": "is not there", "fix": "install it"}
    stub.on("GET", "/v1/doctor", Json([check]))
    result = launch("doctor")
    assert result.code == code
    assert "is not there" in result.out
    assert ("hook: install it" in result.err) is (state != "ok")


def test_doctor_fix_asks_the_daemon_to_mend_and_prints_what_it_did(
    stub: StubDaemon, launch: Launch
) -> None:
    did = {"check": "fix", "state": "ok", "message": "ran `nvidia-smi -L`", "fix": None}
    rest = {"check": "disk", "state": "warning", "message": "1 MiB free", "fix": "Free some."}
    stub.on("POST", "/v1/doctor/fix", Json([did, rest]))
    result = launch("doctor", "--fix")
    assert (result.code, stub.did()) == (0, ["POST /v1/doctor/fix"])
    assert "ran `nvidia-smi -L`" in result.out
    assert result.err == "disk: Free some.\n"


def test_stop_ends_the_daemon(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/stop", Json(status_view()))
    result = launch("stop")
    assert (result.code, result.out) == (0, "")
    assert result.err == "the daemon (pid 4711) ends; its jobs go on\n"


def test_stop_drain_says_what_is_waited_for(stub: StubDaemon, launch: Launch) -> None:
    counts = {"RUNNING": 2, "STARTING": 1, "PENDING": 7}
    stub.on("POST", "/v1/stop", Json(status_view(jobs=counts)))
    result = launch("stop", "--drain")
    assert (result.code, result.out) == (0, "")
    assert stub.asked[-1].query == "drain=1"
    assert "starts nothing new and ends once nothing runs: 3 jobs run now" in result.err


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "a.yaml").write_text("jobs: {one: {image: x}, two: {image: x, command: [a]}}")
    (tmp_path / "b.yaml").write_text("image: nvcr.io/y\nname: three\n")
    return [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]


def test_submit_queues_all_files_at_once(
    stub: StubDaemon, launch: Launch, files: list[str]
) -> None:
    stub.on("POST", "/v1/jobs", Json([job_view(id=n) for n in (1, 2, 3)], 201))
    result = launch("submit", *files)
    assert (result.code, result.err) == (0, "")
    assert [line.split()[0] for line in result.out.splitlines()] == ["ID", "1", "2", "3"]
    assert [job["name"] for job in stub.asked[0].body["jobs"]] == ["one", "two", "three"]
    assert stub.did() == ["POST /v1/jobs"]


def test_a_dry_run_is_only_checked(stub: StubDaemon, launch: Launch, files: list[str]) -> None:
    stub.on("POST", "/v1/jobs", Json([job_view(id=0)]))
    assert launch("submit", "--dry-run", "--wait", *files).code == 0
    assert stub.asked[0].body["dry_run"] is True
    assert stub.did() == ["POST /v1/jobs"]


@pytest.mark.parametrize(("outcome", "code"), [("COMPLETED", 0), ("FAILED", 1)])
def test_submit_can_wait_for_all(
    stub: StubDaemon, launch: Launch, files: list[str], outcome: str, code: int
) -> None:
    stub.on("POST", "/v1/jobs", Json([job_view(id=1), job_view(id=2)], 201))
    stub.on("GET", "/v1/jobs/1/wait", Json(ended("COMPLETED", 0, id=1)))
    stub.on("GET", "/v1/jobs/2/wait", Json(ended(outcome, 7, id=2)))
    result = launch("submit", "--wait", "-o", "json", *files)
    assert result.code == code
    assert [job["outcome"] for job in json.loads(result.out)] == ["COMPLETED", outcome]
    assert result.err == "queued 2 jobs: 1, 2\n"


def test_one_bad_file_and_nothing_is_asked(
    stub: StubDaemon, launch: Launch, files: list[str], tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text("imagee: x\n")
    result = launch("submit", *files, str(tmp_path / "c.yaml"))
    assert (result.code, result.out) == (2, "")
    assert "c.yaml:1:1: `imagee` is not a key of a job (did you mean `image`?)" in result.err
    assert not stub.asked


def test_a_daemon_that_dies_while_it_is_asked_leaves_no_doubt_unsaid(
    stub: StubDaemon, launch: Launch, files: list[str]
) -> None:
    stub.on("POST", "/v1/jobs", Raw(b""))
    result = launch("submit", *files)
    assert result.code == 3
    assert "`launch ps` shows whether the jobs were queued" in result.err
