"""The output keeper: what it is passed it reads, whatever becomes of who passed it."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.output.keeper import Keeper
from launcher.output.keeper_client import OutputKeeper
from launcher.output.log_file import Limit, LogWriter
from launcher.wire import END, NOTE
from launcher.wire.docker_stream import Demultiplexer
from tests.support.logs import bytes_of, read_all
from tests.support.wait import wait_until


def framed(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


class Watched:
    """What a watcher of a keeper has heard: the last word on each path."""

    def __init__(self, keeper: OutputKeeper) -> None:
        self.heard: dict[str, Any] = {}
        self.over = threading.Event()
        self._connection = keeper._connect()
        self._connection.send(b'{"do": "watch"}')
        assert "version" in json.loads(self._connection.recv(1 << 16))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        self._connection.settimeout(None)
        while message := self._connection.recv(1 << 16):
            told = json.loads(message)
            self.heard[told["path"]] = told["whole"]
        self.over.set()

    def close(self) -> None:
        self._connection.shutdown(socket.SHUT_RDWR)
        assert self.over.wait(10)
        self._connection.close()


@pytest.fixture
def watch() -> Iterator[Callable[[OutputKeeper], Watched]]:
    """Watch keepers until the test is over."""
    made: list[Watched] = []

    def watch(keeper: OutputKeeper) -> Watched:
        made.append(Watched(keeper))
        return made[-1]

    yield watch
    for each in made:
        each.close()


Watch = Callable[[OutputKeeper], Watched]


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[OutputKeeper]:
    """A keeper in a thread of this process, at the socket that its systemd unit would have."""
    place = f"/tmp/keeper-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(place)
        listener.listen()
        thread = threading.Thread(target=Keeper(listener, idle_seconds=0.3).serve, daemon=True)
        thread.start()
        yield OutputKeeper(tmp_path, place)
        thread.join(10)
        Path(place).unlink()
        assert not thread.is_alive(), "it ends when nobody needs it"


def attached(keeper: OutputKeeper, path: Path, limit: int = 1 << 20) -> socket.socket:
    """Have a keeper read one end of a pair; returns the other."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            keeper.store(path, "7 life", Limit(limit), theirs.fileno())
        except BaseException:
            ours.close()
            raise
    return ours


def test_every_byte_comes_into_the_log_with_its_stream_and_the_end_is_told(
    keeper: OutputKeeper, watch: Watch, tmp_path: Path
) -> None:
    path, watched = tmp_path / "logs" / "7.1.log", watch(keeper)
    with attached(keeper, path) as container:
        data = framed(1, b"out\0\xff") + framed(2, b"err\n") + framed(1, b"") + framed(1, b"more")
        for at in range(len(data)):
            container.sendall(data[at : at + 1])
        wait_until(lambda: path.exists() and bytes_of(read_all(path))[0] == b"out\0\xffmore")
        wait_until(lambda: watched.heard == {str(path): None})
    wait_until(lambda: watched.heard == {str(path): True})
    assert bytes_of(read_all(path)) == (b"out\0\xffmore", b"err\n")


def test_two_pipes_are_read_until_nobody_can_write_and_the_log_is_ended(
    keeper: OutputKeeper, watch: Watch, tmp_path: Path
) -> None:
    path, watched = tmp_path / "7.1.log", watch(keeper)
    (out, to_out), (err, to_err) = os.pipe(), os.pipe()
    keeper.store(path, "7 ", Limit(1 << 20), out, err)
    os.write(to_out, b"out\0\xff")
    os.close(to_out)
    wait_until(lambda: path.exists() and bytes_of(read_all(path))[0] == b"out\0\xff")
    wait_until(lambda: watched.heard == {str(path): None})
    os.write(to_err, b"err")
    for fd in (out, err, to_err):
        os.close(fd)
    wait_until(lambda: watched.heard == {str(path): True})
    frames = read_all(path)
    assert bytes_of(frames) == (b"out\0\xff", b"err")
    assert frames[-1].stream == END


def test_an_end_of_a_pipe_that_others_have_open_is_seen(
    keeper: OutputKeeper, watch: Watch, tmp_path: Path
) -> None:
    """The helper for host jobs has the reading ends, too."""
    watched = watch(keeper)
    pipes = os.pipe(), os.pipe()
    keeper.store(tmp_path / "1", "7 ", Limit(1 << 20), *(reads for reads, _ in pipes))
    for _, writes in pipes:
        os.close(writes)
    wait_until(lambda: watched.heard == {str(tmp_path / "1"): True})
    for reads, _ in pipes:
        os.close(reads)


def test_a_new_watcher_hears_of_all_that_is_kept(
    keeper: OutputKeeper, watch: Watch, tmp_path: Path
) -> None:
    watch(keeper)
    with attached(keeper, tmp_path / "1"), attached(keeper, tmp_path / "2") as second:
        second.close()
        later = watch(keeper)
        wait_until(lambda: later.heard == {str(tmp_path / "1"): None, str(tmp_path / "2"): True})
    keeper.forget(tmp_path / "1")
    keeper.forget(tmp_path / "2")
    assert watch(keeper).heard == {}


