"""Interactive jobs: terminals, standard input, leaving and coming back, further commands."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from pathlib import Path

import pytest

from tests.acceptance.shell import LAUNCH, Shell
from tests.acceptance.terminal import Terminal
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, CONFIG
from tests.support.keepers import keeper_of
from tests.support.user import OrdinaryUser
from tests.support.wait import wait_until

SHELL = ("run", "-it", "--profile", "1g.6gb", "--stop-timeout", "1", BUSYBOX, "sh")
LEAVE = "\x10\x11"
"""ctrl-p ctrl-q."""


def a_shell(launch: Shell, *words: str) -> tuple[Terminal, str]:
    """Open a shell in a job; returns its terminal and the job's id."""
    terminal = launch.open_terminal(*(words or SHELL))
    terminal.shows("# ")
    terminal.type("echo job-$LAUNCHER_JOB_ID-\r")
    found = re.compile(r"\njob-(\d+)-")
    wait_until(lambda: found.search(terminal.shown), 30, f"its id in {terminal.shown}")
    match = found.search(terminal.shown)
    assert match is not None
    return terminal, match[1]


def test_a_shell_on_a_terminal(launch: Shell) -> None:
    terminal = launch.open_terminal(*SHELL)
    terminal.shows("# ")
    terminal.type("tty; echo $((6*7))\r")
    terminal.shows("/dev/pts/0")
    terminal.shows("42")
    terminal.type("exit 3\r")
    code, shown = terminal.end()
    assert code == 3, shown


def test_the_terminal_has_the_size_of_this_one_and_follows_its_changes(launch: Shell) -> None:
    terminal, _ = a_shell(launch)
    for rows, columns in ((30, 100), (41, 133)):
        terminal.resize(rows, columns)

        def has_it(text: str = f"{rows} {columns}") -> bool:
            terminal.type("stty size\r")
            return f"\n{text}" in terminal.shown

        wait_until(has_it, 30, f"{rows}x{columns}; {terminal.shown}")
    terminal.type("exit\r")
    assert terminal.end()[0] == 0


def test_control_c_is_a_key_of_the_job(launch: Shell) -> None:
    terminal, _ = a_shell(launch)
    terminal.type("sleep 1000\r")
    terminal.shows("sleep 1000")

    def ended() -> bool:
        terminal.type("\x03echo after-$?\r")
        return "\nafter-130" in terminal.shown

    wait_until(ended, 30, "the command is interrupted")
    terminal.type("exit 5\r")
    assert terminal.end()[0] == 5


def test_one_leaves_a_job_and_comes_back(launch: Shell) -> None:
    terminal, job = a_shell(launch)
    terminal.type("X=kept; (sleep 0; echo later) &\r")
    terminal.type(LEAVE)
    code, shown = terminal.end()
    assert (code, f"`launch attach {job}` comes back" in shown) == (0, True), shown
    assert launch("show", job, "-o", "json").json["state"] == "RUNNING"
    again = launch.open_terminal("attach", job)
    again.type("\recho $X-again\r")
    again.shows("kept-again")
    again.type("exit 4\r")
    assert again.end()[0] == 4


def test_attach_to_a_job_that_waits_says_why_and_then_has_its_terminal(launch: Shell) -> None:
    job = launch("run", "-d", "-it", "--hold", BUSYBOX, "sh").ok().text.strip()
    terminal = launch.open_terminal("attach", job)
    terminal.shows("waits: JobHeldUser")
    launch("release", job).ok()
    terminal.shows("/ # ")
    terminal.type("exit 6\r")
    assert terminal.end()[0] == 6


def test_a_terminal_whose_job_was_ended_says_so(launch: Shell) -> None:
    terminal, job = a_shell(launch)
    watcher = launch.open_terminal("attach", job)
    watcher.shows("another client writes")
    launch("cancel", job, "--now").ok()
    for each in (terminal, watcher):
        each.shows(f"job {job} CANCELLED")
        assert each.end()[0] == 130


def test_one_client_writes_and_others_watch(launch: Shell) -> None:
    writer, job = a_shell(launch)
    watcher = launch.open_terminal("attach", job)
    watcher.shows("another client writes")
    watcher.type("echo not-heard\r")
    writer.type("echo heard-$((40+2))\r")
    watcher.shows("heard-42")
    assert "not-heard" not in writer.shown
    taker = launch.open_terminal("attach", "--take", job)
    writer.shows("you watch")
    taker.type("echo mine-$((40+3))\r")
    taker.shows("mine-43")
    watcher.shows("mine-43")
    watcher.type(LEAVE)
    assert watcher.end()[0] == 0
    taker.type("exit\r")
    assert taker.end()[0] == 0


