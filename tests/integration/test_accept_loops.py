"""The processes beside the daemon when no descriptors are free: they rest, say so once, go on."""

from __future__ import annotations

import itertools
import json
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.listening import listening
from tests.support.wait import wait_until

PACKETS = socket.SOCK_SEQPACKET
REQUESTS = {
    "launcher.output": {"do": "sessions"},
    "launcher.ports": {"do": "list"},
    "launcher.host": {"do": "state", "name": "host-feed-1-1"},
}


class Beside:
    """One of the processes, and its log."""

    def __init__(self, place: Path, module: str) -> None:
        self.request, self.path = REQUESTS[module], f"{place}/s"
        self.log = place / "log"
        words, sockets = ["--listen", self.path], list[socket.socket]()
        if module == "launcher.ports":
            words += ["--directory", str(place / "ports")]
        if module == "launcher.host":
            sockets = [listening(f"{place}/{name}", 0o600, PACKETS) for name in "su"]
            daemons, users = (str(each.fileno()) for each in sockets)
            words = ["--records", str(place / "records"), "--daemons", daemons, "--users", users]
        command = [sys.executable, "-P", "-m", module, *words]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stderr=log, pass_fds=[each.fileno() for each in sockets]
            )
        for each in sockets:
            each.close()

    def connect(self) -> socket.socket | None:
        """Return a connection, None if it does not listen yet."""
        connection = socket.socket(socket.AF_UNIX, PACKETS)
        connection.settimeout(20)
        try:
            connection.connect(self.path)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        return connection

    def reply(self, connection: socket.socket) -> dict[str, Any]:
        connection.send(json.dumps(self.request).encode())
        reply: dict[str, Any] = json.loads(connection.recv(1 << 16))
        return reply

    def next_fd(self) -> int:
        """Return the number that the next descriptor gets."""
        used = {int(fd.name) for fd in Path(f"/proc/{self.process.pid}/fd").iterdir()}
        return next(number for number in itertools.count() if number not in used)


def connected(beside: Beside) -> socket.socket:
    connection = beside.connect()
    assert connection is not None
    return connection


@pytest.fixture(params=REQUESTS)
def beside(request: pytest.FixtureRequest) -> Iterator[Beside]:
    with tempfile.TemporaryDirectory() as place:
        made = Beside(Path(place), request.param)
        yield made
        made.process.kill()
        made.process.wait()


def test_a_process_without_free_descriptors_rests_says_so_once_and_goes_on(beside: Beside) -> None:
    first = wait_until(beside.connect, 20, "it listens")
    with first, connected(beside) as second:
        for each in (first, second):
            assert "error" not in beside.reply(each)
        pid = beside.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (beside.next_fd(), before[1]))
        with connected(beside) as third:
            wait_until(lambda: "cannot accept" in beside.log.read_text(), 20, "it says so")
            assert beside.reply(first), "who is connected is served"
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            assert "error" not in beside.reply(third)
    assert beside.log.read_text().count("cannot accept") == 1
