"""``Pins`` against a helper that answers as a test wants it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from launcher.errors import InternalError, NotAllowed, PinRefused, PinsUnavailable
from launcher.mount_helper import MountRequest, Pins, User, frames
from launcher.mount_helper.server import peer_uid
from launcher.mount_helper.user_turns import UserTurns
from launcher.mount_helper.values import MOST_OPENINGS
from tests.support.wait import wait_until

ALICE = User(61001, 61001, (61005,))
MOUNT = MountRequest("/home/alice", "proj")
Helper = Callable[..., Pins]


@pytest.fixture
def helper() -> Iterator[Helper]:
    """Return a maker of clients whose helper gives these answers, one a connection; an error is
    raised when it connects, None: it goes away without a word."""
    threads: list[threading.Thread] = []

    def make(*answers: Any, seconds: float = 5.0) -> Pins:
        left = list(answers)

        def connect() -> socket.socket:
            given = left.pop(0)
            if isinstance(given, OSError):
                raise given
            ours, theirs = socket.socketpair()
            threads.append(threading.Thread(target=serve, args=(theirs, given)))
            threads[-1].start()
            return ours

        return Pins(connect, seconds)

    asked: list[Any] = []

    def serve(theirs: socket.socket, given: Any) -> None:
        with theirs:
            data = frames.receive(theirs)
            asked.append(frames.decoded(data))
            if given is not None:
                theirs.sendall(given if isinstance(given, bytes) else frames.encoded(given))

    make.asked = asked  # type: ignore[attr-defined]
    yield make
    for thread in threads:
        thread.join()


def test_a_pin_names_the_container_the_places_and_the_user(helper: Helper) -> None:
    assert helper({"paths": ["/p/0"]}).pin("launch-a-1-1", [MOUNT], ALICE, 7) == ["/p/0"]
    assert helper.asked == [  # type: ignore[attr-defined]
        {
            "do": "pin",
            "container": "launch-a-1-1",
            "dockerd": 7,
            "mounts": [{"root": "/home/alice", "path": "proj", "read_only": True}],
            "uid": 61001,
            "gid": 61001,
            "groups": [61005],
        }
    ]


def test_the_helper_is_asked_for_one_user_a_few_times_at_once_and_for_others_meanwhile() -> None:
    held: list[socket.socket] = []

    def connect() -> socket.socket:
        ours, theirs = socket.socketpair()
        held.append(theirs)
        return ours

    pins = Pins(connect, 30)
    bob = User(61002, 61002)
    with ThreadPoolExecutor(8) as threads:
        hers = [threads.submit(pins.check, [MOUNT], ALICE) for _ in range(7)]
        wait_until(lambda: len(held) == MOST_OPENINGS, what="some are asked")
        his = threads.submit(pins.check, [MOUNT], bob)
        wait_until(lambda: len(held) == MOST_OPENINGS + 1, what="another's is asked")
        for number in range(8):
            wait_until(lambda: len(held) > number, what="the next is asked")  # noqa: B023
            with held[number] as theirs:
                frames.receive(theirs)
                theirs.sendall(b"{}")
        for each in (*hers, his):
            each.result(30)


def test_a_turn_that_does_not_come_is_not_waited_for_longer_than_for_the_helper() -> None:
    turns = UserTurns(1)
    with (
        turns.of(7, 0),
        turns.of(8, 0),
        pytest.raises(PinsUnavailable, match="mounts of uid 7"),
        turns.of(7, 0.05),
    ):
        pass
    with turns.of(7, 0):
        pass


def test_a_helper_that_went_away_is_asked_once_more(helper: Helper) -> None:
    assert helper(None, {"removed": True}).unpin("a") is True
    assert helper(ConnectionRefusedError(), {"removed": False}).unpin("a") is False
    with pytest.raises(PinsUnavailable, match="it ended before it replied"):
        helper(None, None).unpin("a")
    with pytest.raises(PinsUnavailable, match=r"cannot be reached: .*refused"):
        helper(*[ConnectionRefusedError(111, "Connection refused")] * 2).unpin("a")


def test_a_helper_that_says_nothing_is_unavailable_after_a_while() -> None:
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(PinsUnavailable, match=r"does not answer within 0\.05 s"):
        Pins(lambda: ours, 0.05).ping()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("pin-refused", PinRefused),
        ("pins-unavailable", PinsUnavailable),
        ("not-allowed", NotAllowed),
    ],
)
def test_an_error_is_raised_as_the_helper_meant_it(
    helper: Helper, kind: str, error: type[Exception]
) -> None:
    told = {"error": {"kind": kind, "message": "no such place", "fix": "Make it."}}
    with pytest.raises(error, match="no such place\n  Make it") as caught:
        helper(told).check([MOUNT], ALICE)
    assert type(caught.value) is error


@pytest.mark.parametrize("given", [b"what?", b"[]", b'{"error": 1}', b'{"error": {}}'])
def test_an_answer_that_is_none_is_a_bug(helper: Helper, given: bytes) -> None:
    with pytest.raises(InternalError, match="unexpected reply from the mount helper"):
        helper(given).unpin("a")


def test_a_sweep_leaves_what_was_pinned_here(helper: Helper) -> None:
    refused = {"error": {"kind": "pin-refused", "message": "no", "fix": None}}
    there = {"containers": ["adopted", "mine", "over", "refused", "x"]}
    swept = {"removed": ["over", "refused", "x"]}
    pins = helper({"paths": []}, {"paths": []}, refused, {"removed": True}, there, swept, there)
    pins.pin("mine", [MOUNT], ALICE)
    pins.pin("over", [MOUNT], ALICE)
    with pytest.raises(PinRefused):
        pins.pin("refused", [MOUNT], ALICE)
    pins.unpin("over")
    assert pins.sweep(lambda: ["adopted"], "launch-a-") == ["over", "refused", "x"]
    asked = helper.asked[-2:]  # type: ignore[attr-defined]
    assert [each["do"] for each in asked] == ["list", "sweep"]
    assert asked[1]["containers"] == ["over", "refused", "x"]
    assert pins.sweep(lambda: ["adopted", "over", "refused", "x"], "launch-a-") == []


def test_a_helper_that_hangs_up_after_its_say_is_heard() -> None:
    ours, theirs = socket.socketpair()
    theirs.send(frames.encoded(frames.error_fields(NotAllowed("not you"))))
    theirs.close()
    with pytest.raises(NotAllowed, match="not you"):
        Pins(lambda: ours).unpin("a")


def test_the_uid_of_a_peer_is_the_kernels() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_uid(theirs) == os.getuid()
