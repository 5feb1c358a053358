"""``launch serve`` where it cannot start, and every verb where no daemon runs."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from launcher.store import Store
from tests.acceptance.shell import Ended, Shell
from tests.support.daemon import BUSYBOX
from tests.support.small_disk import SmallDisk

NO_DOCKER = "unix:///nowhere/docker.sock"
JOB = f"image: {BUSYBOX}\n".encode()


@pytest.fixture
def launch(tmp_path: Path) -> Shell:
    """The command where no daemon runs and none may be started."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LAUNCHER_AUTOSTART": "0",
        "LAUNCHER_SOCKET": str(tmp_path / "l.sock"),
    }
    return Shell(environment, tmp_path)


def serve(launch: Shell, state: Path, *words: str, **env: str) -> Ended:
    """Start a daemon that must not come up."""
    if "DOCKER_HOST" not in env and "--docker-host" not in words:
        words = (*words, "--docker-host", NO_DOCKER)
    done = launch("serve", "--state-dir", str(state), *words, env=env, timeout=20)
    assert done.out == b""
    assert not (launch.directory / "l.sock").exists(), "a socket was left behind"
    return done


def said(done: Ended, code: int) -> tuple[str, str]:
    """What is wrong and what to do: one sentence each, and no log."""
    assert done.code == code, done
    what, fix = done.err.splitlines()
    assert what.startswith("launch: ")
    assert fix.startswith("  ")
    return what, fix


def test_a_full_state_directory_is_said(launch: Shell, tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk") as disk:
        state = disk.path / "state"
        state.mkdir()
        disk.fill()
        what, fix = said(serve(launch, state), 1)
    assert f"{state}: No space left on device" in what
    assert "Free some space" in fix


def test_a_read_only_state_directory_is_said(launch: Shell, tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk") as disk:
        Store.open(disk.path / "state").close()
        disk.read_only()
        for state in (disk.path / "state", disk.path / "new"):
            what, fix = said(serve(launch, state), 1)
            assert f"{state}: Read-only file system" in what
            assert "Make it writable" in fix


def test_a_state_directory_in_use_is_said(launch: Shell, tmp_path: Path) -> None:
    holder = Store.open(tmp_path / "state")
    what, fix = said(serve(launch, tmp_path / "state"), 1)
    holder.close()
    assert "is in use by another launcher daemon (pid " in what
    assert "Stop that daemon" in fix


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("inventory_second = 3\n", ["'inventory_second'", "inventory_seconds"]),
        ("inventory_seconds = 'often'\n", ["inventory_seconds is 'often'", "number"]),
        ("cpu_slots = 0\n", ["cpu_slots is 0", "more than 0"]),
        ("log_level = 'loud'\n", ["log_level is 'loud'", "warning"]),
        ("docker_host = 'tcp://10.0.0.1:2375'\n", ["tcp://10.0.0.1:2375", "unix://"]),
        ("cpu_slots = \n", ["line 1, column 13"]),
    ],
)
def test_a_bad_configuration_names_the_key_and_what_can_stand_there(
    launch: Shell, tmp_path: Path, text: str, words: list[str]
) -> None:
    file = tmp_path / "launcher.toml"
    file.write_text(text)
    done = launch("serve", "--state-dir", str(tmp_path / "state"), "--config", str(file))
    assert (done.code, done.out) == (2, b"")
    assert done.err.startswith("launch: ")
    assert all(word in done.err for word in words), done.err
    assert len(done.err.splitlines()) <= 2


def test_a_configuration_that_is_not_there_is_named(launch: Shell, tmp_path: Path) -> None:
    file = tmp_path / "none.toml"
    for done in (
        serve(launch, tmp_path / "state", "--config", str(file)),
        serve(launch, tmp_path / "state", LAUNCHER_CONFIG=str(file)),
    ):
        assert done.code == 2
        assert f"there is no configuration file {file}" in done.err


@pytest.mark.parametrize("host", ["tcp://10.0.0.1:2375", "ssh://me@there", "/var/run/docker.sock"])
def test_a_docker_that_is_not_a_local_socket_is_refused(
    launch: Shell, tmp_path: Path, host: str
) -> None:
    for done in (
        serve(launch, tmp_path / "state", "--docker-host", host),
        serve(launch, tmp_path / "state", DOCKER_HOST=host),
    ):
        what, fix = said(done, 2)
        assert host in what
        assert "unix://" in fix


def test_a_fake_gpu_without_a_compiler_says_what_to_install(launch: Shell, tmp_path: Path) -> None:
    words = ("--fake-gpu", "A30:1g.6gb*4")
    what, fix = said(serve(launch, tmp_path / "state", *words, CC="/nonexistent"), 2)
    assert "needs a C compiler; '/nonexistent' is not installed" in what
    assert "apt-get install gcc" in fix


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("A31:1g.6gb", ["'A31'", "A100-80GB"]),
        ("A30:1g.6gb*5", ["does not fit on the board A30", "fewer"]),
    ],
)
def test_a_fake_gpu_that_cannot_be_is_refused(
    launch: Shell, tmp_path: Path, spec: str, words: list[str]
) -> None:
    what, fix = said(serve(launch, tmp_path / "state", "--fake-gpu", spec), 2)
    assert words[0] in what
    assert words[1] in fix


@pytest.mark.parametrize("stale", [False, True])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["run", BUSYBOX, "true"], 125), (["submit", "-"], 3), (["ps"], 3), (["show", "1"], 3),
        (["logs", "1"], 3), (["wait", "1"], 125), (["cancel", "1"], 3), (["slices"], 3),
        (["status"], 3), (["stop"], 3), (["doctor"], 1),
    ],
)  # fmt: skip
def test_without_a_daemon_every_verb_says_so_and_what_to_do(
    launch: Shell, words: list[str], code: int, stale: bool
) -> None:
    if stale:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(launch.directory / "l.sock"))
    done = launch(*words, stdin=JOB)
    assert done.code == code
    assert "no launcher daemon is running" in done.err + done.text
    assert "`launch serve`" in done.err
