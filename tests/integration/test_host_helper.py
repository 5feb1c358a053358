"""The helper for host jobs, with real processes in real cgroups."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from launcher.errors import LauncherError
from launcher.host.cgroup import Cgroup, CgroupLimits, unified_root
from launcher.host.client import HostHelper, HostRefused, ProcessTree
from launcher.host.helper.children import Command
from launcher.host.helper.connections import MOST_CONNECTIONS_OF_USER
from launcher.host.helper.jobs import HostJob, Records
from launcher.host.joining import join
from launcher.pidfd import kernel_tells
from tests.support.user import OrdinaryUser
from tests.support.wait import wait_until

STORE = f"t{os.getpid()}"
"""No other process of the tests has its jobs."""
NAME = f"host-{STORE}-{{}}-1"
NOBODY = pwd.getpwnam("nobody")
NONE = CgroupLimits()


class Place:
    """A helper, its two sockets, and the clients of each."""

    def __init__(self, directory: Path) -> None:
        directory.chmod(0o755)
        self.directory = directory
        self.join_path = str(directory / "j")
        self._sockets = [self._bound(name) for name in ("d", "j")]
        self.asks = HostHelper(str(directory / "d"))
        self.process = self._started()
        self.names: list[str] = []

    def _bound(self, name: str) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        made.bind(str(self.directory / name))
        (self.directory / name).chmod(0o666)
        made.listen()
        return made

    def _started(self) -> subprocess.Popen[bytes]:
        daemons, users = (each.fileno() for each in self._sockets)
        words = ["--records", str(self.directory / "records")]
        words += ["--daemons", str(daemons), "--users", str(users)]
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "launcher.host", *words], pass_fds=(daemons, users)
        )

    def name(self) -> str:
        self.names.append(NAME.format(1 + len(self.names)))
        return self.names[-1]

    def restart(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process = self._started()

    def close(self) -> None:
        for name in self.names:
            self.asks.kill(name)
            wait_until(lambda name=name: not self.asks.state(name)[1])
            self.asks.remove(name)
        self.process.kill()
        self.process.wait()
        for each in self._sockets:
            each.close()


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="host-") as name:
        made = Place(Path(name))
        try:
            yield made
        finally:
            made.close()


@contextmanager
def output() -> Iterator[tuple[int, int, int, int]]:
    """Yield the reading and writing ends of two pipes."""
    pipes = (*os.pipe(), *os.pipe())
    try:
        yield pipes
    finally:
        for fd in pipes:
            os.close(fd)


def spawned(place: Place, *words: str, name: str = "", **fields: object) -> tuple[str, ProcessTree]:
    told = {"login": {"PATH": os.environ["PATH"]}, "environment": {}, "directory": "/"}
    told |= {"uid": NOBODY.pw_uid, "gid": NOBODY.pw_gid, "groups": [NOBODY.pw_gid], **fields}
    name = name or place.name()
    with Path(os.devnull).open("w") as null:
        command = Command(words, **told)  # type: ignore[arg-type]
        return name, place.asks.spawn(name, command, NONE, null.fileno(), null.fileno())


def run_joined(place: Place, token: str, script: str, uid: int = 0) -> subprocess.Popen[bytes]:
    def become() -> None:
        if uid:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        join(place.join_path, token)

    words = ["sh", "-c", script]
    return subprocess.Popen(words, preexec_fn=become, stdin=subprocess.PIPE)  # noqa: PLW1509


def test_a_command_that_joins_is_told_with_its_pid_and_its_end(place: Place) -> None:
    name = place.name()
    with (
        place.asks.expected(name, 0, NONE) as expected,
        run_joined(place, expected.token, "read line; exit 5") as child,
    ):
        tree = expected.joined(10)
        assert tree is not None
        assert tree.pid == child.pid
        assert place.asks.state(name)[1], "its cgroup has processes"
        child.communicate(b"\n")
    ended = place.asks.wait(name)
    assert ended is not None
    assert ended.status == (5 << 8 if kernel_tells() else None)
    assert ended.ended_ns is not None
    assert ended.ended_ns >= tree.started_ns


def test_what_leaves_its_session_and_its_parent_still_belongs_to_the_job(place: Place) -> None:
    go = place.directory / "go"
    os.mkfifo(go)
    name, _ = spawned(
        place,
        "sh",
        "-c",
        f"setsid sh -c 'setsid cat {go} >/dev/null & exit' & exit 3",
        uid=0,
        gid=0,
    )
    wait_until(lambda: len(cgroup(name)) == 1, what="only what was daemonised runs")
    ended: list[ProcessTree | None] = []
    waits = threading.Thread(target=lambda: ended.append(place.asks.wait(name)))
    waits.start()
    assert place.asks.state(name)[1]
    assert ended == []
    go.write_text("")
    waits.join(10)
    assert ended[0] is not None
    assert ended[0].status == 3 << 8


def folder(name: str) -> Path:
    root = unified_root()
    assert root is not None
    return root / "launcher.host" / name


def cgroup(name: str) -> list[str]:
    return (folder(name) / "cgroup.procs").read_text().split()


def test_another_user_cannot_join_and_a_token_is_for_one_command(place: Place) -> None:
    name = place.name()
    with place.asks.expected(name, NOBODY.pw_uid, NONE) as expected:
        with pytest.raises(LauncherError, match="no job of this user"):
            join(place.join_path, expected.token)  # root is another user, too
        with pytest.raises(LauncherError, match="no job of this user"):
            join(place.join_path, "0" * 32)
        with run_joined(place, expected.token, "read line", NOBODY.pw_uid) as child:
            assert expected.joined(10) is not None
            with pytest.raises(subprocess.SubprocessError):
                run_joined(place, expected.token, "true", NOBODY.pw_uid)
            child.communicate(b"\n")


def test_a_start_that_the_daemon_gave_up_cannot_be_joined(place: Place) -> None:
    with place.asks.expected(place.name(), 0, NONE) as expected:
        token = expected.token
    with pytest.raises(LauncherError, match="no job of this user"):
        wait_until(lambda: join(place.join_path, token))


def test_a_command_runs_as_its_user_with_its_environment_alone(place: Place) -> None:
    name = place.name()
    script = 'id -u; id -g; id -G; pwd; env | sort; umask; echo "$0 $1" >&2; exit 7'
    command = Command(
        ["sh", "-c", script, "a b", "ü"],
        {"PATH": "/usr/bin:/bin", "KEY": "login"}, {"KEY": "a b"}, "/tmp",
        NOBODY.pw_uid, NOBODY.pw_gid, [NOBODY.pw_gid, 4242],
    )  # fmt: skip
    with output() as (out, to_out, err, to_err):
        place.asks.spawn(name, command, NONE, to_out, to_err)
        ended = place.asks.wait(name)
        said = os.read(out, 65536).decode().splitlines()
        assert os.read(err, 65536).decode() == "a b ü\n"
    assert ended is not None
    assert ended.status == 7 << 8
    uid, gid = str(NOBODY.pw_uid), str(NOBODY.pw_gid)
    assert said[:4] == [uid, gid, f"{gid} 4242", "/tmp"]
    assert said[4:] == ["KEY=a b", "PATH=/usr/bin:/bin", "PWD=/tmp", "0022"]


@pytest.mark.parametrize(
    ("words", "directory", "place_", "number"),
    [
        (["/no/such/program"], "/", "/no/such/program", 2),
        (["/etc/passwd"], "/", "/etc/passwd", 13),
        (["true"], "/no/such", "/no/such", 2),
        (["true"], "/root", "/root", 13),
    ],
)
def test_what_cannot_start_says_why_and_leaves_nothing(
    place: Place, words: list[str], directory: str, place_: str, number: int
) -> None:
    name = place.name()
    with pytest.raises(HostRefused) as refused:
        spawned(place, *words, name=name, directory=directory)
    assert (refused.value.errno, refused.value.place) == (number, place_)
    assert place.asks.state(name) == (None, False)


def test_the_same_start_twice_starts_one_command(place: Place) -> None:
    name, tree = spawned(place, "sleep", "600")
    assert spawned(place, "sleep", "600", name=name)[1] == tree
    assert cgroup(name) == [str(tree.pid)]


def test_a_command_gets_the_stdin_that_it_is_given_and_an_empty_one_otherwise(place: Place) -> None:
    def read_by_cat(stdin: int | None) -> bytes:
        command = Command(("cat",), {"PATH": os.environ["PATH"]}, {}, "/", 0, 0, [0])
        with output() as (out, to_out, _, to_err):
            name = place.name()
            place.asks.spawn(name, command, NONE, to_out, to_err, stdin=stdin)
            ended = place.asks.wait(name)
            assert ended is not None
            os.set_blocking(out, False)
            try:
                return os.read(out, 100)
            except BlockingIOError:
                return b""

    given, gives = os.pipe()
    os.write(gives, b"typed")
    os.close(gives)
    assert read_by_cat(given) == b"typed"
    os.close(given)
    assert read_by_cat(None) == b""


def test_a_user_above_the_number_of_connections_is_told_so_and_harms_no_other_one(
    place: Place,
) -> None:
    with ExitStack() as stack:
        for _ in range(MOST_CONNECTIONS_OF_USER):
            silent = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            silent.connect(place.join_path)
        with pytest.raises(LauncherError, match="uid 0 has 16 connections, and no more than 16"):
            join(place.join_path, "token")
        assert place.asks.state(place.name()) == (None, False)
        other = "import sys, launcher.host.joining as j; j.join(sys.argv[1], 'token')"
        person = OrdinaryUser()
        words = [*person.command(), sys.executable, "-P", "-c", other, place.join_path]
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd="/")
        person.close()
        assert "no job of this user waits for its command" in done.stderr


def test_signals_reach_the_main_process_or_all_and_kill_ends_what_forks_on(place: Place) -> None:
    script = "trap 'exit 9' USR1; (trap '' USR1; while :; do sleep 600; done) & wait"
    name, _ = spawned(place, "sh", "-c", script)
    wait_until(lambda: len(cgroup(name)) == 3)
    place.asks.signal(name, signal.SIGUSR1, tree=False)
    wait_until(lambda: len(cgroup(name)) == 2)
    place.asks.signal(name, signal.SIGTERM, tree=True)
    ended = place.asks.wait(name)
    assert ended is not None
    assert ended.status == 9 << 8
    forks = 'f() { setsid sh -c "$0" "$0" & sleep 0.01; }; f'
    name, _ = spawned(
        place, "sh", "-c", "trap '' TERM; while :; do setsid sleep 600 & sleep 0.01; done"
    )
    wait_until(lambda: len(cgroup(name)) > 10, what=forks)
    place.asks.kill(name)
    ended = place.asks.wait(name)
    assert ended is not None
    assert ended.status == signal.SIGKILL


def test_a_helper_that_is_killed_takes_its_jobs_up_again(place: Place) -> None:
    go = place.directory / "go"
    os.mkfifo(go)
    name, tree = spawned(place, "sh", "-c", f"read line < {go}; exit 6", uid=0, gid=0)
    place.restart()
    known, runs = place.asks.state(name)
    assert known is not None
    assert (known.pid, known.started_ns, runs) == (tree.pid, tree.started_ns, True)
    go.write_text("\n")
    ended = place.asks.wait(name)
    assert ended is not None
    assert ended.status == (6 << 8 if kernel_tells() else None)


def test_what_is_left_of_a_start_is_removed_once_no_process_is_in_it(place: Place) -> None:
    """A helper that is killed as it starts a command has made the record and the cgroup."""
    empty, used = place.name(), place.name()
    for name in (empty, used):
        folder(name).mkdir(parents=True)
        Records(place.directory / "records").write(HostJob(name, 0, Cgroup(folder(name)), 0, 0, 1))
    with subprocess.Popen(["sleep", "600"]) as process:
        (folder(used) / "cgroup.procs").write_text(str(process.pid))
        place.restart()
        wait_until(lambda: not folder(empty).exists())
        assert place.asks.names(STORE) == [used]
        assert place.asks.state(used) == (None, True)
        with pytest.raises(HostRefused, match="processes of an earlier start"):
            spawned(place, "true", name=used)
        assert process.poll() is None
        process.kill()
    wait_until(lambda: not folder(used).exists())
    wait_until(lambda: place.asks.names(STORE) == [])
    assert not list((place.directory / "records").iterdir())
    assert spawned(place, "true", name=empty)[1].pid > 0


def test_a_stores_jobs_are_listed_with_what_nobody_knows_of(place: Place) -> None:
    name, _ = spawned(place, "sleep", "600")
    left = place.name()
    folder(left).mkdir()
    folder(other := left.replace(STORE, f"{STORE}x")).mkdir()
    try:
        assert place.asks.names(STORE) == sorted([name, left])
        with pytest.raises(HostRefused, match="has processes"):
            place.asks.remove(name)
        place.asks.remove(left)
        assert not folder(left).exists()
        assert place.asks.names(f"{STORE}x") == [other]
    finally:
        folder(other).rmdir()
    with pytest.raises(HostRefused, match="not the id of a store"):
        place.asks.names("*")


def test_what_users_send_that_is_not_a_token_is_refused(place: Place) -> None:
    for message in (b"x", b"{}", b"[]", b"7", json.dumps({"do": "kill", "name": "x"}).encode()):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
            one.settimeout(10)
            one.connect(place.join_path)
            one.send(message)
            assert "error" in json.loads(one.recv(4096))
    with pytest.raises(HostRefused, match="not the name of a host job"):
        place.asks.kill("../docker")
