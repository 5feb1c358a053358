"""What one user may ask of a running daemon, and that it lets go of who only keeps it busy."""

from __future__ import annotations

import gzip
import json
import pwd
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from launcher import Client
from launcher.errors import NotAllowed, TooMany
from launcher.jobfile.reading.jobs import MAX_JOBS
from launcher.wire import (
    MAX_BODY_BYTES,
    MAX_SMALL_BODY_BYTES,
    MAX_USERS_BODY_BYTES,
    GpuRequest,
    JobSpec,
)
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, CONFIG, DaemonProcess, as_user
from tests.support.wait import wait_until

ALICE = pwd.getpwnam("games").pw_uid
HELD = JobSpec(name="held", image=BUSYBOX, hold=True, gpus=GpuRequest(kind="none"))


@pytest.fixture
def make(make_daemon: MakeDaemon) -> object:
    def with_limits(**limits: object) -> DaemonProcess:
        table = "".join(f"{name} = {json.dumps(value)}\n" for name, value in limits.items())
        return make_daemon(config=f"{CONFIG}[limits]\n{table}").start()

    return with_limits


@contextmanager
def connected(daemon: DaemonProcess, uid: int = ALICE) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(20)
        with as_user(uid):
            made.connect(str(daemon.socket))
        yield made


def answer(connection: socket.socket) -> tuple[int, dict[str, str], dict[str, str]]:
    """Return status, headers and error of an answer that closes its connection or says its size."""
    data = b""
    while piece := connection.recv(65536):
        data += piece
        head, found, body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
        if found and len(body) >= int(headers["content-length"]):
            return int(lines[0].split()[1]), headers, json.loads(body)
    raise AssertionError(f"no whole answer: {data!r}")


def test_a_connection_above_the_limit_is_told_before_it_has_asked(make) -> None:  # type: ignore[no-untyped-def]
    daemon = make(connections=3)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connected(daemon))
        with connected(daemon) as one_more:
            status, headers, error = answer(one_more)
            assert one_more.recv(1) == b""
        assert (status, headers["retry-after"], error["kind"]) == (429, "1", "too-many")
        assert "3 connections at once" in error["message"]
        assert f"uid {ALICE}" in error["message"]
        assert daemon.client.status().state == "healthy", "root has connections of his own"
    with as_user(ALICE):
        assert daemon.client.status()


def test_who_sends_nothing_or_half_a_head_has_to_leave(make) -> None:  # type: ignore[no-untyped-def]
    daemon = make(head_time="1s")
    with connected(daemon) as silent, connected(daemon) as half:
        half.sendall(b"GET /v1/status HTTP/1.1\r\nHost:")
        begun = time.monotonic()
        for each in (silent, half):
            with suppress(ConnectionResetError):
                assert each.recv(1) == b""
        assert time.monotonic() - begun < 10


def test_a_body_that_does_not_come_is_answered_and_given_up(make) -> None:  # type: ignore[no-untyped-def]
    daemon = make(body_time="1s")
    with connected(daemon) as slow:
        slow.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        status, _, error = answer(slow)
        assert (status, error["kind"]) == (408, "too-slow")
        assert "within 1 s ([limits] body_time)" in error["message"]
        wait_until(lambda: slow.recv(1) == b"", what="the connection is closed")


def test_a_connection_between_two_requests_does_not_stay_for_ever(make) -> None:  # type: ignore[no-untyped-def]
    daemon = make(idle_time="1s")
    with connected(daemon) as kept:
        for _ in range(2):
            kept.sendall(b"GET /v1/reservations HTTP/1.1\r\nHost: x\r\n\r\n")
            head = kept.recv(65536)
            assert head.startswith(b"HTTP/1.1 200")
        with suppress(ConnectionResetError):
            assert kept.recv(1) == b""


