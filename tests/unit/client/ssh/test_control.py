"""Whose connection ssh uses, by what ``ssh -G`` says; and what ssh's messages mean."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.client.ssh import failures
from launcher.client.ssh.address import parse_ssh
from launcher.client.ssh.control import Control, control_of
from launcher.errors import DaemonUnreachable, LauncherError

VM = parse_ssh("ssh://ann@vm:22")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that is all of PATH."""
    with tempfile.TemporaryDirectory(prefix="p-") as name:
        monkeypatch.setenv("PATH", name)
        yield Path(name)


def configured(place: Path, *lines: str, ask: bool = True) -> Control:
    printed = "\n".join(["connecttimeout none", "serveraliveinterval 0", *lines])
    (place / "ssh").write_text(f"#!/bin/sh\necho '{printed}'\n")
    (place / "ssh").chmod(0o755)
    return control_of(VM, "/private", ask=ask)


def test_without_a_shared_connection_it_has_its_own(place: Path) -> None:
    control = configured(place, "controlmaster false")
    assert (control.path, control.is_shared, control.is_open) == ("/private/c", False, False)
    assert "ServerAliveInterval=15" in control.options
    assert "BatchMode=yes" not in control.options
    assert "BatchMode=yes" in configured(place, ask=False).options


def test_a_shared_connection_that_would_end_with_the_verb_is_not_opened(place: Path) -> None:
    lines = (f"controlpath {place}/m", "controlmaster auto")
    assert not configured(place, *lines, "controlpersist no").is_shared
    assert configured(place, *lines, "controlpersist 60").path == f"{place}/m"


def test_an_open_connection_is_used(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as master:
        master.bind(f"{place}/m")
        master.listen()
        control = configured(place, f"controlpath {place}/m", "controlmaster false")
    assert (control.path, control.is_open) == (f"{place}/m", True)


@pytest.mark.usefixtures("place")
def test_without_ssh_it_says_what_to_install() -> None:
    with pytest.raises(LauncherError, match="no `ssh` program") as raised:
        control_of(VM, "/private", ask=True)
    assert "openssh-client" in str(raised.value.fix)


@pytest.mark.parametrize(
    ("text", "fix", "is_final"),
    [
        ("ann@vm: Permission denied (publickey).", "`ssh -p 22 ann@vm` must work first", True),
        ("Host key verification failed.", "check the key", True),
        ("ssh: Could not resolve hostname vm: Name or service not known", "~/.ssh/config", True),
        ("ssh: connect to host vm port 22: Connection refused", "Check that the VM runs", False),
        ("", "Check that the VM runs", False),
    ],
)
def test_what_ssh_says_becomes_an_error_with_a_next_step(
    text: str, fix: str, is_final: bool
) -> None:
    error = failures.failed(VM, f"banner\n{text}\n" if text else "", again=False)
    assert error.exit_code == 3
    assert fix in str(error.fix)
    assert isinstance(error, DaemonUnreachable) is not is_final
    again = failures.failed(VM, text, again=True)
    assert "was lost, and ssh cannot connect again" in again.message