def test_an_output_is_read_once_only(keeper: OutputKeeper, watch: Watch, tmp_path: Path) -> None:
    watch(keeper)
    with attached(keeper, tmp_path / "1"), pytest.raises(OSError, match="kept already"):
        attached(keeper, tmp_path / "1")


def test_who_is_forgotten_is_let_go_of(keeper: OutputKeeper, watch: Watch, tmp_path: Path) -> None:
    watch(keeper)
    with attached(keeper, tmp_path / "1") as container:
        keeper.forget(tmp_path / "1")
        assert container.recv(1) == b"", "its socket is closed"
    LogWriter(tmp_path / "1", 1 << 20).close()


def test_a_log_that_another_process_writes_is_refused_and_not_waited_for(
    keeper: OutputKeeper, watch: Watch, tmp_path: Path
) -> None:
    watch(keeper)
    writer = LogWriter(tmp_path / "1", 1 << 20)
    with pytest.raises(OSError, match="temporarily unavailable"):
        attached(keeper, tmp_path / "1")
    writer.close()
    attached(keeper, tmp_path / "1").close()


def test_bad_requests_are_answered_and_harm_nobody(
    keeper: OutputKeeper, watch: Watch, tmp_path: Path
) -> None:
    watch(keeper)
    for asked in ({}, {"do": "fly"}, {"do": "keep", "path": 5}, [], "x"):
        with pytest.raises(OSError, match="the process for output: "):
            keeper._request(asked)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="the process for output: "):
        attached(keeper, Path("/proc/none/1.log"))
    with attached(keeper, tmp_path / "1") as container:
        container.sendall(framed(1, b"on\n"))
        wait_until(lambda: bytes_of(read_all(tmp_path / "1"))[0] == b"on\n")


def test_what_a_full_disk_refuses_is_told_in_the_log_and_the_job_goes_on(
    keeper: OutputKeeper, watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, watched = tmp_path / "1", watch(keeper)
    full = threading.Event()
    write = LogWriter.write

    def maybe(self: LogWriter, frames: Any) -> None:
        if full.is_set():
            raise OSError(28, "No space left on device")
        write(self, frames)

    monkeypatch.setattr(LogWriter, "write", maybe)
    with attached(keeper, path) as container:
        container.sendall(framed(1, b"first\n"))
        wait_until(lambda: bytes_of(read_all(path))[0] == b"first\n")
        full.set()
        for _ in range(100):
            container.sendall(framed(1, b"x" * 60_000))
        full.clear()
        container.sendall(framed(2, b"again\n"))
        wait_until(lambda: bytes_of(read_all(path))[1] == b"again\n")
    wait_until(lambda: watched.heard == {str(path): True})
    notes = [frame.data.decode() for frame in read_all(path) if frame.stream == NOTE]
    missing = 6_000_000 - len(bytes_of(read_all(path))[0]) + len(b"first\n")
    assert notes == [f"output is missing here: {missing} bytes of stdout: No space left on device"]


def test_a_keeper_of_the_daemons_own_is_started_goes_on_without_it_and_ends_by_itself(
    watch: Watch, tmp_path: Path
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    keeper = OutputKeeper(deep)
    path = deep / "1"
    with attached(keeper, path) as container:
        again = OutputKeeper(deep)
        watched = watch(again)
        wait_until(lambda: watched.heard == {str(path): None}, what="another daemon finds it")
        container.sendall(framed(1, b"x" * 100_000))
        wait_until(lambda: bytes_of(read_all(path))[0] == b"x" * 100_000)
        assert keeper._companion._process is not None
        assert again._companion._process is None
        keeper._companion._process.kill()
        assert keeper._companion._process.wait(10) < 0
        assert watched.over.wait(10)
        assert container.recv(1) == b""
    with attached(again, path), pytest.raises(OSError, match="kept already"):
        attached(keeper, path)
    assert again._companion._process is not None
    keeper.forget(path)
    assert again._companion._process.wait(30) == 0


def test_streams_are_told_apart_however_the_bytes_are_cut() -> None:
    data = (
        framed(1, b"one") + framed(1, b"two") + framed(2, b"err") + framed(1, b"") + framed(1, b"3")
    )
    assert Demultiplexer().feed(data) == [(1, b"onetwo"), (2, b"err"), (1, b"3")]
    for size in range(1, len(data)):
        streams, found = Demultiplexer(), {1: b"", 2: b""}
        for at in range(0, len(data), size):
            for stream, piece in streams.feed(data[at : at + size]):
                found[stream] += bytes(piece)
        assert found == {1: b"onetwo3", 2: b"err"}
