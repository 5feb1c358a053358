"""What systemd hears: one datagram a message, and nothing where it does not listen."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.daemon.loop.sd_notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest) -> Iterator[tuple[str, socket.socket]]:
    """A socket as systemd's, with its name as systemd gives it."""
    with (
        tempfile.TemporaryDirectory() as place,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening,
    ):
        listening.settimeout(2)
        name = str(Path(place) / "notify")
        if request.param == "abstract":
            name = f"@launcher-{os.getpid()}"
            listening.bind(f"\0{name[1:]}")
        else:
            listening.bind(name)
        yield name, listening


def test_each_message_is_one_datagram(systemd: tuple[str, socket.socket]) -> None:
    name, listening = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000"})
    assert notifier.watchdog_seconds == 3.0
    notifier.ready()
    notifier.status("2 jobs run,\n3 wait")
    notifier.status("2 jobs run, 3 wait")
    notifier.alive()
    notifier.stopping()
    told = [listening.recv(1000) for _ in range(4)]
    assert told == [b"READY=1", b"STATUS=2 jobs run, 3 wait", b"WATCHDOG=1", b"STOPPING=1"]


def test_nothing_is_said_where_nobody_listens(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1000000"}):
        notifier = Notifier(environment)
        assert notifier.listening is bool(environment)
        notifier.ready()


@pytest.mark.parametrize("usec", ["", "0", "soon", "-5"])
def test_a_watchdog_that_is_none_wants_no_signs(usec: str) -> None:
    assert Notifier({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": usec}).watchdog_seconds is None


def test_the_watchdog_of_another_process_is_not_ours() -> None:
    environment = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    assert Notifier(environment).watchdog_seconds is None
