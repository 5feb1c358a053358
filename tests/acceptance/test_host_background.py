"""``launch host -d``: commands on the machine itself in the background, with a log."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.daemon.attempts.background_start import PATH, ROOTS_PATH
from launcher.host.cgroup import unified_root
from tests.acceptance.conftest import MakeShell
from tests.acceptance.shell import Shell
from tests.acceptance.test_host import last_is, slices_free, user
from tests.conftest import MakeDaemon
from tests.support.daemon import CONFIG, DaemonProcess
from tests.support.keepers import keeper_of
from tests.support.user import OrdinaryUser
from tests.support.wait import wait_until

__all__ = ["user"]

ONE = ("host", "-d", "--profile", "1g.6gb")
LINES = 400_000
SEQUENCE = "".join(f"{n}\n" for n in range(1, LINES + 1)).encode()


def digest(data: bytes) -> str:
    """Return what to compare: a difference in megabytes helps nobody."""
    return hashlib.sha256(data).hexdigest()


def queued(launch: Shell, *words: str) -> str:
    """Queue a host job in the background; returns its id."""
    return launch("host", "-d", *words).ok().text.strip()


@pytest.fixture
def go(tmp_path: Path) -> Iterator[Path]:
    """A pipe on which a job waits until somebody writes to it."""
    made = tmp_path / "go"
    os.mkfifo(made)
    yield made
    made.unlink()


def test_it_runs_in_this_directory_with_a_log_and_its_own_exit_code(
    launch: Shell, tmp_path: Path
) -> None:
    script = "pwd; echo $CUDA_VISIBLE_DEVICES; echo wrong >&2; printf 'no end'; exit 9"
    told = launch(*ONE, "--", "sh", "-c", script, cwd=tmp_path).ok()
    number = told.text.strip()
    assert launch("wait", number).code == 9
    log = launch("logs", number).ok()
    place, uuid, rest = log.text.split("\n")
    assert (place, rest, log.err) == (str(tmp_path), "no end", "wrong\n")
    assert re.fullmatch(r"MIG-[0-9a-f-]{36}", uuid)
    shown = launch("show", number, "-o", "json").ok().json
    assert (shown["outcome"], shown["slices"]) == ("FAILED", [uuid])


def test_its_environment_is_a_new_logins_and_what_was_named(launch: Shell, tmp_path: Path) -> None:
    file = tmp_path / "variables"
    file.write_text("OF_THE_FILE=1\n")
    words = ["-e", "NAMED=a b", "--env-file", str(file), "--", "env"]
    number = launch("host", "-d", *words, env={"SECRET": "hunter2"}).ok().text.strip()
    assert launch("wait", number).code == 0
    lines = launch("logs", number).ok().text.splitlines()
    found = dict(line.split("=", 1) for line in lines)
    own = {name for name in found if name.startswith("LAUNCHER_")}
    assert own >= {"LAUNCHER_JOB_ID", "LAUNCHER_PROFILE"}
    root = pwd.getpwuid(0)
    assert {name: value for name, value in found.items() if name not in own} == {
        "CUDA_VISIBLE_DEVICES": "",
        "HOME": root.pw_dir,
        "LOGNAME": "root",
        "NAMED": "a b",
        "OF_THE_FILE": "1",
        "PATH": ROOTS_PATH,
        "SHELL": root.pw_shell,
        "USER": "root",
    }


def test_what_it_writes_is_seen_at_once_and_whole(launch: Shell, go: Path) -> None:
    number = queued(launch, "--", "sh", "-c", f"printf now; read line < {go}; seq 1 {LINES}")
    follows = launch.start("logs", "-f", number)
    follows.prints(b"now")
    go.write_text("\n")
    assert digest(follows.end().ok().out) == digest(b"now" + SEQUENCE)


def test_a_command_that_cannot_run_is_told_as_a_shell_tells_it(launch: Shell) -> None:
    for words, code, why in (
        (["/no/such/program"], 127, "No such file"),
        (["/etc/passwd"], 126, "Permission denied"),
    ):
        number = queued(launch, "--", *words)
        assert launch("wait", number).code == code
        assert why in launch("show", number).ok().text


def test_an_array_and_retries_run_as_containers_do(launch: Shell) -> None:
    script = "echo $LAUNCHER_ARRAY_INDEX; exit $LAUNCHER_ARRAY_INDEX"
    array = queued(launch, "--array", "0-2%2", "--", "sh", "-c", script)
    assert launch("wait", array).code != 0
    assert launch("logs", f"{array}[2]").ok().text == "2\n"
    again = "echo attempt $LAUNCHER_ATTEMPT; exit $((2 - LAUNCHER_ATTEMPT))"
    number = queued(launch, "--retries", "3", "--retry-on", "any", "--", "sh", "-c", again)
    assert launch("wait", number).code == 0
    assert launch("logs", number).ok().text == "attempt 2\n"
    assert launch("logs", "--attempt", "1", number).ok().text == "attempt 1\n"


def test_a_foreground_job_runs_again_in_the_foreground(launch: Shell) -> None:
    again = "echo attempt $LAUNCHER_ATTEMPT; exit $((2 - LAUNCHER_ATTEMPT))"
    words = ["host", "-q", "--retries", "3", "--retry-on", "any", "--", "sh", "-c", again]
    assert launch(*words).ok().text == "attempt 1\nattempt 2\n"
    words[3] = "0"
    ended = launch(*words)
    assert (ended.code, ended.text) == (1, "attempt 1\n")


def test_its_end_is_the_end_of_everything_it_started(
    launch: Shell, shared: DaemonProcess, go: Path
) -> None:
    script = f"setsid sh -c 'read line < {go}; echo late' & exit 3"
    number = launch(*ONE, "--", "sh", "-c", script).ok().text.strip()
    wait_until(lambda: last_is(shared, "RUNNING"))
    assert not slices_free(shared)
    go.write_text("\n")
    assert launch("wait", number).code == 3
    assert launch("logs", number).ok().text == "late\n"
    wait_until(lambda: slices_free(shared))


def test_cancel_and_time_limits_end_all_of_it(launch: Shell, shared: DaemonProcess) -> None:
    script = "trap '' TERM; setsid sleep 600 & sleep 600"
    options = ("-t", "1s", "--stop-timeout", "1")
    number = launch(*ONE, *options, "--", "sh", "-c", script).ok().text.strip()
    assert launch("wait", number).code == 124
    number = launch(*ONE, "--", "sleep", "600").ok().text.strip()
    wait_until(lambda: last_is(shared, "RUNNING"))
    launch("cancel", number).ok()
    assert launch("wait", number).code == 130
    wait_until(lambda: slices_free(shared))


@pytest.mark.parametrize("dies", ["daemon", "keeper", "both"])
def test_whoever_dies_no_line_is_lost_and_the_end_is_known(
    make_daemon: MakeDaemon, shell_for: MakeShell, go: Path, dies: str
) -> None:
    daemon = make_daemon().start()
    launch = shell_for(daemon)
    script = f"seq 1 {LINES}; read line < {go}; seq 1 {LINES}; exit 5"
    number = launch(*ONE, "--", "sh", "-c", script).ok().text.strip()
    follows = launch.start("logs", "-f", number)
    follows.prints(b"1\n")
    if dies != "daemon":
        os.kill(keeper_of(daemon), signal.SIGKILL)
    if dies != "keeper":
        daemon.kill()
        daemon.start()
    go.write_text("\n")
    assert launch("wait", number, timeout=60).code == 5
    log = launch("logs", number).ok()
    assert digest(follows.end().ok().out) == digest(log.out)
    if dies == "daemon":
        assert digest(log.out) == digest(SEQUENCE * 2)
    else:
        assert log.text.endswith(f"\n{LINES}\n")
        assert "output may be missing here, at most" in log.err
    wait_until(lambda: slices_free(daemon), timeout=20)


def test_a_member_of_a_group_that_may_runs_it_as_himself(
    make_daemon: MakeDaemon, user: OrdinaryUser
) -> None:
    daemon = make_daemon(config=f'{CONFIG}[host]\ngroups = ["games"]\n').start()
    daemon.socket.chmod(0o666)
    environment = {**user.environment, "LAUNCHER_SOCKET": str(daemon.socket)}
    shell = Shell(environment, user.home, user.command(docker=False))
    script = "id -u; id -g; pwd; echo $HOME $USER $PATH; umask; cat /proc/self/cgroup"
    number = queued(shell, "--", "sh", "-c", script)
    assert shell("wait", number).code == 0
    lines = shell("logs", number).ok().text.splitlines()
    entry = pwd.getpwuid(user.uid)
    assert lines[:3] == [str(user.uid), str(user.gid), str(user.home)]
    assert lines[3:5] == [f"{entry.pw_dir} {entry.pw_name} {PATH}", "0022"]
    assert any("/host-" in line for line in lines[5:])
    (record,) = [s for s in daemon.client.jobs(all=True) if s.id == int(number)]
    assert record.user == entry.pw_name
    number = shell("host", "-d", "--", "true", cwd=Path("/root")).ok().text.strip()
    assert shell("wait", number).code == 125
    assert "working_dir: /root: Permission denied" in shell("show", number).ok().text


def test_nothing_is_left_of_it(launch: Shell, shared: DaemonProcess) -> None:
    number = queued(launch, "--", "true")
    assert launch("wait", number).code == 0
    root = unified_root()
    assert root is not None
    name = f"host-{shared.client.status().store}-{number}-1"
    wait_until(lambda: not (root / "launcher.host" / name).exists(), timeout=20)
    assert not list(shared.socket.parent.glob(f"host-jobs/{name}*"))


def test_what_a_crash_left_of_jobs_that_are_over_is_removed_at_the_next_start(
    make_daemon: MakeDaemon, shell_for: MakeShell
) -> None:
    daemon = make_daemon().start()
    launch = shell_for(daemon)
    number = queued(launch, "--", "true")
    assert launch("wait", number).code == 0
    root, store = unified_root(), daemon.client.status().store
    assert root is not None
    over, unknown, used = (root / f"launcher.host/host-{store}-{n}-1" for n in (number, 998, 999))
    wait_until(lambda: not over.exists(), timeout=20)
    daemon.kill()
    for each in (over, unknown, used):
        each.mkdir()
    with subprocess.Popen(["sleep", "600"]) as process:
        (used / "cgroup.procs").write_text(str(process.pid))
        daemon.start()
        wait_until(lambda: not over.exists() and not unknown.exists(), timeout=20)
        assert used.exists()
        assert process.poll() is None
        process.kill()
    used.rmdir()
    assert int(queued(launch, "--", "true")) > 999, "no id is used again"


def test_what_it_used_is_shown_while_it_runs_and_afterwards(launch: Shell, go: Path) -> None:
    script = f"i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; read x < {go}"
    number = queued(launch, "--", "sh", "-c", script)

    def seconds() -> float:
        (attempt,) = launch("show", number, "-o", "json").ok().json["attempts"]
        return float(attempt["cpu_seconds"] or 0)

    wait_until(lambda: seconds() > 0)
    before = seconds()
    go.write_text("go\n")
    assert launch("wait", number).code == 0
    assert seconds() >= before
    assert re.search(r"^attempt 1: .*CPU [0-9.]+ s", launch("show", number).ok().text, re.MULTILINE)
