"""``launch run``: what is asked, what is shown, what is returned."""

from __future__ import annotations

import base64
import dataclasses
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launcher.wire import NOTE, Frame, JobView
from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import (
    Json,
    Raw,
    Stream,
    StubDaemon,
    end,
    ended,
    err,
    event,
    job_view,
    out,
    position,
)

MIG = "MIG-11111111-2222-3333-4444-555555555555"
RUNNING = job_view(state="RUNNING", slices=[MIG], attempt=1)


def answers(stub: StubDaemon, *frames: Any, cut: bool = False) -> None:
    stub.on("POST", "/v1/jobs", Json([job_view()], 201))
    stub.on("GET", "/v1/jobs/12/follow", Stream(frames, cut=cut))


def submitted(stub: StubDaemon) -> dict[str, Any]:
    job: dict[str, Any] = stub.asked[0].body["jobs"][0]
    return job


def test_the_request_carries_every_flag(stub: StubDaemon, launch: Launch, tmp_path: Path) -> None:
    answers(stub, end(ended("COMPLETED", 0)))
    env_file = tmp_path / "vars"
    env_file.write_text("A=1\n# no\nQUOTED='as it is'\n")
    launch(
        "run", "--profile", "1g.6gb", "--count", "2", "-e", "B=2", "--env-file", str(env_file),
        "-v", f"{tmp_path}:/data:ro", "--secret", f"key={env_file}",
        "-w", "/work", "-u", "1000:1000", "--name", "mine",
        "--entrypoint", "sh", "--shm-size", "1g", "-m", "2g", "--cpus", "1.5", "--pull", "never",
        "-t", "90m", "--priority", "7", "--stop-timeout", "3",
        "--begin", "2026-12-01T03:00:00+01:00", "--hold", "--dependency", "afterok:4,afterany:5:6",
        "--retries", "2", "--retry-on", "oom,exit:75", "--retry-backoff", "30s",
        "--signal", "usr1@60s", "--idle-timeout", "30m", "--preemptible",
        "--tmp", "memory", "--ulimit", "stack=67108864", "--gpu-capabilities", "graphics,video",
        "--hostname", "node-1", "--network", "none", "--policy-profile", "trusted-net", "--tty",
        "-p", "8888", "-p", "6006/tcp", "--loopback",
        "--notify", "mail,on=failure", "--notify", "webhook=https://ntfy.example.org/mine",
        "nvcr.io/x/img:1",
        "--", "-c", "true",
    )  # fmt: skip
    assert stub.asked[0].method == "POST"
    assert stub.asked[0].headers["Launcher-Version"] == stub.version
    assert submitted(stub) == {
        "name": "mine",
        "image": "nvcr.io/x/img:1",
        "command": ["-c", "true"],
        "entrypoint": ["sh"],
        "gpus": {
            "kind": "profile", "profile": "1g.6gb", "count": 2,
            "memory_gb": None, "memory_mib": None, "memory_auto": False, "uuids": [],
            "capabilities": ["video", "graphics"],
        },
        "environment": {"A": "1", "QUOTED": "as it is", "B": "2"},
        "working_dir": "/work",
        "volumes": [{"source": str(tmp_path), "target": "/data", "read_only": True}],
        "secrets": {"key": base64.b64encode(env_file.read_bytes()).decode()},
        "tmp": "memory",
        "ulimits": {"stack": {"soft": 67108864, "hard": 67108864}},
        "shm_size": 1 << 30,
        "mem_limit": 2 << 30,
        "cpus": 1.5,
        "user": "1000:1000",
        "hostname": "node-1",
        "network_mode": "none",
        "policy_profile": "trusted-net",
        "stop_grace_period": 3.0,
        "ports": [8888, 6006],
        "loopback": True,
        "tty": True,
        "stdin_open": False,
        "pull_policy": "never",
        "priority": 7,
        "time_limit": 5400.0,
        "begin": "2026-12-01T02:00:00Z",
        "hold": True,
        "depends_on": {"4": "afterok", "5": "afterany", "6": "afterany"},
        "depends_any": False,
        "singleton": False,
        "retries": {"max": 2, "on": ["oom", "exit:75"], "backoff": 30.0, "max_backoff": 3600.0},
        "signal": {"name": "SIGUSR1", "before": 60.0},
        "idle_timeout": 1800.0,
        "preemptible": True,
        "array": None,
        "runtime": "docker",
        "foreground": False,
        "notify": [
            {"webhook": None, "mail": "me", "on": ["failure"]},
            {"webhook": "https://ntfy.example.org/mine", "mail": None, "on": ["end"]},
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("args", "command", "kind"),
    [
        (["img", "--profile", "1g.6gb", "--", "cmd", "-x"], ["cmd", "-x"], "profile"),
        (["--profile", "1g.6gb", "img", "cmd", "-x"], ["cmd", "-x"], "profile"),
        (["--profile=1g.6gb", "img", "cmd", "--profile", "2g.12gb"],
         ["cmd", "--profile", "2g.12gb"], "profile"),
        (["img", "-q", "--gpu-memory", "10g", "cmd"], ["cmd"], "memory"),
        (["img", "cmd", "--", "x"], ["cmd", "--", "x"], "none"),
        (["img", "--", "--", "x"], ["--", "x"], "none"),
        (["--", "img", "--profile", "x"], ["--profile", "x"], "none"),
        (["-qeA=1", "img", "-"], ["-"], "none"),
        (["-e", "A=1", "img"], None, "none"),
        (["--gpus", "all", "img"], None, "all"),
    ],
)  # fmt: skip
def test_options_end_where_the_command_begins(
    stub: StubDaemon, launch: Launch, args: list[str], command: list[str] | None, kind: str
) -> None:
    answers(stub, end(ended("COMPLETED", 0)))
    assert launch("run", *args).code == 0
    assert submitted(stub)["command"] == command
    assert submitted(stub)["gpus"]["kind"] == kind
    assert submitted(stub)["image"] == "img"


def test_output_is_passed_on_and_the_rest_goes_to_stderr(stub: StubDaemon, launch: Launch) -> None:
    answers(
        stub,
        event(job_view(reason="Resources"),
              {"kind": "Resources", "need": "1 x 1g.6gb", "have": "4 of 4 in use"}),
        event(job_view(reason="Resources"),
              {"kind": "Resources", "need": "1 x 1g.6gb", "have": "4 of 4 in use"}),
        event(RUNNING),
        out("first\n", 5), err("oops\n", 6), out("no newline", 7),
        Frame(NOTE, 8, b"the log was cut"),
        event(job_view(state="COMPLETING", outcome="FAILED", exit_code=3)),
        end(ended("FAILED", 3)),
    )  # fmt: skip
    result = launch("run", "--profile", "1g.6gb", "busybox", "sh", "-c", "exit 3")
    assert result.code == 3
    assert result.out == "first\nno newline"
    assert result.err.splitlines() == [
        "job 12 waits: Resources: needs 1 x 1g.6gb, 4 of 4 in use",
        f"job 12 runs on 1g.6gb ({MIG})",
        "oops",
        "launch: the log was cut",
        "job 12 FAILED: exit code 3",
    ]


def test_quiet_says_nothing_of_its_own(stub: StubDaemon, launch: Launch) -> None:
    answers(stub, event(RUNNING), out("x\n"), end(ended("FAILED", 3)))
    result = launch("run", "-q", "--profile", "1g.6gb", "--count", "2", "busybox", "false")
    assert (result.code, result.out, result.err) == (3, "x\n", "")


RETRY = "FAILED (exit 75): retry 1 of 2"


@pytest.mark.parametrize(
    "events",
    [
        [job_view(state="COMPLETING", attempt=1, message=RETRY),
         job_view(attempt=1, message=RETRY), job_view(state="STARTING", attempt=2, message=RETRY)],
        [job_view(attempt=1, message=RETRY), job_view(attempt=1, message=RETRY)],
        [job_view(state="STARTING", attempt=2, message=RETRY)],
    ],
)  # fmt: skip
def test_that_a_job_runs_again_is_said_once(
    stub: StubDaemon, launch: Launch, events: list[JobView]
) -> None:
    again = dataclasses.replace(RUNNING, attempt=2)
    answers(stub, event(RUNNING), *map(event, events), event(again), event(again),
            end(ended("COMPLETED", 0)))  # fmt: skip
    runs = f"job 12 runs on 1g.6gb ({MIG})"
    assert launch("run", "busybox").err.splitlines() == [
        runs, f"job 12 runs again ({RETRY})", runs,
    ]  # fmt: skip
    assert launch("run", "--quiet", "busybox").err == ""


def test_a_job_that_never_ran_is_queued_again(stub: StubDaemon, launch: Launch) -> None:
    failed = [job_view(state="COMPLETING", attempt=1, message="no room"), job_view(attempt=1)]
    answers(stub, *map(event, failed), event(RUNNING), end(ended("COMPLETED", 0)))
    assert launch("run", "busybox").err.splitlines()[0] == "job 12 is queued again (no room)"


def test_every_retry_is_said_also_where_its_reason_is_not_known(
    stub: StubDaemon, launch: Launch
) -> None:
    second = job_view(state="STARTING", attempt=2)
    third = [job_view(state=state, attempt=2, message="a") for state in ("COMPLETING", "PENDING")]
    answers(stub, event(RUNNING), event(second), *map(event, third), end(ended("COMPLETED", 0)))
    assert launch("run", "busybox").err.splitlines()[1:] == [
        "job 12 runs again", "job 12 runs again (a)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "view",
    [
        job_view(state="COMPLETING", attempt=1, outcome="FAILED", message="exit code 3"),
        job_view(state="STARTING", attempt=1),
        job_view(message="held by an admin"),
        job_view(attempt=3, reason="NeverStarted", message="no such file"),
    ],
)
def test_a_first_attempt_its_end_and_a_job_that_is_held_are_no_retry(
    stub: StubDaemon, launch: Launch, view: JobView
) -> None:
    answers(stub, event(view), end(ended("COMPLETED", 0)))
    assert "again" not in launch("run", "busybox").err


def test_a_job_that_never_ran_says_why_even_when_quiet(stub: StubDaemon, launch: Launch) -> None:
    answers(stub, end(ended("FAILED", reason="ImagePullFailed", message="no such image")))
    result = launch("run", "-q", "busybox")
    assert result.code == 125
    assert result.err == "job 12 FAILED: ImagePullFailed; no such image\n"


def test_several_slices_are_explained_once(stub: StubDaemon, launch: Launch) -> None:
    answers(stub, event(RUNNING), end(ended("COMPLETED", 0)))
    result = launch("run", "--gpus", "1g.6gb:2", "busybox")
    assert result.err.count("one process sees one MIG device") == 1


def test_a_pull_is_one_plain_line_where_stderr_is_no_terminal(
    stub: StubDaemon, launch: Launch
) -> None:
    layers = {"layers": [{"id": "a", "status": "Downloading", "current": 1, "total": 2}]}
    pulling = event(job_view(reason="ImagePull"), progress=layers)
    answers(stub, pulling, pulling, event(RUNNING), end(ended("COMPLETED", 0)))
    result = launch("run", "--profile", "1g.6gb", "busybox")
    assert result.err.splitlines() == ["pulling busybox", f"job 12 runs on 1g.6gb ({MIG})"]


@pytest.mark.parametrize(
    ("outcome", "code", "expected"),
    [
        ("COMPLETED", 0, 0), ("FAILED", 3, 3), ("FAILED", None, 125), ("FAILED", 126, 126),
        ("FAILED", 127, 127), ("TIMEOUT", 137, 124), ("OUT_OF_MEMORY", None, 137),
        ("OUT_OF_MEMORY", 1, 1), ("CANCELLED", 143, 130), ("CANCELLED", None, 130),
        ("LOST", None, 125), ("LOST", 137, 125),
    ],
)  # fmt: skip
def test_the_exit_status_is_the_outcome_s(
    stub: StubDaemon, launch: Launch, outcome: str, code: int | None, expected: int
) -> None:
    answers(stub, end(ended(outcome, code)))
    assert launch("run", "busybox").code == expected


def test_detached_it_prints_the_id_only(stub: StubDaemon, launch: Launch) -> None:
    answers(stub)
    result = launch("run", "-d", "busybox")
    assert (result.code, result.out, result.err) == (0, "12\n", "")
    assert stub.did() == ["POST /v1/jobs"]


def test_an_array_is_queued_and_its_own_id_is_printed(stub: StubDaemon, launch: Launch) -> None:
    views = [job_view(id=13 + index, array={"id": 12, "index": index}) for index in range(2)]
    stub.on("POST", "/v1/jobs", Json(views, 201))
    result = launch("run", "-d", "--array", "0-1%2", "busybox", "sh", "-c", "echo ${a}")
    assert (result.code, result.out, result.err) == (0, "12\n", "")
    assert submitted(stub)["array"] == {"indices": [0, 1], "matrix": [], "max_parallel": 2}


def test_retries_have_the_defaults_of_a_job_file(stub: StubDaemon, launch: Launch) -> None:
    answers(stub)
    launch("run", "-d", "--retries", "3", "--signal", "TERM@5m", "busybox")
    assert submitted(stub)["retries"] == {
        "max": 3, "on": ["infra"], "backoff": 0.0, "max_backoff": 3600.0,
    }  # fmt: skip
    assert submitted(stub)["signal"] == {"name": "SIGTERM", "before": 300.0}
    assert submitted(stub)["time_limit"] is None


def test_without_a_daemon_it_returns_125(
    launch: Launch, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUNCHER_SOCKET", str(short_dir / "nobody.sock"))
    result = launch("run", "busybox")
    assert result.code == 125
    assert result.err.startswith(f"launch: no launcher daemon is running (there is no {short_dir}")
    assert "launch serve" in result.err


def test_a_refused_job_is_wrong_usage(stub: StubDaemon, launch: Launch) -> None:
    refused = {"kind": "impossible-request", "message": "no GPU has 9g.99gb", "fix": "Ask for 1g."}
    stub.on("POST", "/v1/jobs", Json(refused, 400))
    result = launch("run", "--profile", "9g.99gb", "busybox")
    assert (result.code, result.err) == (2, "launch: no GPU has 9g.99gb\n  Ask for 1g.\n")


def test_a_variable_that_an_env_file_uses_and_is_not_set_is_told_with_its_line(
    stub: StubDaemon, launch: Launch, tmp_path: Path
) -> None:
    answers(stub, end(ended("COMPLETED", 0)))
    file = tmp_path / "vars"
    file.write_text("A=1\nPASSWORD=a$nothing\n")
    done = launch("run", "--env-file", str(file), "img")
    assert f"{file}:2: the variable nothing is not set, and becomes nothing" in done.err
    assert submitted(stub)["environment"] == {"A": "1", "PASSWORD": "a"}


def test_a_quote_that_is_not_closed_in_an_env_file_is_refused_with_its_line(
    launch: Launch, tmp_path: Path
) -> None:
    file = tmp_path / "vars"
    file.write_text("A=1\nB='x\nC=2\n")
    done = launch("run", "--env-file", str(file), "img")
    assert done.code == 2
    assert f"{file}:2: the quote ' is not closed" in done.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "Missing argument 'IMAGE'"),
        (["--profile", "big", "img"], "'big' is not a valid profile"),
        (["--gpus", "1", "img"], "does not say of what"),
        (["--profile", "1g.6gb", "--gpus", "all", "img"], "cannot be used together"),
        (["--count", "2", "img"], "--count goes with --profile"),
        (["-t", "30", "img"], "has no unit"),
        (["-e", "NVIDIA_VISIBLE_DEVICES=all", "img"], "cannot be set by a job"),
        (["-e", "1A=2", "img"], "is not a valid variable name"),
        (["-v", "data:/data", "img"], "named volume"),
        (["--memory", "lots", "img"], "is not a valid size"),
        (["--name", "Not Good", "img"], "is not a valid job name"),
        (["Img"], "must be in lower case"),
        (["--proflie", "x", "img"], "--profile"),
        (["img", "-c", "true"], "those of the job's command stand behind `--`"),
        (["img", "-y", "true"], "No such option"),
        (["--env-file", "/nonexistent", "img"], "cannot read the env file"),
        (["--array", "0-9", "img"], "add -d (--detach)"),
        (["-d", "--array", "9-0", "img"], "'9-0' goes down"),
        (["-d", "--array", "0-9%0", "img"], "is not a valid number of jobs at once"),
        (["--retries", "many", "img"], "is not a valid number of retries"),
        (["--retry-on", "oom", "img"], "--retry-on goes with --retries"),
        (["--retry-backoff", "1s", "img"], "--retry-backoff goes with --retries"),
        (["--retries", "1", "--retry-on", "bad", "img"], "'bad' is not an end"),
        (["--retries", "1", "--retry-backoff", "30", "img"], "has no unit"),
        (["--signal", "USR1", "img"], "write SIGUSR1@60s"),
        (["--signal", "KILL@60s", "img"], "it cannot be caught"),
        (["-t", "30s", "--signal", "USR1@60s", "img"], "before a time limit of 30s"),
        (["--idle-timeout", "30m", "img"], "no GPU that could be idle"),
        (["--idle-timeout", "0s", "--gpus", "all", "img"], "must be more than nothing"),
    ],
)
def test_wrong_usage_is_said_and_nothing_is_asked(
    stub: StubDaemon, launch: Launch, args: list[str], said: str
) -> None:
    result = launch("run", *args)
    assert result.code == 2
    assert said in result.err
    assert result.err.startswith("launch: ")
    assert not stub.asked


