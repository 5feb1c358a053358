"""Where nobody runs a daemon, an ordinary user's first job starts one of his own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.fakegpu.processes import command_line
from launcher.fakegpu.sandbox import Sandbox
from tests.acceptance.shell import Shell, no_traceback
from tests.support.daemon import BUSYBOX
from tests.support.user import ALONE, OrdinaryUser
from tests.support.wait import wait_until

STARTED = "launch: started a daemon of your own (it ends when it has been idle)\n"


@pytest.fixture
def user() -> Iterator[OrdinaryUser]:
    """A user who has nothing yet."""
    made = OrdinaryUser()
    yield made
    made.close()


@pytest.fixture
def launch(user: OrdinaryUser, sandbox: Sandbox) -> Iterator[Shell]:
    """His command, with the sandbox's Docker and no launcher for everybody; his daemon ends."""
    environment = user.environment | {"DOCKER_HOST": sandbox.docker_host}
    shell = Shell(environment, user.home, [*ALONE, *user.command()])
    yield shell
    shell.close()
    if shell("status").code != 3:
        ends(shell)
    log = state_of(user) / "daemon.log"
    if log.exists():
        no_traceback(log.read_text())


def state_of(user: OrdinaryUser) -> Path:
    """Where his daemon keeps its things."""
    return user.home / ".local" / "state" / "launcher"


def pid_of(launch: Shell) -> int:
    """The daemon that answers him."""
    pid: int = launch("status", "-o", "json").json["pid"]
    return pid


def ends(launch: Shell) -> None:
    """Stop his daemon and see that it is gone."""
    pid = pid_of(launch)
    launch("stop").ok()
    wait_until(lambda: not command_line(pid), what=f"the daemon {pid} is gone")


def test_the_first_run_starts_one_says_so_and_works(launch: Shell, user: OrdinaryUser) -> None:
    done = launch("run", BUSYBOX, "sh", "-c", "id -u; echo out; exit 3")
    assert (done.code, done.out) == (3, f"{user.uid}\nout\n".encode())
    assert done.err.startswith(STARTED)
    words = command_line(pid_of(launch))
    assert words[words.index("--idle-exit") + 1] == "600"
    socket = state_of(user) / "launcher.sock"
    assert (socket.stat().st_mode & 0o777, socket.stat().st_uid) == (0o600, user.uid)
    assert state_of(user).stat().st_mode & 0o777 == 0o700
    assert launch("ps", "-a", "-o", "name").ok().text == "1\n"


def test_the_second_run_uses_the_same_one_until_it_is_stopped(launch: Shell) -> None:
    launch("run", BUSYBOX, "true").ok()
    pid = pid_of(launch)
    again = launch("run", BUSYBOX, "echo", "again").ok()
    assert (again.out, STARTED in again.err) == (b"again\n", False)
    assert pid_of(launch) == pid
    ends(launch)
    assert launch("status").code == 3
    assert launch("run", BUSYBOX, "true").ok().err.startswith(STARTED)
    assert pid_of(launch) != pid
    assert len(launch("ps", "-a", "-o", "name").ok().text.split()) == 3


def test_of_several_at_once_one_starts_it_and_all_use_it(launch: Shell) -> None:
    running = [launch.start("run", BUSYBOX, "echo", str(number)) for number in range(3)]
    ended = [each.end().ok() for each in running]
    assert [each.text for each in ended] == ["0\n", "1\n", "2\n"]
    assert sum(STARTED in each.err for each in ended) == 1
    assert len(launch("ps", "-a", "-o", "name").ok().text.split()) == 3


def test_submit_starts_one_and_it_lives_where_the_session_does(
    launch: Shell, user: OrdinaryUser, tmp_path: Path
) -> None:
    runtime = user.home / "runtime"
    runtime.mkdir()
    user.owns(runtime)
    launch.environment["XDG_RUNTIME_DIR"] = str(runtime)
    done = launch("submit", "--wait", "-", stdin=f"image: {BUSYBOX}\ncommand: 'true'\n".encode())
    assert done.ok().err.startswith(STARTED)
    assert (runtime / "launcher" / "launcher.sock").exists()


def test_a_job_of_ones_own_daemon_finds_its_secret_in_memory(
    launch: Shell, user: OrdinaryUser
) -> None:
    (user.home / "token").write_text("hidden")
    user.owns(user.home / "token")
    asked = ("run", "-q", "--secret", f"key={user.home}/token", BUSYBOX, "sh", "-c")
    script = "cat /run/secrets/key; stat -c ' %a %u' /run/secrets/key; rm -f /run/secrets/key"
    with tempfile.TemporaryDirectory(dir="/dev/shm") as runtime:
        user.owns(Path(runtime))
        launch.environment["XDG_RUNTIME_DIR"] = runtime
        done = launch(*asked, script)
        assert (done.code, done.text) == (1, f"hidden 400 {user.uid}\n")
        places = Path(runtime) / "launcher-secrets"
        wait_until(lambda: not list(places.iterdir()), what="they are gone with the job")
        assert not list((state_of(user) / "secrets").glob("*/*"))
        ends(launch)
        del launch.environment["XDG_RUNTIME_DIR"]
    refused = launch(*asked, script)
    assert refused.code == 2
    assert "secrets: this daemon has no place for them" in refused.err


@pytest.mark.parametrize("verb", ["ps", "slices", "status", "stop"])
def test_verbs_that_only_look_start_none(launch: Shell, user: OrdinaryUser, verb: str) -> None:
    assert launch(verb).code == 3
    assert not state_of(user).exists()


def test_it_is_not_started_where_that_is_forbidden(launch: Shell, user: OrdinaryUser) -> None:
    done = launch("run", BUSYBOX, "true", env={"LAUNCHER_AUTOSTART": "0"})
    assert done.code == 125
    assert "no launcher daemon is running" in done.err
    assert not state_of(user).exists()


def test_without_leave_to_use_docker_it_says_so(user: OrdinaryUser, sandbox: Sandbox) -> None:
    environment = user.environment | {"DOCKER_HOST": sandbox.docker_host}
    outsider = Shell(environment, user.home, [*ALONE, *user.command(docker=False)])
    done = outsider("run", BUSYBOX, "true")
    assert done.code == 125
    assert f"you cannot use Docker on {sandbox.socket}" in done.err
    assert not state_of(user).exists()


def test_with_a_docker_elsewhere_it_says_so(launch: Shell) -> None:
    done = launch("run", BUSYBOX, "true", env={"DOCKER_HOST": "tcp://10.0.0.1:2375"})
    assert done.code == 125
    assert "your Docker (tcp://10.0.0.1:2375) is not a local socket" in done.err
