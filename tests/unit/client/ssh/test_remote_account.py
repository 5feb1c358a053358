"""The report of the other machine's shell, run by the shells that there are here."""

from __future__ import annotations

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.client.ssh.remote_account import AccountReport, remote_command


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="h-") as name:
        yield Path(name)


def report(home: Path, path: str | None = None, shell: str = "sh", **more: str) -> AccountReport:
    done = subprocess.run(
        [shell, "-c", remote_command(path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", **more},
        check=True,
    )
    result = AccountReport()
    for line in done.stdout.splitlines():
        result.line(line)
    assert result.complete
    return result


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_any_login_shell_reports_the_users_own_socket(home: Path, shell: str) -> None:
    place = home / "run" / "launcher"
    place.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(place / "launcher.sock"))
        done = report(home, shell=shell, XDG_RUNTIME_DIR=str(home / "run"))
    assert done.socket == f"{place}/launcher.sock"
    assert done.absent == ["/run/launcher/launcher.sock"]
    assert (done.user, done.home) == ("root", str(home))


def test_a_named_socket_is_looked_at(home: Path) -> None:
    done = report(home, "/it's/here.sock")
    assert (done.socket, done.absent) == (None, ["/it's/here.sock"])
    done = report(home, LAUNCHER_SOCKET="/named.sock")
    assert done.absent[:2] == ["/run/launcher/launcher.sock", "/named.sock"]


def test_what_start_files_print_is_no_part_of_it() -> None:
    done = AccountReport()
    for line in ("Welcome!", "", "LAUNCHER-REPORT SOCKET /a b", "LAUNCHER-REPORT END"):
        done.line(line)
    assert (done.socket, done.other, done.complete) == ("/a b", ["Welcome!"], True)
