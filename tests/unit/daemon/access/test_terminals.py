"""Terminals of jobs: a refused command has not run; a lost keeper stops no host job."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from unittest.mock import Mock

import pytest

from launcher import wire
from launcher.daemon.access.terminals import TerminalPlace, Terminals
from launcher.engine.attach import Streams
from launcher.errors import Unavailable
from launcher.host.terminal.connecting import WRITE, TerminalSockets
from launcher.listening import BACKLOG, listening
from launcher.output.keeper import Keeper
from launcher.output.keeper_client import OutputKeeper


def test_a_command_without_room_for_its_terminal_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.output.sessions.MOST_OF_USER", 0)
    path, commands = str(tmp_path / "output.sock"), Mock()
    place = TerminalPlace(1, 1, "launch-feed-1-1", "c" * 64, Streams(uid=7))
    terminals = Terminals(
        OutputKeeper(tmp_path, path), commands, TerminalSockets(tmp_path), tmp_path
    )
    with listening(path, 0o600, socket.SOCK_SEQPACKET) as listener:
        thread = threading.Thread(target=Keeper(listener, idle_seconds=0.2).serve)
        thread.start()
        with pytest.raises(Unavailable, match="no more than"):
            terminals.execute(place, 7, 0, wire.ExecRequest(command=("true",)))
        thread.join()
    assert not commands.method_calls


def test_the_terminal_of_a_host_job_loses_its_writer_with_the_keeper(tmp_path: Path) -> None:
    sockets, keeper = TerminalSockets(tmp_path / "terminals"), OutputKeeper(tmp_path)
    terminals = Terminals(keeper, Mock(), sockets, tmp_path)
    place = TerminalPlace(1, 1, "host-feed-1-1", None, Streams(tty=True, stdin=True), on_host=True)
    with sockets.listening("host-feed-1-1") as listener:
        listener.settimeout(20)
        try:
            assert terminals.unused_for([place]) == {}, "its console has just been opened"
            with listener.accept()[0] as writer:
                writer.settimeout(20)
                assert writer.recv(1) == WRITE
                assert terminals.unused_for([place])[1] < 20
                assert terminals.clients(place) is not None
                kill(keeper)
                assert writer.recv(1) == b"", "else it would wait for somebody who does not read"
            terminals.unused_for([place])
            with listener.accept()[0] as again:
                again.settimeout(20)
                assert again.recv(1) == WRITE
        finally:
            kill(keeper)


def kill(keeper: OutputKeeper) -> None:
    process = keeper._companion._process
    assert process is not None
    process.kill()
    process.wait()


def test_a_terminal_whose_queue_is_full_delays_nobody(tmp_path: Path) -> None:
    sockets = TerminalSockets(tmp_path / "terminals")
    with (
        sockets.listening("host-feed-1-1"),
        contextlib.ExitStack() as stack,
        pytest.raises(BlockingIOError),
    ):
        for _ in range(10 * BACKLOG):
            stack.enter_context(sockets.connect("host-feed-1-1", WRITE))