def test_a_job_survives_its_client_and_its_daemon(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon().start()
    launch = Shell(daemon.environment, daemon.place)
    try:
        terminal, job = a_shell(launch)
        terminal.process.kill()
        again = launch.open_terminal("attach", job)
        again.type("\recho one-$((40+1))\r")
        again.shows("one-41")
        daemon.kill()
        again.type("echo two-$((40+2))\r")
        again.shows("two-42")
        daemon.start()
        again.type("echo three-$((40+3))\r")
        again.shows("three-43")
        again.type("exit 6\r")
        assert again.end()[0] == 6
    finally:
        launch.close()


@pytest.mark.parametrize("how", ["exit 0\r", LEAVE])
def test_the_screen_is_as_it_was_before(launch: Shell, how: str) -> None:
    inner = " ".join([LAUNCH, *SHELL])
    terminal = Terminal(
        ["sh", "-c", f"stty -a | tail -4 | md5sum; {inner}; stty -a | tail -4 | md5sum"],
        launch.environment,
    )
    try:
        terminal.shows("# ")
        terminal.type("printf '\\033[?1049h\\033[?25l\\033[?2004h\\033[?1000h'; echo on-$((1+1))\r")
        terminal.shows("on-2")
        terminal.type(how)
        _, shown = terminal.end()
        before, after = re.findall(r"([0-9a-f]{32})  -\r\n", shown)
        assert before == after
        end = shown.rpartition("on-2")[2]
        for restored in ("[?1049l", "[?25h", "[?2004l", "[?1000l"):
            assert f"\x1b{restored}" in end, end
    finally:
        terminal.close()


def test_input_of_100_megabytes_arrives_whole(launch: Shell) -> None:
    data = os.urandom(100_000_000)
    done = launch("run", "-i", "-q", BUSYBOX, "sha256sum", stdin=data)
    assert (done.code, done.text.split()[0]) == (0, hashlib.sha256(data).hexdigest())


def test_a_second_attempt_gets_no_rest_of_the_input_of_the_first_one(
    launch: Shell, tmp_path: Path
) -> None:
    (tmp_path / "input").write_bytes(b"x" * 10_000_000)
    script = "if [ $LAUNCHER_ATTEMPT = 1 ]; then head -c 10; exit 1; fi; wc -c"
    retries = ("--retries", "1", "--retry-on", "any")
    words = ("run", "-i", "--name", "again", *retries, BUSYBOX, "sh", "-c", script)
    with (tmp_path / "input").open("rb") as data:
        first = launch.start(*words, stdin=data)
    first.says("nothing more is sent")
    assert launch("attach", "--take", "again", stdin=b"whole").code == 0
    assert first.end().code == 0
    assert launch("logs", "again").text.split()[-1] == "5"


def test_input_that_a_killed_keeper_cut_short_is_not_taken_for_all_of_it(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon().start()
    launch = Shell(daemon.environment, daemon.place)
    try:
        ours, theirs = os.pipe()
        words = ("run", "-i", BUSYBOX, "sh", "-c", "head -c 4; echo; wc -c")
        running = launch.start(*words, stdin=ours)
        os.close(ours)
        os.write(theirs, b"half")
        running.prints(b"half")
        os.kill(keeper_of(daemon), signal.SIGKILL)
        running.says("some input may be lost")
        job = daemon.client.jobs(["last"])[0]
        assert job.state == "RUNNING", "its input is still open"
        done = launch("attach", "--take", str(job.id), stdin=b"rest")
        assert (done.code, done.out) == (0, b"4\n"), done
        running.end()
    finally:
        os.close(theirs)
        launch.close()


def test_both_streams_come_back_whole_and_apart(launch: Shell) -> None:
    data = b"".join(b"%d\n" % number for number in range(300_000))
    done = launch("run", "-i", "-q", BUSYBOX, "sh", "-c", "tee /dev/stderr", stdin=data)
    assert (done.code, done.out == data, done.err.encode() == data) == (0, True, True)


def test_input_that_ends_at_once_ends_the_job(launch: Shell) -> None:
    assert launch("run", "-i", "-q", BUSYBOX, "cat").out == b""


def test_a_short_command_on_a_terminal(launch: Shell) -> None:
    for code in (0, 3):
        ended, shown = launch.on_terminal(
            "run", "-it", "-q", BUSYBOX, "sh", "-c", f"echo a; exit {code}"
        )
        assert (ended, shown) == (code, "a\r\n")


def test_a_terminal_needs_one_here(launch: Shell) -> None:
    done = launch("run", "-it", BUSYBOX, "sh")
    assert (done.code, "stdin is not a terminal" in done.err) == (2, True), done.err


def test_a_further_command_in_a_job(launch: Shell) -> None:
    job = launch("run", "-d", BUSYBOX, "sleep", "60").ok().text.strip()
    wait_until(lambda: launch("show", job, "-o", "json").json["state"] == "RUNNING", 30, "it runs")
    done = launch("exec", job, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.code, done.out, done.err) == (7, b"out\n", "err\n")
    assert launch("exec", "-i", job, "--", "cat", stdin=b"abc").out == b"abc"
    assert launch("exec", "-e", "A=b c", "-w", "/etc", job, "sh", "-c", "echo $A; pwd").text == (
        "b c\n/etc\n"
    )
    terminal = launch.open_terminal("exec", "-it", job, "sh")
    sized = lambda: (terminal.type("stty size\r"), "\n30 100" in terminal.shown)[1]  # noqa: E731
    wait_until(sized, 30, "it has this terminal's size")
    terminal.type("exit 9\r")
    assert terminal.end()[0] == 9
    assert launch("exec", job, "no-such-program").code in (126, 127)


def test_attach_to_a_job_without_a_terminal_follows_it(launch: Shell) -> None:
    job = launch("run", "-d", BUSYBOX, "sh", "-c", "echo hello; sleep 1; exit 3").ok().text.strip()
    done = launch("attach", job)
    assert (done.code, done.out) == (3, b"hello\n")
    assert f"job {job} has no terminal" in done.err
    assert (
        "has ended" in launch("exec", job, "true").err
        or "does not run" in launch("exec", job, "true").err
    )


def test_whoever_only_follows_a_job_does_not_cancel_it(launch: Shell) -> None:
    script = "while sleep 0.1; do echo tick; done"
    job = launch("run", "-d", BUSYBOX, "sh", "-c", script).ok().text.strip()
    follower = launch.start("attach", job)
    follower.prints(b"tick")
    follower.process.terminate()
    assert f"job {job} goes on" in follower.end().err
    assert launch("show", job, "-o", "json").json["state"] == "RUNNING"
    launch("cancel", "--now", job)


def test_shell_opens_the_image_that_the_admin_chose(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(config=f'{CONFIG}interactive.image = "{BUSYBOX}"\n').start()
    launch = Shell(daemon.environment, daemon.place)
    try:
        terminal = launch.open_terminal("shell", "--profile", "1g.6gb")
        terminal.type("echo $LAUNCHER_PROFILE-here; exit\r")
        code, shown = terminal.end()
        assert (code, "1g.6gb-here" in shown) == (0, True), shown
    finally:
        launch.close()


def test_a_job_that_nobody_uses_ends(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(config=f'{CONFIG}interactive.idle = "2s"\n').start()
    launch = Shell(daemon.environment, daemon.place)
    try:
        terminal, job = a_shell(launch)
        assert "2s" in launch("show", job).text
        terminal.type(LEAVE)
        terminal.end()
        done = launch("wait", job)
        shown = launch("show", job).text
        assert "nobody used its terminal" in shown, (done, shown)
    finally:
        launch.close()


def test_interactive_jobs_have_limits_of_their_own(make_daemon: MakeDaemon) -> None:
    config = f'{CONFIG}interactive.jobs = 1\ninteractive.max_time_limit = "1h"\n'
    daemon, user = make_daemon(config=config).start(), OrdinaryUser()
    launch = Shell(daemon.environment | user.environment, user.home, user.command())
    try:
        launch("run", "-d", "-i", "--hold", BUSYBOX, "cat").ok()
        second = launch("run", "-d", "-i", "--hold", BUSYBOX, "cat")
        assert (second.code, "1 interactive jobs at once" in second.err) == (125, True), second
        long = launch("run", "-d", "-i", "-t", "2h", BUSYBOX, "cat")
        assert "time_limit" in long.err
    finally:
        launch.close()
        user.close()


def test_whose_job_it_is_decides_who_may_attach_and_run_commands(make_daemon: MakeDaemon) -> None:
    daemon, owner, other = make_daemon().start(), OrdinaryUser(), OrdinaryUser("games")
    mine = Shell(daemon.environment | owner.environment, owner.home, owner.command())
    others = Shell(daemon.environment | other.environment, other.home, other.command())
    admin = Shell(daemon.environment, daemon.place)
    try:
        job = mine("run", "-d", "-i", BUSYBOX, "sh", "-c", "cat; sleep 60").ok().text.strip()
        wait_until(lambda: mine("show", job, "-o", "json").json["state"] == "RUNNING", 30, "runs")
        who = (
            "exec",
            job,
            "sh",
            "-c",
            "id -u; grep -E 'NoNewPrivs|CapEff|CapBnd' /proc/self/status",
        )
        first, *rest = mine(*who).ok().text.split("\n")
        assert first == str(owner.uid)
        assert [line.split()[1] for line in rest if line] == ["0" * 16, "0" * 16, "1"]
        assert admin(*who).ok().text.split("\n")[0] == str(owner.uid)
        for words in (who, ("attach", job), ("attach", "--watch", job), ("attach", "--take", job)):
            done = others(*words)
            assert (done.code, "belongs to" in done.err) == (125, True), done
        inside = mine("exec", job, "cat", "/proc/1/status").ok().text
        groups = mine("exec", job, "cat", "/proc/self/status").ok().text

        def line(text: str) -> str:
            return next(each for each in text.splitlines() if each.startswith("Groups:"))

        assert line(inside).split() == line(groups).split()
    finally:
        for shell in (mine, others, admin):
            shell.close()
        owner.close()
        other.close()
