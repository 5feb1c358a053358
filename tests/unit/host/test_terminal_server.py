"""The terminal of a host job: who reaches it, and that no client delays another one."""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import select
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.host.terminal import connecting
from launcher.host.terminal.connecting import (
    SIZE,
    SIZE_FORMAT,
    WATCH,
    WRITE,
    TerminalSockets,
    words,
)
from launcher.host.terminal.server import MOST_CLIENTS
from tests.support.wait import wait_until

NAME = "host-feed-1-1"
NOBODY = pwd.getpwnam("nobody")
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def sockets(tmp_path: Path) -> TerminalSockets:
    """The sockets of a daemon whose directory has too long a path for a socket address."""
    return TerminalSockets(tmp_path / ("deep" * 30) / "terminals")


@pytest.fixture
def start(sockets: TerminalSockets) -> Iterator[Start]:
    """Run commands in a terminal; they are killed after the test."""
    made: list[subprocess.Popen[bytes]] = []

    def start(*command: str, **options: object) -> subprocess.Popen[bytes]:
        with sockets.listening(NAME) as listener:
            made.append(
                subprocess.Popen(  # type: ignore[call-overload]
                    words(command), stdin=listener, stdout=subprocess.PIPE, **options
                )
            )
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def has(connection: socket.socket, data: bytes) -> None:
    """Receive until this has come."""
    got = b""
    while data not in got:
        piece = connection.recv(1 << 16)
        assert piece, got
        got += piece


def ends(connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(1 << 16):
            pass


def test_a_terminal_can_be_taken_from_a_writer_that_reads_nothing(
    sockets: TerminalSockets, start: Start
) -> None:
    process = start("yes", "word")
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    with sockets.connect(NAME, WRITE) as stalled, sockets.connect(NAME, WRITE) as taker:

        def has_passed_on() -> bool:
            assert process.stdout is not None
            with contextlib.suppress(BlockingIOError):
                os.read(process.stdout.fileno(), 1 << 20)  # what it prints is also its output
            return bool(select.select([taker], [], [], 0)[0])

        wait_until(has_passed_on, 20, "the new writer gets what is printed")
        assert b"word" in taker.recv(1000)
        stalled.settimeout(20)
        wait_until(lambda: (has_passed_on(), taker.recv(1 << 20), ended(stalled))[2], 20)


def ended(connection: socket.socket) -> bool:
    """Whether the other side has closed a connection, whose data is thrown away."""
    try:
        return not connection.recv(1 << 20, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_clients_that_say_nothing_delay_no_other_one_and_give_way(
    sockets: TerminalSockets, start: Start
) -> None:
    start("cat")
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(sockets.connect(NAME, b"")) for _ in range(MOST_CLIENTS + 1)]
        half = stack.enter_context(sockets.connect(NAME, SIZE + b"\1"))
        writer = stack.enter_context(sockets.connect(NAME, WRITE))
        watcher = stack.enter_context(sockets.connect(NAME, WATCH))
        writer.sendall(b"typed\n")
        has(writer, b"typed")
        has(watcher, b"typed")
        ends(silent[0])
        half.sendall(SIZE_FORMAT.pack(30, 100)[1:])
        ends(half)


def test_a_size_is_set_before_what_is_typed_next(
    sockets: TerminalSockets, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start("sh", "-c", "read line; stty size; exec cat")
    with sockets.connect(NAME, WRITE) as writer:
        sockets.resize(NAME, 33, 44)
        writer.sendall(b"\n")
        has(writer, b"33 44")
    monkeypatch.setattr(connecting, "SECONDS", 0.1)
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        sockets.resize(NAME, 30, 100)


def test_a_client_with_a_purpose_that_is_not_known_is_parted_with(
    sockets: TerminalSockets, start: Start
) -> None:
    start("cat")
    with sockets.connect(NAME, b"x") as unknown, sockets.connect(NAME, WRITE) as writer:
        ends(unknown)
        writer.sendall(b"typed\n")
        has(writer, b"typed")


def test_a_terminal_without_free_descriptors_waits_and_goes_on(
    sockets: TerminalSockets, start: Start
) -> None:
    process = start("cat")
    with sockets.connect(NAME, WRITE) as writer:
        writer.sendall(b"typed\n")
        has(writer, b"typed")
        limit = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        opened = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (opened, limit[1]))
        with sockets.connect(NAME, WATCH) as watcher:
            assert process.stdout is not None
            said = b""
            while b"Too many open files" not in said:
                said += os.read(process.stdout.fileno(), 1 << 16)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limit)

            def is_seen() -> bool:
                writer.sendall(b"more\n")
                return bool(select.select([watcher], [], [], 0.05)[0])

            wait_until(is_seen, 20, "the watcher is accepted after all")


@pytest.mark.skipif(os.getuid() != 0, reason="needs a second user")
def test_no_other_user_reaches_a_terminal_or_takes_its_place() -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o777)
        sockets = TerminalSockets(place / "terminals")
        with sockets.listening(NAME):
            with as_nobody():
                assert list(place.iterdir()), "all but the directory of the sockets is open"
                with pytest.raises(PermissionError):
                    sockets.connect(NAME, WRITE)
                with pytest.raises(PermissionError), socket.socket(socket.AF_UNIX) as squatter:
                    squatter.bind(str(place / "terminals" / "host-feed-2-1.sock"))
            sockets.connect(NAME, WRITE).close()


@pytest.mark.skipif(os.getuid() != 0, reason="needs a second user")
def test_a_directory_that_another_user_made_gets_no_sockets() -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o777)
        with as_nobody():
            (place / "terminals").mkdir()
            (place / "linked").symlink_to(place / "terminals")
        for each, reason in (("terminals", "belongs to uid"), ("linked", "symlink")):
            with (
                pytest.raises(OSError, match=reason),
                TerminalSockets(place / each).listening(NAME),
            ):
                pass


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Have the rights of another user."""
    os.seteuid(NOBODY.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def test_sockets_of_jobs_that_are_not_live_are_removed(
    sockets: TerminalSockets, tmp_path: Path
) -> None:
    sockets.sweep(list)  # there is no directory yet
    for name in ("host-feed-1-1", "host-feed-2-1"):
        with sockets.listening(name):
            pass
    sockets.sweep(lambda: ["host-feed-2-1"])
    assert [path.name for path in tmp_path.rglob("*.sock")] == ["host-feed-2-1.sock"]


def test_a_job_whose_helper_passes_no_socket_runs_without(start: Start) -> None:
    process = subprocess.run(
        words(("echo", "done")),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert process.stdout == b"done\r\n"
    assert b"nobody can attach to this job" in process.stderr