@pytest.mark.parametrize(
    ("path", "uid", "most", "said"),
    [
        ("/v1/jobs", 0, MAX_BODY_BYTES, "8 MiB"),
        ("/v1/jobs", ALICE, MAX_USERS_BODY_BYTES, "4 MiB"),
        ("/v1/jobs/retry", 0, MAX_SMALL_BODY_BYTES, "256 KiB"),
    ],
)
def test_a_body_above_the_limit_is_refused_by_its_length(
    daemon: DaemonProcess, path: str, uid: int, most: int, said: str
) -> None:
    with connected(daemon, uid) as large:
        large.sendall(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {most + 1}\r\n\r\n".encode()
        )
        status, _, error = answer(large)
    assert (status, error["kind"]) == (413, "too-large")
    assert f"larger than {said}" in error["message"]


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        ("Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n", "Content-Length"),
        ("Content-Encoding: gzip\r\nContent-Length: %d", gzip.compress(b"{" * 50_000_000), "jobs"),
    ],
    ids=["of no length", "packed"],
)
def test_a_body_is_neither_endless_nor_unpacked(
    daemon: DaemonProcess, headers: str, body: bytes, said: str
) -> None:
    head = headers % len(body) if "%" in headers else headers
    with connected(daemon) as made:
        made.sendall(f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode() + body)
        status, _, error = answer(made)
    assert (status, error["kind"]) == (400, "bad-request")
    assert said in error["message"] or "Invalid JSON" in error["message"]


@pytest.mark.parametrize("opening", [b"[", b'{"jobs":'])
def test_json_as_deep_as_a_body_may_be_is_refused_and_nothing_breaks(
    daemon: DaemonProcess, opening: bytes
) -> None:
    most = MAX_USERS_BODY_BYTES
    body = (b'{"jobs":' + opening * (most // len(opening)))[: most - 10]
    with connected(daemon) as deep:
        deep.sendall(
            b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        status, _, error = answer(deep)
    assert (status, error["kind"]) == (400, "bad-request")
    assert daemon.client.status().state == "healthy"


def test_a_loop_of_submits_is_slowed_and_not_broken(make) -> None:  # type: ignore[no-untyped-def]
    daemon = make(submits_per_minute=20)
    told: list[str] = []
    jobs: list[int] = []
    with as_user(ALICE):
        client = Client(str(daemon.socket), notice=told.append)
        while not told and len(jobs) < 200:
            jobs += [one.id for one in client.submit([HELD])]
        jobs += [one.id for one in client.submit([HELD])]
    assert jobs == sorted(set(jobs))
    assert len(jobs) > 20
    assert any("exceeds a limit: 20 submits a minute" in text for text in told)


def test_more_new_jobs_than_a_minute_may_have_are_refused_with_the_number(make) -> None:  # type: ignore[no-untyped-def]
    daemon = make(jobs_per_minute=10)
    with as_user(ALICE):
        daemon.client.submit([HELD] * 10)
        with pytest.raises(TooMany) as caught:
            daemon.client.submit([HELD] * 10)
    assert "exceeds a limit: 10 new jobs a minute" in caught.value.message
    assert caught.value.retry_after > 10
    assert len(daemon.client.submit([HELD] * 100)) == 100, "an admin is not counted"


def test_streams_above_the_limit_are_refused_and_end_with_who_read_them(make) -> None:  # type: ignore[no-untyped-def]
    daemon = make(streams=2)
    with as_user(ALICE):
        (job,) = daemon.client.submit([HELD])
    ask = b"GET /v1/jobs/%d/follow HTTP/1.1\r\nHost: x\r\n\r\n" % job.id
    with connected(daemon) as first, connected(daemon) as second, connected(daemon) as third:
        for each in (first, second):
            each.sendall(ask)
            assert each.recv(1) == b"H"
        third.sendall(ask)
        status, _, error = answer(third)
        assert (status, error["kind"]) == (429, "too-many")
        assert "([limits] streams)" in error["message"]

    def again() -> bool:
        with connected(daemon) as later:
            later.sendall(ask)
            return later.recv(12).endswith(b"200")

    wait_until(again, timeout=20, what="who left is not counted any more")


def test_a_file_of_the_most_jobs_there_can_be_is_taken_from_an_ordinary_user(
    daemon: DaemonProcess,
) -> None:
    with as_user(ALICE):
        assert len(daemon.client.submit([HELD] * MAX_JOBS)) == MAX_JOBS
        assert len(daemon.client.submit([HELD] * (10_000 - MAX_JOBS))) == 10_000 - MAX_JOBS
        with pytest.raises(NotAllowed, match="quota of 10000"):
            daemon.client.submit([HELD], dry_run=True)
    assert len(daemon.client.submit([HELD] * 100)) == 100, "others have their own"
