"""Further commands in jobs: what is refused has not run."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from unittest.mock import Mock

import pytest

from launcher import wire
from launcher.daemon.access.terminals import TerminalPlace, Terminals
from launcher.engine.attach import Streams
from launcher.errors import Unavailable
from launcher.host.terminal.connecting import TerminalSockets
from launcher.listening import listening
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
