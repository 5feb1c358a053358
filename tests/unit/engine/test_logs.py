"""Docker's log stream: entries told apart, and every way it can break off."""

from __future__ import annotations

import io
import struct
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.engine.chunked_body import pieces
from launcher.engine.connection import DockerConnection
from launcher.engine.logs import LogEntry, Logs, NewlineMender, batches, parse_time_ns
from launcher.engine.outcome import Refusal, Refused, Unknown
from tests.unit.engine.wire_docker import WireDocker, chunked, cut, raw, reply, until_close

AT = "2026-01-02T03:04:05.000000001Z"
AT_NS = 1767323045_000000001
LOGS = "GET /containers/x/logs"

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]


def entry(data: bytes, stream: int = 1, stamp: str = AT) -> bytes:
    payload = stamp.encode() + b" " + data
    return struct.pack(">BxxxL", stream, len(payload)) + payload


def read(connection: DockerConnection) -> list[LogEntry]:
    return [e for batch in Logs(connection).read("x", follow=True) for e in batch]


def test_entries_come_with_their_stream_and_time(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on(LOGS, chunked(entry(b"out\n"), entry(b"err\n", 2), entry(b"")))
    assert read(connection) == [
        LogEntry(1, AT_NS, b"out\n"),
        LogEntry(2, AT_NS, b"err\n"),
        LogEntry(1, AT_NS, b""),
    ]


def test_an_entry_may_come_in_any_pieces(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    whole = entry(b"a b\xff\0c") * 3
    docker_wire.on(LOGS, chunked(*(whole[i : i + 1] for i in range(len(whole)))))
    assert [e.data for e in read(connection)] == [b"a b\xff\0c"] * 3


@given(cut_at=st.integers(0, 2 * len(entry(b"line\n"))))
def test_a_stream_that_ends_within_an_entry_is_told_from_one_that_ends_after_it(
    cut_at: int,
) -> None:
    one = entry(b"line\n")
    found: list[bytes] = []
    stream = (one * 2)[:cut_at]
    bytewise = [stream[i : i + 1] for i in range(cut_at)]
    if cut_at % len(one) == 0:
        assert sum(map(len, batches(bytewise))) == cut_at // len(one)
        return
    with pytest.raises(OSError, match="cut in the middle"):
        for batch in batches(bytewise):
            found.extend(e.data for e in batch)
    assert found == [b"line\n"] * (cut_at // len(one))


def test_what_came_before_a_cut_is_kept_and_the_cut_is_unknown(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on(LOGS, chunked(entry(b"one\n"), entry(b"two\n")[:11], end=False))
    seen = Logs(connection).read("x", follow=True)
    assert [e.data for e in next(seen)] == [b"one\n"]
    with pytest.raises(Unknown):
        next(seen)


def test_many_lines_that_come_together_are_one_batch(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on(LOGS, chunked(*([entry(b"line\n")] * 500)))
    found = list(Logs(connection).read("x", follow=True))
    assert sum(map(len, found)) == 500
    assert len(found) < 50


def test_a_body_without_chunks_has_the_length_that_its_head_says(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    body = entry(b"one\n") + entry(b"two\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    docker_wire.on(LOGS, raw(head + body), raw(head + body[:-3]))
    assert [e.data for e in read(connection)] == [b"one\n", b"two\n"]
    with pytest.raises(Unknown, match="ended in the middle"):
        read(connection)


def test_an_answer_whose_head_was_cut_is_no_empty_log(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on(LOGS, raw(b"HTTP/1.1 200 OK\r\nApi-"), until_close(entry(b"one\n")))
    for _ in range(2):
        with pytest.raises(Unknown, match="cut in its head"):
            read(connection)


@given(body=st.lists(st.binary(min_size=1, max_size=40), max_size=5), size=st.integers(1, 30))
def test_chunks_come_apart_in_whatever_pieces_they_come(body: list[bytes], size: int) -> None:
    coded = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in body) + b"0\r\n\r\n"
    answer = SimpleNamespace(_fp=SimpleNamespace(fp=Slow(coded, size), chunked=True))
    assert b"".join(pieces(answer)) == b"".join(body)
    for cut_at in range(len(coded) - 4):
        answer = SimpleNamespace(_fp=SimpleNamespace(fp=Slow(coded[:cut_at], size), chunked=True))
        with pytest.raises(OSError, match="ended in the middle"):
            list(pieces(answer))


def test_a_chunk_without_a_length_is_an_error_and_no_endless_wait() -> None:
    answer = SimpleNamespace(_fp=SimpleNamespace(fp=io.BytesIO(b"zz\r\nabc\r\n"), chunked=True))
    with pytest.raises(OSError, match="without a length"):
        list(pieces(answer))


class Slow(io.BytesIO):
    """Gives no more than some bytes at once."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self._size = size

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(self._size)


def test_a_cut_before_the_answer_is_unknown(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on(LOGS, cut)
    with pytest.raises(Unknown):
        read(connection)


def test_a_container_that_is_gone_is_a_refusal_in_dockers_words(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on(LOGS, reply(404, {"message": "No such container: x"}))
    with pytest.raises(Refused) as caught:
        read(connection)
    assert (caught.value.refusal, caught.value.message) == (
        Refusal.MISSING,
        "No such container: x",
    )


def test_a_log_driver_that_cannot_be_read_is_a_refusal(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    text = "configured logging driver does not support reading"
    docker_wire.on(LOGS, reply(501, {"message": text}))
    with pytest.raises(Refused, match=text):
        read(connection)


@pytest.mark.parametrize(
    "broken",
    [
        struct.pack(">BxxxL", 3, 26) + b"Error grabbing logs: EOF\n\n",
        entry(b"x", stamp="yesterday"),
        entry(b"x", stamp="\0" * 30),
        entry(b"x", 0),
    ],
)
def test_a_damaged_log_ends_in_words_and_not_in_a_crash(
    docker_wire: WireDocker, connection: DockerConnection, broken: bytes
) -> None:
    docker_wire.on(LOGS, chunked(entry(b"good\n"), broken))
    seen = Logs(connection).read("x", follow=True)
    assert [e.data for e in next(seen)] == [b"good\n"]
    with pytest.raises(Refused, match="cannot read the rest of the log") as caught:
        next(seen)
    assert caught.value.refusal is Refusal.INFRA


@given(
    when=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001
    nanos=st.integers(0, 999),
)
def test_a_time_is_read_to_the_nanosecond(when: datetime, nanos: int) -> None:
    text = f"{when:%Y-%m-%dT%H:%M:%S.%f}{nanos:03d}"
    seconds = int(when.replace(tzinfo=UTC, microsecond=0).timestamp())
    assert parse_time_ns(f"{text}Z") == seconds * 10**9 + when.microsecond * 1000 + nanos
    assert parse_time_ns(f"{text.rstrip('0').rstrip('.')}Z") == parse_time_ns(f"{text}Z")


PIECE = b"x" * 16384


def mended(*entries: LogEntry) -> list[tuple[int, bytes]]:
    mender = NewlineMender()
    found = [one for entry in entries for one in mender.mended([entry])]
    return [(one.stream, one.data) for one in [*found, *mender.rest()]]


def test_the_newline_after_a_long_line_is_put_back_when_another_line_follows() -> None:
    lost = [
        LogEntry(1, 5, PIECE),
        LogEntry(1, 5, b"rest"),
        LogEntry(2, 6, b"err\n"),
        LogEntry(1, 7, b"end\n"),
    ]
    kept = [
        LogEntry(1, 5, PIECE),
        LogEntry(1, 5, b"rest\n"),
        LogEntry(2, 6, b"err\n"),
        LogEntry(1, 7, b"end\n"),
    ]
    assert (
        sorted(mended(*lost))
        == sorted(mended(*kept))
        == sorted([(1, PIECE), (1, b"rest\n"), (2, b"err\n"), (1, b"end\n")])
    )
    assert mended(LogEntry(1, 5, PIECE), LogEntry(1, 5, b""), LogEntry(1, 6, b"\n"))[1:] == [
        (1, b"\n"), (1, b"\n"),
    ]  # fmt: skip


def test_no_newline_is_made_up_at_the_end_of_a_log() -> None:
    assert mended(LogEntry(1, 5, PIECE), LogEntry(1, 5, b"rest"))[1:] == [(1, b"rest")]


def test_short_lines_without_a_newline_stay_as_they_are() -> None:
    some = [
        LogEntry(1, 5, b"10%"),
        LogEntry(1, 5, b"20%"),
        LogEntry(1, 6, PIECE),
        LogEntry(1, 7, b"end"),
    ]
    assert mended(*some) == [(entry.stream, entry.data) for entry in some]
