"""``launch host``: commands on the machine itself, each with its own slice."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.errors import NoSuchJob, NotAllowed, UserError
from launcher.host.cgroup import unified_root
from launcher.pidfd import kernel_tells
from launcher.wire import GpuRequest, JobSpec, JobView
from tests.acceptance.conftest import MakeShell
from tests.acceptance.shell import LAUNCH, Shell
from tests.acceptance.terminal import Terminal
from tests.conftest import MakeDaemon
from tests.support.daemon import CONFIG, DaemonProcess, as_user
from tests.support.user import OrdinaryUser
from tests.support.wait import wait_until

ONE = ("host", "-q", "--profile", "1g.6gb", "--")


def last(daemon: DaemonProcess) -> JobView:
    return daemon.client.show("last").job


def last_is(daemon: DaemonProcess, state: str) -> bool:
    """Whether there is a job, and the last one is in this state."""
    with contextlib.suppress(NoSuchJob):
        return last(daemon).state == state
    return False


def slices_free(daemon: DaemonProcess) -> bool:
    """Whether every slice is free, and the last job's end is on record."""
    return last(daemon).state == "DONE" and {s.state for s in daemon.client.slices()} == {"free"}


def test_a_terminal_that_is_not_there_is_refused_as_by_run(launch: Shell) -> None:
    ended = launch("host", "-it", "true")
    assert (ended.code, "stdin is not a terminal, which -it needs" in ended.err) == (2, True)
    assert launch("host", "-q", "--gpus", "none", "-i", "cat", stdin=b"sent").ok().text == "sent"


def test_it_is_the_callers_own_command_with_a_slice(launch: Shell, tmp_path: Path) -> None:
    script = "pwd; echo $CUDA_VISIBLE_DEVICES $LAUNCHER_PROFILE $MINE $GIVEN; cat; exit 9"
    words = ["host", "-q", "--gpus", "1g.6gb:2", "-e", "GIVEN=2", "--", "sh", "-c", script]
    ended = launch(*words, stdin=b"piped\n", env={"MINE": "1"}, cwd=tmp_path)
    assert ended.code == 9
    assert ended.err == ""
    place, told, piped = ended.text.splitlines()
    assert (place, piped) == (str(tmp_path), "piped")
    assert re.fullmatch(r"MIG-[0-9a-f-]{36},MIG-[0-9a-f-]{36} 1g\.6gb 1 2", told)
    shown = launch("show", "last", "-o", "json").ok().json
    assert (shown["name"], shown["exit_code"], shown["outcome"]) == ("sh", 9, "FAILED")
    assert shown["slices"] == told.split()[0].split(",")
    assert shown["container_id"] is None


def test_without_a_gpu_request_it_sees_no_gpu(launch: Shell) -> None:
    ended = launch("host", "--", "sh", "-c", "echo [$CUDA_VISIBLE_DEVICES]").ok()
    assert ended.text == "[]\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 255"], 255),
        (["sh", "-c", "kill -USR1 $$"], 128 + signal.SIGUSR1),
        (["sh", "-c", "kill -SEGV $$"], 128 + signal.SIGSEGV),
        (["/no/such"], 127),
        (["/etc/passwd"], 126),
        (["/etc"], 126),
    ],
)
def test_its_exit_status_is_a_shells(
    launch: Shell, shared: DaemonProcess, words: list[str], code: int
) -> None:
    assert launch(*ONE, *words).code == code
    wait_until(lambda: last(shared).exit_code == code)


def test_an_option_behind_the_command_is_the_commands(launch: Shell) -> None:
    assert launch("host", "echo", "--profile", "x").ok().text == "--profile x\n"


def test_it_waits_its_turn_and_says_why(launch: Shell, shared: DaemonProcess) -> None:
    holds = launch.start("host", "--gpus", "1g.6gb:4", "--", "sleep", "600")
    wait_until(lambda: {s.state for s in shared.client.slices()} == {"leased"})
    waits = launch.start("host", "--profile", "1g.6gb", "--", "sh", "-c", "exit 4")
    waits.says("waits: Resources")
    holds.process.terminate()
    assert holds.end().code == 128 + signal.SIGTERM
    assert waits.end().code == 4


def test_ctrl_c_reaches_the_command_alone(launch: Shell) -> None:
    script = "trap 'echo got it; exit 5' INT; echo ready; while :; do sleep 0.05; done"
    terminal = launch.open_terminal("host", "--profile", "1g.6gb", "--", "sh", "-c", script)
    terminal.shows("ready")
    terminal.type("\x03")
    code, text = terminal.end()
    assert code == 5
    assert "got it" in text


