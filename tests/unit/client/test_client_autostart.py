"""Who starts a daemon of one's own, and who does not. The daemon here is a small script."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.client import autostart, sockets
from launcher.errors import DaemonUnreachable

LISTENS = """\
#!{python}
import pathlib, socket, sys
path = sys.argv[sys.argv.index("--socket") + 1]
pathlib.Path({args!r}).write_text(" ".join(sys.argv[1:]))
listening = socket.socket(socket.AF_UNIX)
listening.bind(path)
listening.listen()
listening.settimeout(20)
for _ in range(2):
    listening.accept()
"""


@pytest.fixture
def home(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine with a Docker and no launcher anywhere."""
    for name in ("LAUNCHER_SOCKET", "LAUNCHER_AUTOSTART", "LAUNCHER_STATE_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("HOME", str(short_dir))
    monkeypatch.setattr(sockets, "SYSTEM_SOCKET", str(short_dir / "system.sock"))
    monkeypatch.setattr(autostart, "UNITS", (str(short_dir / "launcher.service"),))
    with socket.socket(socket.AF_UNIX) as docker:
        docker.bind(str(short_dir / "docker.sock"))
        docker.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{short_dir}/docker.sock")
        yield short_dir


def stand_in(home: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let this script be what is started."""
    program = home / "program"
    program.write_text(script.format(python=sys.executable, args=str(home / "args")))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_it_is_started_and_answers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(home, monkeypatch, LISTENS)
    assert autostart.ensure_daemon() is True
    state = f"{home}/.local/state/launcher"
    assert (home / "args").read_text() == (
        f"-m launcher serve --idle-exit 600 --socket {state}/launcher.sock --state-dir {state}"
    )
    assert autostart.ensure_daemon() is False
    assert Path(state).stat().st_mode & 0o777 == 0o700


def test_one_that_does_not_come_up_shows_the_end_of_its_log(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(home, monkeypatch, "#!/bin/sh\necho 'no GPU here' >&2\nexit 4\n")
    with pytest.raises(DaemonUnreachable) as caught:
        autostart.ensure_daemon()
    assert "exit status 4" in caught.value.message
    assert "no GPU here" in caught.value.message
    assert "daemon.log" in str(caught.value.fix)


@pytest.mark.parametrize(
    "why",
    ["LAUNCHER_AUTOSTART=0", "a named socket", "a system socket", "a system unit"],
)
def test_it_is_not_ours_to_start(home: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    stand_in(home, monkeypatch, LISTENS)
    if why == "LAUNCHER_AUTOSTART=0":
        monkeypatch.setenv("LAUNCHER_AUTOSTART", "0")
    elif why == "a named socket":
        monkeypatch.setenv("LAUNCHER_SOCKET", str(home / "named.sock"))
    elif why == "a system socket":
        (home / "system.sock").touch()
    else:
        (home / "launcher.service").touch()
    assert autostart.ensure_daemon() is False
    assert not (home / "args").exists()


def test_without_a_docker_it_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{home}/none.sock")
    with pytest.raises(DaemonUnreachable, match="you cannot use Docker on"):
        autostart.ensure_daemon()
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    with pytest.raises(DaemonUnreachable, match="is not a local socket"):
        autostart.ensure_daemon()


def test_a_state_directory_that_cannot_be_made_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").touch()
    monkeypatch.setenv("LAUNCHER_STATE_DIR", str(home / "file" / "state"))
    with pytest.raises(DaemonUnreachable, match="cannot start a per-user daemon"):
        autostart.ensure_daemon()
