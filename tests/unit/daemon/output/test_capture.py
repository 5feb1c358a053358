"""Whose output the keeper reads: that of the start for which it was attached, no other."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.core.messages.actions import StartAttempt
from launcher.daemon.output import capture
from launcher.daemon.output.capture import Capture
from launcher.engine.attach import Streams
from launcher.output.keeper import Keeper
from launcher.output.keeper_client import OutputKeeper
from launcher.output.log_file import Limit
from tests.support.wait import wait_until

START = StartAttempt(job=7, attempt=1, container_name="launch-s-7-1", image_id="i", slices=())


class Docker:
    """Attaches to containers: each time a new stream, whose other end is here."""

    def __init__(self) -> None:
        self.streams: list[socket.socket] = []

    def attach(self, *_: object) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.streams.append(ours)
        return theirs


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Docker]:
    made = Docker()
    monkeypatch.setattr(capture, "attach", made.attach)
    yield made
    for stream in made.streams:
        stream.close()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[[], Capture]]:
    """Make captures that share one keeper, as daemons do that follow each other."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{tmp_path}/k")
        listener.listen()
        threading.Thread(target=Keeper(listener).serve, daemon=True).start()

        def make() -> Capture:
            one = Capture(
                OutputKeeper(tmp_path, f"{tmp_path}/k"), "unix:///d", 1.0, tmp_path / "logs",
                lambda job, attempt: Limit(1 << 20),
                grew=lambda job: None, trouble=lambda why: None,
            )  # fmt: skip
            one.start()
            return one

        yield make


def test_what_was_attached_for_a_start_that_failed_does_not_count_for_the_next(
    docker: Docker, made: Callable[[], Capture]
) -> None:
    mine = made()
    mine.attach(START, "life", Streams())
    first = mine.of(7, 1)
    assert first is not None
    docker.streams[0].close()  # containerd was away
    wait_until(first.over.is_set)
    mine.attach(START, "life", Streams())
    assert mine.of(7, 1) is None, "its output is read from Docker's own log"
    mine.attach(START, "life", Streams())
    assert mine.of(7, 1) is None
    mine.forget(7, 1)  # the container is removed
    mine.attach(START, "life", Streams())
    assert mine.of(7, 1) is not None


def test_what_a_daemon_before_attached_does_not_count_for_a_start_of_this_one(
    docker: Docker, made: Callable[[], Capture]
) -> None:
    made().attach(START, "life", Streams())
    mine = made()
    mine.attach(START, "life", Streams())
    assert mine.of(7, 1) is None
    assert made().of(7, 1) is None
