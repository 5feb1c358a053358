"""``launch run``: what its exit status says."""

from __future__ import annotations

import pytest

from tests.acceptance.shell import Shell
from tests.support.daemon import BUSYBOX, DaemonProcess

HOG = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo ${#x}"


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_the_exit_status_is_the_containers_own(launch: Shell, code: int) -> None:
    done = launch("run", BUSYBOX, "--profile", "1g.6gb", "--", "sh", "-c", f"exit {code}")
    assert (done.code, done.out) == (code, b"")


def test_a_command_that_does_not_exist_is_127_and_named(launch: Shell) -> None:
    done = launch("run", BUSYBOX, "no-such-command")
    assert done.code == 127
    assert "no-such-command" in done.err


def test_a_command_that_cannot_be_run_is_126(launch: Shell) -> None:
    done = launch("run", BUSYBOX, "--entrypoint", "/etc/passwd", "x")
    assert done.code == 126
    assert "permission denied" in done.err.lower()


def test_running_out_of_memory_is_137_and_said(launch: Shell) -> None:
    done = launch("run", BUSYBOX, "--memory", "16m", "sh", "-c", HOG)
    assert done.code == 137
    assert "OUT_OF_MEMORY" in done.err


def test_a_time_limit_is_124_and_said(launch: Shell) -> None:
    done = launch("run", BUSYBOX, "-t", "1s", "--stop-timeout", "1", "sleep", "60")
    assert done.code == 124
    assert "TIMEOUT" in done.err


def test_an_image_that_is_not_here_and_not_pulled_is_125_and_named(launch: Shell) -> None:
    done = launch("run", "nobody/nothing:1", "--pull", "never", "true")
    assert done.code == 125
    assert "ImagePullFailed" in done.err
    assert "nobody/nothing:1" in done.err


def test_a_registry_that_does_not_answer_is_tried_three_times_then_it_is_125_with_its_words(
    launch: Shell,
) -> None:
    done = launch("run", "127.0.0.1:9/team/app:1", "true")
    assert done.code == 125
    assert "connection refused" in done.err
    assert "BeginTime" in done.err, "it says that it waits for its next try"
    shown = launch("show", "last", "-o", "json").ok().json
    assert [e["event"] for e in shown["events"]].count("ImageFailed") == 3
    assert (shown["outcome"], shown["attempts"]) == ("CANCELLED", [])


def test_a_cancelled_job_is_130(launch: Shell, shared: DaemonProcess) -> None:
    running = launch.start("run", BUSYBOX, "--profile", "1g.6gb", "sleep", "60")
    running.says("runs on 1g.6gb")
    launch("cancel", "last").ok()
    ended = running.end()
    assert ended.code == 130
    assert "CANCELLED" in ended.err


def test_without_a_daemon_it_is_125_and_says_what_to_do(launch: Shell) -> None:
    nowhere = {"LAUNCHER_SOCKET": str(launch.directory / "l.sock")}
    done = launch("run", BUSYBOX, "true", env=nowhere)
    assert (done.code, done.out) == (125, b"")
    assert "no launcher daemon is running" in done.err
    assert "launch serve" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--profile", "9g.99gb"], "1g.6gb"),
        (["--gpus", "1g.6gb:5"], "4"),
        (["--gpu-memory", "200g"], "6gb"),
        (["--gpus", "MIG-00000000-0000-0000-0000-000000000000"], "MIG-00000000"),
    ],
)
def test_what_no_gpu_here_could_give_is_refused_saying_what_there_is(
    launch: Shell, shared: DaemonProcess, words: list[str], said: str
) -> None:
    before = len(shared.client.jobs(all=True))
    done = launch("run", *words, BUSYBOX, "true")
    assert (done.code, done.out) == (2, b"")
    assert said in done.err
    assert len(shared.client.jobs(all=True)) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--memory", "16x", BUSYBOX], "'16x' is not a valid size"),
        (["--time", "5", BUSYBOX], "has no unit"),
        (["--time", "4:00", BUSYBOX], "two ways"),
        (["--gpus", "1g.6", BUSYBOX], "profile"),
        (["--profle", "1g.6gb", BUSYBOX], "--profile"),
        (["-e", "NVIDIA_VISIBLE_DEVICES=all", BUSYBOX], "NVIDIA_VISIBLE_DEVICES"),
        (["-v", "data:/data", BUSYBOX], "named volume"),
        (["--env-file", "/no/such/file", BUSYBOX], "/no/such/file"),
        (["BusyBox"], "lower case"),
        ([], "IMAGE"),
    ],
)
def test_wrong_usage_is_2_with_a_sentence(launch: Shell, words: list[str], said: str) -> None:
    done = launch("run", *words)
    assert (done.code, done.out) == (2, b"")
    assert said in done.err


def test_a_client_that_is_killed_leaves_its_job_running(
    launch: Shell, shared: DaemonProcess
) -> None:
    running = launch.start("run", BUSYBOX, "sh", "-c", "echo ready; sleep 1; exit 4")
    running.prints(b"ready\n")
    running.process.kill()
    running.process.wait()
    assert launch("wait", "last").code == 4
