"""Ports of jobs: a socket of the owner's leads to each, and it ends with the job."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.shell import Shell
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, CONFIG
from tests.support.user import OrdinaryUser
from tests.support.wait import wait_until

SERVER = ("httpd", "-f", "-p", "127.0.0.1:8888", "-h", "/etc")
LOOPBACK = CONFIG + 'ports.loopback = "29700-29701"\n'


def started(launch: Shell, *words: str) -> tuple[str, list[dict[str, object]]]:
    """Start a web server in a job; returns its id and its ports."""
    job = (
        launch("run", "-d", "--profile", "1g.6gb", "-p", "8888", *words, BUSYBOX, *SERVER)
        .ok()
        .text.strip()
    )
    wait_until(lambda: launch("show", job, "-o", "json").json["state"] == "RUNNING", 30, "it runs")
    return job, launch("port", job, "-o", "json").ok().json


def fetched(address: object) -> bytes:
    """Return what the server answers; at a path, or at a port of this machine."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(10)
        client.connect(address if isinstance(address, str) else ("127.0.0.1", address))
        client.sendall(b"GET /hostname HTTP/1.0\r\n\r\n")
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    return answer


def is_served(address: object) -> bool:
    try:
        return fetched(address).startswith(b"HTTP/1.")
    except OSError:
        return False


def test_a_socket_leads_to_a_port_that_listens_on_localhost_alone(launch: Shell) -> None:
    job, (port,) = started(launch)
    path = str(port["socket"])
    wait_until(lambda: is_served(path), 30, "the server answers")
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    line = launch("port", job).text
    assert line.startswith(f"ssh -NL 8888:{path} ")
    launch("cancel", "--now", job)
    launch("wait", job)
    wait_until(lambda: not Path(path).exists(), 30, "the socket is removed with the job")
    assert "does not run" in launch("port", job).err


def test_a_socket_is_its_owners_alone(make_daemon: MakeDaemon) -> None:
    daemon, owner, other = make_daemon().start(), OrdinaryUser(), OrdinaryUser("games")
    mine = Shell(daemon.environment | owner.environment, owner.home, owner.command())
    others = Shell(daemon.environment | other.environment, other.home, other.command())
    try:
        job, (port,) = started(mine)
        path = str(port["socket"])
        wait_until(lambda: is_served(path), 30, "root may use it too")
        assert Path(path).stat().st_uid == owner.uid
        script = f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})"
        for user, works in ((owner, True), (other, False)):
            command = [*_plain(user), "/usr/bin/python3", "-c", script]
            done = subprocess.run(command, check=False, capture_output=True)
            assert (done.returncode == 0) is works, (user.name, done.stderr)
        done = others("port", job)
        assert (done.code != 0, "belongs to" in done.err) == (True, True)
    finally:
        mine.close()
        others.close()
        owner.close()
        other.close()


def _plain(user: OrdinaryUser) -> list[str]:
    """The words that make a command a user's who has no rights of another's."""
    return ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"]


def test_ports_survive_the_forwarder_and_the_daemon(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon().start()
    launch = Shell(daemon.environment, daemon.place)
    try:
        _, (port,) = started(launch)
        path = str(port["socket"])
        wait_until(lambda: is_served(path), 30, "the server answers")
        daemon.kill()
        assert is_served(path), "the forwarder goes on without the daemon"
        daemon.start()
        os.kill(forwarder_of(daemon.state), signal.SIGKILL)
        wait_until(lambda: is_served(path), 30, "a new forwarder takes over")
    finally:
        launch.close()


def forwarder_of(state: Path) -> int:
    """Return the pid of a daemon's forwarder."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                errors = str((entry / "fd" / "2").readlink())
            except OSError:
                continue
            if b"launcher.ports" in words and errors == str(state / "ports.log"):
                return int(entry.name)
    raise AssertionError("there is no forwarder")


def test_ports_of_the_machine_are_leased_from_a_range(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(config=LOOPBACK).start()
    launch = Shell(daemon.environment, daemon.place)
    try:
        jobs = [started(launch, "--loopback") for _ in range(2)]
        leased = [port["loopback"] for _, (port,) in jobs]
        assert leased == [29700, 29701]
        wait_until(lambda: all(map(is_served, leased)), 30, "both answer")
        _, (third,) = started(launch, "--loopback")
        assert "are in use" in str(third["trouble"])
        wait_until(lambda: is_served(third["socket"]), 30, "the socket works all the same")
        launch("cancel", jobs[0][0])
        launch("wait", jobs[0][0])
        wait_until(lambda: not is_served(29700), 30, "it is given back")
    finally:
        launch.close()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-p", "8888:8888"], "write the container's port alone (8888)"),
        (["-p", "0"], "is not a port"),
        (["-p", "x"], "is not a port"),
        (["-p", "8888", "--loopback"], "no ports of this machine are set aside"),
        (["--loopback"], "goes with `ports`"),
    ],
)
def test_what_cannot_be_had_is_refused(launch: Shell, words: list[str], told: str) -> None:
    done = launch("run", "-d", *words, BUSYBOX, "true")
    assert (done.code != 0, told in done.err) == (True, True), done.err