def test_it_follows_on_where_a_restarted_daemon_left_off(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/jobs", Json([job_view()], 201))
    stub.on(
        "GET", "/v1/jobs/12/follow",
        Stream([event(RUNNING), position("1.0.0"), out("a", 5), position("1.9.0"), out("b", 9),
                err("c", 9)], cut=True),
        Raw(b""),
        Stream([event(RUNNING), out("d", 9), end(ended("COMPLETED", 0))]),
    )  # fmt: skip
    result = launch("run", "--profile", "1g.6gb", "busybox")
    assert (result.code, result.out) == (0, "abd")
    assert [each.query for each in stub.asked[1:]] == ["", *["position=1.9.0&skip=2"] * 2]
    assert result.err.count("waiting for the daemon") == 1


def press(number: signal.Signals) -> Callable[[], None]:
    """Return a step that sends this process a signal, as a terminal would: to its main thread."""
    return lambda: signal.pthread_kill(threading.main_thread().ident or 0, number)


def test_ctrl_c_goes_to_the_container(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/jobs/12/signal", Json(RUNNING))
    answers(
        stub, event(RUNNING), out("ready\n"), launch.has_said("ready"), press(signal.SIGINT),
        launch.has_said("sent SIGINT"), out("bye\n"), end(ended("FAILED", 130)),
    )  # fmt: skip
    result = launch("run", "--profile", "1g.6gb", "busybox")
    assert (result.code, result.out) == (130, "ready\nbye\n")
    assert stub.asked[-1].body == {"signal": "SIGINT"}
    assert "sent SIGINT to job 12" in result.err


def test_a_second_ctrl_c_cancels(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/jobs/12/signal", Json(RUNNING))
    stub.on("POST", "/v1/jobs/12/cancel", Json([RUNNING]))
    answers(
        stub, event(RUNNING), launch.has_said("job 12 runs"), press(signal.SIGINT),
        launch.has_said("sent SIGINT"), press(signal.SIGINT),
        launch.has_said("is being cancelled"), end(ended("CANCELLED", 137)),
    )  # fmt: skip
    result = launch("run", "--profile", "1g.6gb", "busybox")
    assert result.code == 130
    assert "job 12 is being cancelled" in result.err


def test_ctrl_c_while_it_waits_asks_for_a_second(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/jobs/12/cancel", Json([job_view()]))
    answers(
        stub, event(job_view()), err("seen"), launch.has_said("seen"), press(signal.SIGINT),
        launch.has_said("has not started"), press(signal.SIGINT),
        launch.has_said("is being cancelled"), end(ended("CANCELLED")),
    )  # fmt: skip
    result = launch("run", "busybox")
    assert result.code == 130
    assert "POST /v1/jobs/12/signal" not in stub.did()


def test_sigterm_cancels_and_returns_130(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/jobs/12/cancel", Json([RUNNING]))
    answers(
        stub, event(RUNNING), out("ready\n"), launch.has_said("ready"),
        press(signal.SIGTERM),
        launch.has_said("is being cancelled"), out("last words"), end(ended("COMPLETED", 0)),
    )  # fmt: skip
    result = launch("run", "busybox")
    assert (result.code, result.out) == (130, "ready\nlast words")


def test_the_signal_handlers_are_put_back(stub: StubDaemon, launch: Launch) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    answers(stub, end(ended("COMPLETED", 0)))
    launch("run", "busybox")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
