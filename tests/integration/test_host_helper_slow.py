"""The helper for host jobs beside a systemd that is slow: who waits, and for what."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from launcher.host.cgroup import Cgroup, CgroupLimits, unified_root
from launcher.host.client import HostHelper, HostRefused, ProcessTree
from launcher.host.helper.children import Command, CommandFiles
from launcher.host.helper.helper import Helper
from launcher.host.helper.jobs import Records
from launcher.host.places import Begins, End, Started
from launcher.host.plain import PlainPlaces
from tests.support.wait import wait_until

SLOW, OTHER = 4001, 4002
"""The starts of the first user's commands take until they may go on."""
NONE = CgroupLimits()


class SlowPlaces(PlainPlaces):
    """Commands as systemd starts them, in real cgroups; some take their time."""

    waits = True

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.go, self.asked = threading.Event(), threading.Event()
        self.commands: dict[str, subprocess.Popen[bytes]] = {}

    def _wait(self) -> None:
        self.asked.set()
        assert self.go.wait(30)

    def join(self, name: str, pid: int, limits: CgroupLimits) -> Cgroup:
        self._wait()
        return super().join(name, pid, limits)

    def spawn(
        self,
        name: str,
        command: Command,
        limits: CgroupLimits,
        files: CommandFiles,
        begins: Begins,
    ) -> Started:
        if command.uid == SLOW:
            self._wait()
        child = self.commands[name] = subprocess.Popen(list(command.words))
        cgroup = super().join(name, child.pid, limits)
        begins(child.pid, cgroup)
        return Started(child.pid, cgroup, is_child=False)

    def end(self, name: str, *, of_spawned: bool) -> End:
        return End(self.commands[name].wait() << 8 if of_spawned else None, oom=False)


class Place:
    """A helper in a thread of this process, and what asks it."""

    def __init__(self, directory: Path, threads: ThreadPoolExecutor) -> None:
        root = unified_root()
        assert root is not None
        self.places = SlowPlaces(root)
        self.join_path = str(directory / "j")
        self.asks = HostHelper(str(directory / "d"), seconds=20)
        self.names: list[str] = []
        self._threads = threads
        self.sockets = [self._bound(directory / each) for each in "dj"]
        records = Records(directory / "records")
        self._helper = Helper(*self.sockets, records, self.places, idle_seconds=math.inf)
        self._served = threads.submit(self._helper.serve)

    def _bound(self, path: Path) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        made.bind(str(path))
        made.listen()
        return made

    def name(self) -> str:
        self.names.append(f"host-feed-{os.getpid() * 1000 + len(self.names)}-1")
        return self.names[-1]

    def spawn(self, name: str, uid: int, *words: str) -> Future[ProcessTree]:
        def ask() -> ProcessTree:
            command = Command(words or ("sleep", "600"), {}, {}, "/", uid, uid, [])
            with Path(os.devnull).open("w") as null:
                return self.asks.spawn(name, command, NONE, null.fileno(), null.fileno())

        return self._threads.submit(ask)

    def close(self) -> None:
        self.places.go.set()
        for name in self.names:
            self.asks.kill(name)
            wait_until(lambda name=name: not self.asks.state(name)[1])
            self.asks.remove(name)
        self._helper._idle_seconds = 0.1
        self._served.result(30)
        for each in self.sockets:
            each.close()
        for child in self.places.commands.values():
            child.wait()


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="slow-") as made, ThreadPoolExecutor(16) as threads:
        place = Place(Path(made), threads)
        try:
            yield place
        finally:
            place.close()


def test_one_users_slow_starts_hold_nobody_elses(place: Place) -> None:
    slow = [place.spawn(place.name(), SLOW) for _ in range(4)]
    assert place.places.asked.wait(10)
    started = place.spawn(place.name(), OTHER).result(10)
    assert place.asks.state(place.names[-1]) == (started, True)
    assert not any(each.done() for each in slow)
    place.places.go.set()
    assert len({each.result(10).pid for each in slow}) == 4


def test_who_asks_for_a_job_that_is_just_being_started_is_answered_afterwards(
    place: Place,
) -> None:
    name = place.name()
    start = place.spawn(name, SLOW)
    assert place.places.asked.wait(10)
    again = place.spawn(name, SLOW)
    state = place._threads.submit(place.asks.state, name)
    end = place._threads.submit(place.asks.wait, name)
    place.spawn(place.name(), OTHER).result(10)  # what was asked before has arrived
    assert not any(each.done() for each in (start, again, state, end))
    place.places.go.set()
    assert start.result(10) == again.result(10)
    assert state.result(10) == (start.result(), True)
    place.asks.kill(name)
    assert end.result(10) is not None


def test_a_start_that_fails_meanwhile_is_told_and_leaves_nothing(place: Place) -> None:
    name = place.name()
    start = place.spawn(name, SLOW, "/no/such/program")
    assert place.places.asked.wait(10)
    state = place._threads.submit(place.asks.state, name)
    place.spawn(place.name(), OTHER).result(10)
    place.places.go.set()
    with pytest.raises(HostRefused) as refused:
        start.result(10)
    assert (refused.value.errno, refused.value.place) == (2, "/no/such/program")
    assert state.result(10) == (None, False)


JOINS = "import sys; from launcher.host.joining import join; join(*sys.argv[1:])"


def test_a_command_that_joins_when_its_start_is_given_up_is_ended(place: Place) -> None:
    name = place.name()
    with place.asks.expected(name, 0, NONE) as expected:
        words = [sys.executable, "-c", JOINS, place.join_path, expected.token]
        child = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        assert place.places.asked.wait(10)
    place.spawn(place.name(), OTHER).result(10)  # that nobody waits has arrived
    place.places.go.set()
    assert child.wait(10) == -signal.SIGKILL
    wait_until(lambda: place.asks.state(name) == (None, False))