def test_it_has_the_terminal_and_job_control(launch: Shell, tmp_path: Path) -> None:
    script = tmp_path / "script"
    job = "test -t 0 && echo on a terminal; kill -TSTP 0; echo on"
    lines = ["set -m", f"{LAUNCH} host -q -- sh -c '{job}'", "echo stopped with $?", "fg"]
    script.write_text("\n".join(lines))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["setsid", "--ctty", "bash", str(script)],
        stdin=theirs, stdout=theirs, stderr=theirs, env=launch.environment,
    ) as shell:  # fmt: skip
        os.close(theirs)
        shown = b""
        wait_until(lambda: shell.poll() is not None, 30, "the shell has ended")
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    lines = shown.decode().splitlines()
    assert "on a terminal" in lines
    assert f"stopped with {128 + signal.SIGTSTP}" in lines
    assert lines[-1] == "on"


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""


def test_what_it_starts_keeps_the_slice_until_all_of_it_has_ended(
    launch: Shell, shared: DaemonProcess, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    script = f"setsid sh -c '(setsid cat {go} >/dev/null 2>&1 &) &' ; exit 3"
    assert launch(*ONE, "sh", "-c", script).code == 3
    assert last(shared).state == "RUNNING"
    assert not slices_free(shared)
    go.write_text("")
    wait_until(lambda: slices_free(shared))
    assert last(shared).exit_code == 3


def test_a_time_limit_ends_the_whole_tree(launch: Shell, shared: DaemonProcess) -> None:
    script = "trap '' TERM; setsid sleep 600 & setsid sleep 600 & wait; wait"
    ended = launch("host", "-t", "1s", "--stop-timeout", "1", "--", "sh", "-c", script)
    assert ended.code == 124
    assert "TIMEOUT" in ended.err
    wait_until(lambda: slices_free(shared))


@pytest.mark.parametrize("end", ["exit 0", "exit 3", "kill -TERM $$"])
def test_a_preemptible_command_gives_way_and_runs_again_in_the_same_client(
    make_daemon: MakeDaemon, shell_for: MakeShell, end: str
) -> None:
    daemon = make_daemon(config=f"{CONFIG}[queue]\npreempt_after = '0s'\n").start()
    launch = shell_for(daemon)
    script = f"""
        echo attempt $LAUNCHER_ATTEMPT
        [ $LAUNCHER_ATTEMPT = 1 ] || exit 7
        trap 'echo asked; trap - TERM; {end}' TERM
        sleep 600 & wait
    """
    four = ("--gpus", "1g.6gb:4")
    gives_way = launch.start("host", "--preemptible", *four, "--", "sh", "-c", script)
    wait_until(lambda: last_is(daemon, "RUNNING"))
    number = last(daemon).id
    assert launch("host", "-q", "--priority", "60", *four, "--", "echo", "first").ok().text
    ended = gives_way.end()
    assert (ended.code, ended.text) == (7, "attempt 1\nasked\nattempt 2\n")
    assert f"job {number} runs again (gave way to job {number + 1})" in ended.err
    assert " runs on " not in ended.err
    shown = launch("show", str(number), "-o", "json").ok().json
    assert shown["attempts"][0]["cause"] == f"gave way to job {number + 1}"


@pytest.mark.parametrize("end", ["exit 0", "exit 3"])
def test_a_command_that_is_requeued_runs_again_in_the_same_client_whatever_it_exits_with(
    launch: Shell, shared: DaemonProcess, end: str
) -> None:
    script = f"""
        [ $LAUNCHER_ATTEMPT -lt 3 ] || exit 7
        trap 'echo asked $LAUNCHER_ATTEMPT; {end}' TERM
        echo ready >&2
        sleep 600 & wait
    """
    running = launch.start(*ONE, "sh", "-c", script)
    for attempt in (1, 2):
        wait_until(lambda attempt=attempt: running.err.count("ready") == attempt)
        launch("requeue", "last").ok()
    ended = running.end()
    assert (ended.code, ended.text) == (7, "asked 1\nasked 2\n")


def test_a_command_that_was_requeued_ends_as_it_ends_the_next_time(
    launch: Shell, tmp_path: Path
) -> None:
    """What it leaves behind does not hold the client."""
    go = tmp_path / "go"
    os.mkfifo(go)
    script = f"""
        [ $LAUNCHER_ATTEMPT = 1 ] || {{ setsid cat {go} >/dev/null 2>&1 & exit 4; }}
        trap 'exit 0' TERM
        echo ready >&2
        sleep 600 & wait
    """
    running = launch.start(*ONE, "sh", "-c", script)
    running.says("ready")
    launch("requeue", "last").ok()
    assert running.end().code == 4
    go.write_text("")


def test_a_preemptible_command_that_ignores_it_is_ended_after_its_grace(
    make_daemon: MakeDaemon, shell_for: MakeShell
) -> None:
    daemon = make_daemon(config=f"{CONFIG}[queue]\npreempt_after = '0s'\n").start()
    launch = shell_for(daemon)
    script = "trap '' TERM; [ $LAUNCHER_ATTEMPT = 1 ] || exit 7; while :; do sleep 600; done"
    four = ("--gpus", "1g.6gb:4")
    words = ("host", "-q", "--preemptible", "--stop-timeout", "1", *four)
    gives_way = launch.start(*words, "--", "sh", "-c", script)
    wait_until(lambda: last_is(daemon, "RUNNING"))
    launch("host", "-q", "--priority", "60", *four, "--", "true").ok()
    assert gives_way.end().code == 7


def test_a_preemptible_command_that_nothing_disturbs_ends_as_it_ends(launch: Shell) -> None:
    for code in (0, 5):
        ended = launch("host", "-q", "--preemptible", "--", "sh", "-c", f"exit {code}")
        assert (ended.code, ended.err) == (code, "")


def test_cancel_from_elsewhere_ends_it(launch: Shell, shared: DaemonProcess) -> None:
    running = launch.start(*ONE, "sleep", "600")
    wait_until(lambda: last_is(shared, "RUNNING"))
    launch("cancel", "last").ok()
    ended = running.end()
    assert ended.code == 130
    assert "CANCELLED" in ended.err or ended.err == ""


def test_a_client_that_is_killed_leaves_its_command_and_the_lease(
    launch: Shell, shared: DaemonProcess, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    running = launch.start(*ONE, "sh", "-c", f"read line < {go}; exit 6")
    wait_until(lambda: last_is(shared, "RUNNING"))
    running.process.kill()
    running.process.wait()
    assert not slices_free(shared)
    go.write_text("\n")
    wait_until(lambda: slices_free(shared), timeout=20)
    job = last(shared)
    known = ("FAILED", 6) if kernel_tells() else ("LOST", None)
    assert (job.outcome, job.exit_code) == known


def test_a_shell_whose_client_is_killed_ends_and_keeps_no_slice(
    launch: Shell, shared: DaemonProcess
) -> None:
    script = '"$0" host -it --profile 1g.6gb -- bash --norc; sleep 600'
    terminal = Terminal(["sh", "-c", script, str(LAUNCH)], launch.environment)
    try:
        terminal.type("echo here-$((40+2))\r")
        terminal.shows("here-42")
        login = terminal.process.pid  # of whose terminal the client is not the first process
        children = Path(f"/proc/{login}/task/{login}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        wait_until(lambda: slices_free(shared), timeout=20)
    finally:
        terminal.process.kill()
        terminal.end()
    job = last(shared)
    known = ("FAILED", 128 + signal.SIGHUP) if kernel_tells() else ("LOST", None)
    assert (job.outcome, job.exit_code) == known


def test_a_client_that_is_killed_while_it_waits_costs_nobody_a_slice(
    launch: Shell, shared: DaemonProcess
) -> None:
    holds = launch.start("host", "--gpus", "1g.6gb:4", "--", "sleep", "600")
    wait_until(lambda: {s.state for s in shared.client.slices()} == {"leased"})
    waits = launch.start(*ONE, "true")
    wait_until(lambda: last_is(shared, "PENDING"))
    waits.process.kill()
    waits.process.wait()
    holds.process.terminate()
    wait_until(lambda: slices_free(shared), timeout=30)
    job = last(shared)
    assert (job.outcome, job.exit_code) == ("FAILED", None)
    assert "its client" in job.message


@pytest.mark.parametrize("client_too", [False, True])
def test_a_daemon_that_is_killed_takes_a_host_job_up_again(
    make_daemon: MakeDaemon, shell_for: MakeShell, tmp_path: Path, client_too: bool
) -> None:
    daemon = make_daemon().start()
    launch = shell_for(daemon)
    go = tmp_path / "go"
    os.mkfifo(go)
    running = launch.start(*ONE, "sh", "-c", f"read line < {go}; exit 6")
    wait_until(lambda: last_is(daemon, "RUNNING"))
    daemon.kill()
    if client_too:
        running.process.kill()
        running.process.wait()
        go.write_text("\n")
    daemon.start()
    if not client_too:
        assert not slices_free(daemon)
        go.write_text("\n")
        assert running.end().code == 6
    wait_until(lambda: slices_free(daemon), timeout=20)
    job = last(daemon)
    known = ("FAILED", 6) if kernel_tells() else ("LOST", None)
    assert (job.outcome, job.exit_code) == known


def test_a_command_that_ends_while_the_daemon_is_away_ends_as_it_ends(
    make_daemon: MakeDaemon, shell_for: MakeShell, tmp_path: Path
) -> None:
    daemon = make_daemon().start()
    launch = shell_for(daemon)
    go = tmp_path / "go"
    os.mkfifo(go)
    running = launch.start(*ONE, "sh", "-c", f"read line < {go}; exit 6")
    wait_until(lambda: last_is(daemon, "RUNNING"))
    daemon.kill()
    go.write_text("\n")
    ended = running.end()
    assert (ended.code, ended.err) == (6, "")


def test_a_limit_that_the_kernel_cannot_keep_is_refused(launch: Shell) -> None:
    root = unified_root()
    assert root is not None
    controllers = (root / "cgroup.controllers").read_text().split()
    ended = launch("host", "--memory", "64m", "--", "true")
    if "memory" in controllers:
        assert ended.code == 0, ended
        return
    assert ended.code == 2
    assert "mem_limit: this machine cannot limit a host job's memory" in ended.err


def test_a_secret_of_the_callers_environment_is_found_nowhere(
    make_daemon: MakeDaemon, shell_for: MakeShell
) -> None:
    daemon = make_daemon().start()
    launch = shell_for(daemon)
    secret = "hush-3f9c2a"
    script = "test $PASSWORD = hush-3f9c2a"
    launch("host", "--", "sh", "-c", script, env={"PASSWORD": secret})
    daemon.stop()
    for path in [*daemon.state.rglob("*"), *daemon.place.rglob("*")]:
        if path.is_file():
            found = path.read_bytes().replace(script.encode(), b"")
            assert secret.encode() not in found.replace(b"= " + secret.encode(), b""), path


def test_a_host_job_is_not_taken_for_somebody_elses_use(
    launch: Shell, shared: DaemonProcess
) -> None:
    running = launch.start(*ONE, "sleep", "600")
    wait_until(lambda: last_is(shared, "RUNNING"))
    states = [s.state for s in shared.client.slices()]
    assert sorted(states) == ["free", "free", "free", "leased"]
    assert launch("status").ok()
    running.process.terminate()
    running.end()


def test_it_has_no_log_and_says_so(launch: Shell) -> None:
    launch(*ONE, "true").ok()
    told = launch("logs", "last")
    assert told.code == 2
    assert "ran in the foreground of its client" in told.err


@pytest.fixture
def user() -> Iterator[OrdinaryUser]:
    """An ordinary user, who has no home in which anything of root's is."""
    made = OrdinaryUser("games")
    yield made
    made.close()


def test_members_of_the_groups_that_the_admin_names_run_as_themselves(
    make_daemon: MakeDaemon, user: OrdinaryUser
) -> None:
    group = grp.getgrgid(user.gid).gr_name
    daemon = make_daemon(config=f'{CONFIG}[host]\ngroups = ["{group}"]\n').start()
    daemon.socket.chmod(0o666)
    environment = {**user.environment, "LAUNCHER_SOCKET": str(daemon.socket)}
    shell = Shell(environment, user.home, user.command(docker=False))
    ended = shell(*ONE, "sh", "-c", "id -u; id -g; pwd; cat /proc/self/cgroup; exit 8")
    assert ended.code == 8, ended
    uid, gid, place, *cgroups = ended.text.splitlines()
    assert (uid, gid, place) == (str(user.uid), str(user.gid), str(user.home))
    assert any(line.startswith("0::/launcher.host/host-") for line in cgroups)
    assert [job.user for job in daemon.client.jobs(all=True)] == ["games"]


def test_other_users_need_the_admins_leave(make_daemon: MakeDaemon, user: OrdinaryUser) -> None:
    daemon = make_daemon().start()
    job = JobSpec(
        name="a", image="", command=("true",), gpus=GpuRequest(kind="none"), runtime="host",
        foreground=True,
    )  # fmt: skip
    with as_user(user.uid), pytest.raises(NotAllowed, match="host-groups"):
        daemon.client.submit([job])


def test_what_only_containers_have_is_refused(launch: Shell, shared: DaemonProcess) -> None:
    from launcher.wire import JobSpec

    for fields in (
        {"image": "busybox"},
        {"user": "1"},
        {"network_mode": "none"},
        {"command": None},
    ):
        asked = {"name": "a", "image": "", "command": ["true"], "runtime": "host"} | fields
        with pytest.raises(UserError, match=next(iter(fields))):
            shared.client.submit([JobSpec(foreground=True, **asked)])  # type: ignore[arg-type]
    with pytest.raises(UserError, match="foreground"):
        shared.client.submit([JobSpec(name="a", image="busybox", foreground=True)])
    assert json.loads(launch("ps", "-o", "json").ok().text) == []
