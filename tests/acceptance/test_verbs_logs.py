"""``launch logs``: during a job, after it, and when its container is long gone."""

from __future__ import annotations

import re
from pathlib import Path

from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers
from tests.acceptance.shell import Shell
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.wait import wait_until

SIX = "seq 1 4; sleep 0.1; seq 5 6 >&2"


def detached(launch: Shell, *words: str) -> str:
    """Queue a job; its id."""
    return launch("run", "-d", *words).ok().text.strip()


def test_each_stream_comes_out_where_the_job_wrote_it(launch: Shell) -> None:
    launch("run", "-q", BUSYBOX, "sh", "-c", SIX).ok()
    done = launch("logs", "last").ok()
    assert (done.out, done.err) == (b"1\n2\n3\n4\n", "5\n6\n")


def test_a_tail_is_the_last_lines_of_both_streams(launch: Shell) -> None:
    launch("run", "-q", BUSYBOX, "sh", "-c", SIX).ok()
    for tail, out, err in (
        ("3", b"4\n", "5\n6\n"),
        ("0", b"", ""),
        ("99", b"1\n2\n3\n4\n", "5\n6\n"),
    ):
        done = launch("logs", "--tail", tail, "last").ok()
        assert (done.out, done.err) == (out, err)


def test_a_last_line_without_a_newline_is_a_line_of_the_tail(launch: Shell) -> None:
    launch("run", "-q", BUSYBOX, "printf", r"a\nb\nc").ok()
    assert launch("logs", "--tail", "2", "last").ok().out == b"b\nc"
    assert launch("logs", "--tail", "1", "last").ok().out == b"c"


def test_following_goes_on_from_the_tail_until_the_job_ends(launch: Shell, tmp_path: Path) -> None:
    script = "seq 1 5; until [ -e /here/go ]; do sleep 0.05; done; echo more"
    job = detached(launch, "-v", f"{tmp_path}:/here", BUSYBOX, "sh", "-c", script)
    wait_until(lambda: launch("logs", job).ok().out == b"1\n2\n3\n4\n5\n", what="five lines")
    following = launch.start("logs", "-f", "--tail", "2", job)
    following.prints(b"4\n5\n")
    assert following.process.poll() is None
    (tmp_path / "go").touch()
    assert following.end().ok().out == b"4\n5\nmore\n"


def test_following_a_job_that_waits_begins_before_it_starts(launch: Shell) -> None:
    holder = detached(launch, "--gpus", "1g.6gb:4", BUSYBOX, "sleep", "60")
    job = detached(launch, "--profile", "1g.6gb", BUSYBOX, "echo", "at last")
    assert launch("logs", job).ok().out == b""
    following = launch.start("logs", "-f", job)
    launch("cancel", holder).ok()
    assert following.end().ok().out == b"at last\n"


def test_they_are_kept_when_the_container_is_gone(launch: Shell, shared: DaemonProcess) -> None:
    launch("run", "-q", BUSYBOX, "sh", "-c", SIX).ok()
    (attempt,) = shared.client.show("last").attempts
    containers = Containers(DockerConnection(shared.docker_host))
    wait_until(
        lambda: containers.inspect(attempt.container_name) is None, what="the container is gone"
    )
    for words in (["logs", "last"], ["logs", "-f", "last"], ["logs", "--attempt", "1", "last"]):
        done = launch(*words).ok()
        assert (done.out, done.err) == (b"1\n2\n3\n4\n", "5\n6\n")


def test_times_are_put_before_the_lines(launch: Shell) -> None:
    launch("run", "-q", BUSYBOX, "sh", "-c", "echo a; echo b").ok()
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
    assert re.fullmatch(rf"{time} a\n{time} b\n", launch("logs", "-t", "last").ok().text)


def test_an_attempt_that_never_was_is_refused_also_when_followed(launch: Shell) -> None:
    launch("run", "-q", BUSYBOX, "echo", "x").ok()
    for words in ([], ["-f"]):
        done = launch("logs", *words, "--attempt", "7", "last", timeout=5)
        assert (done.code, done.out) == (1, b"")
        assert "attempt 7" in done.err


def test_control_sequences_do_not_reach_a_terminal_unless_asked(launch: Shell) -> None:
    launch("run", "-q", BUSYBOX, "printf", r"\033[31mred\033[0m \033]0;title\007 end\n").ok()
    raw = "\x1b[31mred\x1b[0m \x1b]0;title\x07 end"
    code, shown = launch.on_terminal("logs", "last")
    assert (code, shown.strip()) == (0, "\x1b[31mred\x1b[0m  end")
    assert launch.on_terminal("logs", "--raw", "last")[1].strip() == raw
    assert launch("logs", "last").ok().text == raw + "\n"


def test_of_a_job_that_is_not_there_it_is_said(launch: Shell) -> None:
    done = launch("logs", "4711")
    assert (done.code, done.out) == (1, b"")
    assert "there is no job 4711" in done.err


def test_the_log_of_a_loud_job_is_whole_as_soon_as_its_end_is_told(launch: Shell) -> None:
    """Docker's log is written down slower than a loud program writes it."""
    job = detached(launch, BUSYBOX, "seq", "1", "400000")
    tails = launch.start("logs", "-f", "--tail", "1", job)
    launch("wait", job).ok()
    assert launch("logs", "--tail", "1", job).ok().out == b"400000\n"
    lines = launch("logs", job).ok().out.splitlines()
    assert (len(lines), lines[-1]) == (400000, b"400000")
    assert tails.end().ok().out.endswith(b"400000\n")


def test_a_full_disk_behind_the_output_is_told_and_no_bug(launch: Shell) -> None:
    launch("run", "-q", BUSYBOX, "echo", "text").ok()
    for words in (["logs", "last"], ["ps", "-a"]):
        with Path("/dev/full").open("wb") as full:
            done = launch(*words, stdout=full)
        assert done.code == 125
        assert done.err == "launch: cannot write the output: No space left on device\n"
