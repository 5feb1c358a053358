"""Consoles and other relays of the keeper: who writes, who watches, what waits."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
from collections.abc import Iterator

import pytest

from launcher.output import relay as module
from launcher.output import sessions
from launcher.output.sessions import MOST_OF_USER, Sessions
from launcher.wire.docker_stream import Demultiplexer
from tests.support.wait import wait_until

CONSOLE = {"path": "/log", "uid": 7}


class Keeper:
    """Sessions with a selector that a test turns by hand."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.sessions = Sessions(self.selector)
        self.sockets: list[socket.socket] = []

    def pair(self) -> tuple[socket.socket, int]:
        """Return our end of a new connection, and the descriptor of the other one."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.sockets += [ours, theirs]
        return ours, theirs.fileno()

    def console(self, *, waits: bool = True) -> socket.socket:
        docker, fd = self.pair()
        self.sessions.console({**CONSOLE, "waits": waits}, [fd])
        self.forget(fd)
        return docker

    def join(self, *, take: bool = False) -> tuple[socket.socket, str]:
        client, fd = self.pair()
        state = self.sessions.join({"path": "/log", "head": "head ", "take": take}, [fd])["state"]
        self.forget(fd)
        return client, state

    def watch(self, *, framed: bool = False, uid: int = 7) -> tuple[socket.socket, socket.socket]:
        docker, stream = self.pair()
        client, fd = self.pair()
        request = {"path": "/log", "uid": uid, "head": "", "sends": False, "framed": framed}
        self.sessions.relay(request, [stream, fd])
        self.forget(stream)
        self.forget(fd)
        return docker, client

    def forget(self, fd: int) -> None:
        """Close a descriptor that was passed, as the keeper does after each request."""
        next(each for each in self.sockets if each.fileno() == fd).close()

    def turn(self) -> bool:
        """Do what there is to do; return whether there was anything."""
        events = self.selector.select(0) if self.selector.get_map() else []
        for key, _ in events:
            key.data()
        return bool(events)

    def gets(self, connection: socket.socket, data: bytes) -> None:
        """Turn until a connection has got exactly these bytes."""
        got = bytearray()

        def has_all() -> bool:
            self.turn()
            with contextlib.suppress(BlockingIOError):
                got.extend(connection.recv(1 << 20))
            return len(got) >= len(data)

        wait_until(has_all, 10, f"{data[:50]!r}")
        assert bytes(got) == data

    def ends(self, connection: socket.socket) -> None:
        """Turn until a connection is closed from the other side."""

        def closed() -> bool:
            self.turn()
            try:
                return connection.recv(1 << 20) == b""
            except BlockingIOError:
                return False
            except ConnectionResetError:
                return True

        wait_until(closed, 10, "it is closed")


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    made = Keeper()
    yield made
    for each in made.sockets:
        each.close()
    for relay in list(made.sessions._relays):
        relay.close()
    made.selector.close()


def test_a_client_gets_what_was_printed_before_it_came(keeper: Keeper) -> None:
    docker = keeper.console()
    docker.send(b"prompt")
    assert not keeper.turn(), "it waits for the first client"
    client, state = keeper.join()
    assert state == "joined"
    keeper.gets(client, b"head prompt")
    client.send(b"keys")
    keeper.gets(docker, b"keys")


def test_a_client_that_was_killed_gives_way_at_once_and_what_it_typed_arrives(
    keeper: Keeper,
) -> None:
    docker = keeper.console()
    killed, _ = keeper.join()
    killed.send(b"last")
    killed.close()
    client, state = keeper.join()
    assert state == "joined"
    client.send(b" keys")
    keeper.gets(docker, b"last keys")


def test_output_that_no_client_comes_for_does_not_stop_the_job(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HOLD_SECONDS", 0.0001)
    docker = keeper.console()
    docker.send(b"lost")
    wait_until(lambda: (keeper.sessions.release(), keeper.turn())[1], 10, "it is read")
    client, _ = keeper.join()
    docker.send(b"seen")
    keeper.gets(client, b"head seen")


def test_the_console_of_a_job_that_runs_already_delays_no_output(keeper: Keeper) -> None:
    docker = keeper.console(waits=False)
    docker.send(b"lost")
    assert keeper.turn(), "it is read without a client"


def test_only_one_client_writes(keeper: Keeper) -> None:
    docker = keeper.console()
    first, _ = keeper.join()
    second, state = keeper.join()
    assert state == "busy"
    keeper.ends(second)
    third, state = keeper.join(take=True)
    assert state == "joined"
    third.send(b"mine")
    keeper.gets(docker, b"mine")
    keeper.gets(third, b"head ")
    keeper.ends(first)


def test_the_end_of_the_input_is_passed_on_and_the_output_still_comes(keeper: Keeper) -> None:
    docker = keeper.console()
    client, _ = keeper.join()
    client.send(b"all")
    client.shutdown(socket.SHUT_WR)
    keeper.gets(docker, b"all")
    keeper.ends(docker)
    docker.send(b"answer")
    keeper.gets(client, b"head answer")
    docker.close()
    keeper.ends(client)
    assert not keeper.sessions


def test_the_input_stays_open_when_its_client_is_lost(keeper: Keeper) -> None:
    docker = keeper.console()
    client, _ = keeper.join()
    client.send(b"half")
    client.close()
    keeper.gets(docker, b"half")
    wait_until(lambda: (keeper.turn(), keeper.sessions.report())[1]["sessions"][0][1] is False)
    docker.send(b"dropped")
    wait_until(keeper.turn)
    again, state = keeper.join()
    assert state == "joined"
    again.send(b"rest")
    keeper.gets(docker, b"rest")
    keeper.gets(again, b"head ")


def test_a_slow_client_holds_its_own_output_back_and_loses_nothing(keeper: Keeper) -> None:
    docker = keeper.console()
    client, _ = keeper.join()
    sent = bytearray()

    while True:
        piece = bytes([len(sent) % 251]) * 8192
        try:
            sent += piece[: docker.send(piece)]
        except BlockingIOError:
            if not keeper.turn():
                break
    assert len(sent) < 4 * module.MOST_PENDING_BYTES + (1 << 21)
    keeper.gets(client, b"head " + bytes(sent))


def fill(connection: socket.socket, keeper: Keeper) -> bytes:
    """Send as much as everybody on the way takes; return it."""
    piece, sent = b"x" * 8192, 0
    while True:
        try:
            sent += connection.send(piece)
        except BlockingIOError:
            if not keeper.turn():
                return b"x" * sent


def test_the_last_output_comes_also_if_the_container_left_its_input_unread(keeper: Keeper) -> None:
    docker = keeper.console()
    client, _ = keeper.join()
    fill(client, keeper)
    output = fill(docker, keeper)
    docker.close()
    keeper.gets(client, b"head " + output)
    keeper.ends(client)
    assert not keeper.sessions


def test_a_console_ends_also_if_its_client_dies_before_it_has_read_the_rest(keeper: Keeper) -> None:
    docker = keeper.console()
    client, _ = keeper.join()
    while keeper.sessions.report()["sessions"][0][1] and not pending_of(keeper):
        docker.send(b"x" * 8192)
        keeper.turn()
    docker.close()
    keeper.turn()
    client.close()
    while keeper.turn():
        pass
    assert not keeper.sessions


def pending_of(keeper: Keeper) -> int:
    (relay,) = keeper.sessions._relays
    return len(relay._client.pending) if relay._client is not None else 0


def test_the_last_keys_of_a_client_that_left_count_also_if_the_job_prints(keeper: Keeper) -> None:
    docker = keeper.console()
    client, _ = keeper.join()
    docker.send(b"output")
    client.send(b"keys")
    client.close()
    keeper.gets(docker, b"keys")
    wait_until(lambda: (keeper.turn(), keeper.sessions.report())[1]["sessions"][0][1] is False)


def test_a_slow_watcher_misses_some_and_delays_nobody(keeper: Keeper) -> None:
    docker, _ = keeper.watch()
    data, sent = b"x" * 65536, 0
    while sent < 20 * module.MOST_PENDING_BYTES:
        try:
            sent += docker.send(data)
        except BlockingIOError:
            assert keeper.turn(), "a watcher stopped the job"


def test_a_slow_watcher_misses_whole_frames(keeper: Keeper) -> None:
    docker, client = keeper.watch(framed=True)
    lines = [b"%06d" % number * 1000 for number in range(1000)]
    data = memoryview(b"".join(struct.pack(">BxxxL", 1, len(line)) + line for line in lines))
    while data:
        try:
            data = data[docker.send(data[:50_000]) :]
        except BlockingIOError:
            assert keeper.turn(), "a watcher stopped the job"
    docker.close()
    got, streams = bytearray(), Demultiplexer()

    def ended() -> bool:
        keeper.turn()
        try:
            piece = client.recv(1 << 20)
        except BlockingIOError:
            return False
        for stream, some in streams.feed(piece):
            assert stream == 1
            got.extend(some)
        return not piece

    wait_until(ended, 10, "it ends")
    seen = [bytes(got[at : at + 6000]) for at in range(0, len(got), 6000)]
    assert 0 < len(seen) < len(lines)
    assert set(seen) <= set(lines)


def test_what_a_watcher_types_goes_nowhere(keeper: Keeper) -> None:
    docker, client = keeper.watch()
    client.send(b"keys")
    while keeper.turn():
        pass
    with pytest.raises(BlockingIOError):
        docker.recv(10)
    client.close()
    keeper.ends(docker)


def test_a_user_has_a_bounded_number_of_them(keeper: Keeper) -> None:
    for _ in range(MOST_OF_USER):
        keeper.watch()
    with pytest.raises(OSError, match="no more than"):
        keeper.watch()
    docker = keeper.console()
    client, state = keeper.join()
    assert state == "joined", "the input of a job does not end for lack of room"
    client.send(b"input")
    keeper.gets(docker, b"input")


def test_users_who_act_together_leave_terminals_to_another_user(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_RELAYS", 64)
    monkeypatch.setattr(sessions, "MOST_OF_USER", 8)
    for uid in range(1000, 1008):
        with contextlib.suppress(OSError):
            for _ in range(8):
                keeper.watch(uid=uid)
    docker, client = keeper.watch(uid=7)
    docker.send(b"seen")
    keeper.gets(client, b"seen")
    with pytest.raises(OSError, match=r"uid 1000 has \d .* while other users"):
        keeper.watch(uid=1000)


def test_consoles_of_many_jobs_leave_the_terminals_of_others_alone(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_RELAYS", 8)
    for number in range(20):
        _, fd = keeper.pair()
        keeper.sessions.console({"path": f"/log{number}", "uid": 1000}, [fd])
        keeper.forget(fd)
    keeper.watch(uid=7)


def test_clients_that_are_gone_after_the_end_of_their_input_do_not_count(keeper: Keeper) -> None:
    keeper.console()
    for _ in range(MOST_OF_USER + 1):
        client, state = keeper.join()
        assert state == "joined"
        client.shutdown(socket.SHUT_WR)
        keeper.turn()
        client.close()
    for _ in range(MOST_OF_USER + 1):
        _, watcher = keeper.watch()
        watcher.shutdown(socket.SHUT_WR)
        keeper.turn()
        watcher.close()


def test_time_without_use_counts_from_the_last_key_the_last_output_and_the_last_client(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    docker = keeper.console()
    client, _ = keeper.join()

    def idle() -> float:
        while keeper.turn():
            pass
        ((_, _, _, seconds),) = keeper.sessions.report()["sessions"]
        return float(seconds)

    now += 10
    assert idle() == 10
    client.send(b"k")
    assert idle() == 0
    now += 5
    docker.send(b"o")
    assert idle() == 0
    now += 5
    client.close()
    assert idle() == 0
    now += 7
    docker.send(b"nobody sees it")
    assert idle() == 7
