"""The asyncio client against a stub daemon: requests, streams, limits, restarts."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from launcher import AsyncClient, Client, errors
from launcher.client.aio.transport import MOST_REQUESTS, MOST_STREAMS
from launcher.client.image import Image
from launcher.client.layout import Layout
from launcher.client.queue import Queue
from launcher.wire import JobSpec, OwnImageView, RegistryAuth, SelectRequest
from tests.support.wait import wait_until
from tests.unit.client.stub_daemon import (
    Json,
    Raw,
    Stream,
    StubDaemon,
    end,
    ended,
    event,
    job_view,
    out,
    position,
    status_view,
)
from tests.unit.client.stub_queue import StubQueue

PARTS = {"queue": Queue, "image": Image, "layout": Layout}


@pytest.fixture
def queue(stub: StubDaemon) -> StubQueue:
    return StubQueue(stub)


def public(kind: type) -> dict[str, Callable[..., Any]]:
    return {
        name: value
        for name, value in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize("part", [None, *PARTS])
def test_it_has_every_method_of_the_client_with_the_same_arguments(part: str | None) -> None:
    sync = Client if part is None else PARTS[part]
    twin = AsyncClient if part is None else type(getattr(AsyncClient(), part))
    for name, method in public(sync).items():
        if name == "notice":
            continue
        there, here = inspect.signature(method), inspect.signature(public(twin)[name])
        assert list(here.parameters.values()) == list(there.parameters.values()), name
        assert public(twin)[name].__doc__, name


def test_it_has_no_other_methods() -> None:
    assert public(AsyncClient).keys() == public(Client).keys() - {"notice"}


def test_the_methods_that_are_requests_are_coroutines() -> None:
    assert inspect.iscoroutinefunction(AsyncClient.status)
    assert AsyncClient.jobs.__doc__ == Client.jobs.__doc__
    assert AsyncClient.jobs.__name__ == "jobs"


CALLS: list[Callable[[Any], Any]] = [
    lambda client: client.status(),
    lambda client: client.submit(
        [JobSpec(name="a", image="x")], {"docker.io": RegistryAuth(username="u")}
    ),
    lambda client: client.jobs(["a/b", 3], all=True, user="me", after=4, most=5),
    lambda client: client.jobs([*range(250)]),
    lambda client: client.cancel("a/b?", now=True),
    lambda client: client.cancel_all(SelectRequest(refs=[str(n) for n in range(2500)])),
    lambda client: client.prune(older_than=3.0),
    lambda client: client.queue.order(7),
    lambda client: client.layout.show(),
    lambda client: client.image.all(),
    lambda client: client.show(404),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_makes_the_requests_of_the_client_and_returns_the_same(
    stub: StubDaemon, call: Callable[[Any], Any]
) -> None:
    pruned = {"jobs": 1, "logs": 0, "bytes": 0, "more": True}

    def answer_anew() -> None:
        stub.asked.clear()
        stub.on("GET", "/v1/status", Json(status_view()))
        stub.on("POST", "/v1/jobs", Json([job_view()]))
        stub.on("GET", "/v1/jobs", Json([job_view(id=n)]) if (n := 3) else Json([]))
        stub.on("POST", "/v1/jobs/a%2Fb%3F/cancel", Json([job_view()]))
        gone = Json({"kind": "no-such-job", "message": "gone"}, 404)
        stub.on("POST", "/v1/jobs/cancel", gone, Json([job_view()]), gone)
        stub.on("POST", "/v1/prune", Json(pruned), Json({**pruned, "more": False}))
        stub.on("GET", "/v1/queue", Json([]))
        stub.on("GET", "/v1/layout", Json([]))
        stub.on("GET", "/v1/images/own", Json([]))

    def outcome(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except errors.LauncherError as error:
            return type(error), str(error)

    answer_anew()
    expected = outcome(lambda: call(Client(stub.path)))
    requests = [(asked.method, asked.path, asked.query, asked.body) for asked in stub.asked]
    answer_anew()
    assert outcome(lambda: asyncio.run(call(AsyncClient(stub.path)))) == expected
    assert [(a.method, a.path, a.query, a.body) for a in stub.asked] == requests


def test_an_archive_is_sent_in_chunks(short_dir: Path) -> None:
    view = OwnImageView(
        name="localhost/x", user="alice", id="i", bytes=6, loaded_at="2026", public=False
    )
    received = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        received = await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(dataclasses.asdict(view)).encode())
        writer.close()
        await writer.wait_closed()

    async def scenario() -> None:
        path = str(short_dir / "s")
        async with await asyncio.start_unix_server(serve, path):
            assert await AsyncClient(path).image.load("x", [b"abc", b"", b"def"]) == view

    asyncio.run(scenario())
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/images/load?name=x HTTP/1.1\r\n")
    assert body == b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"


def test_a_missing_daemon_is_an_error_that_says_so(stub: StubDaemon) -> None:
    for coroutine in (
        lambda client: client.status(),
        lambda client: client.wait(3),
        lambda client: listed(client.logs(3)),
    ):
        with pytest.raises(errors.DaemonUnreachable, match="no launcher daemon is running"):
            asyncio.run(coroutine(AsyncClient("/nowhere/l.sock")))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"nonsense\r\n\r\n", "went away before it replied"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "in the middle of its reply"),
        (b"HTTP/1.1 200 OK\r\n\r\n{", "not valid JSON"),
        (b"HTTP/1.1 500 No\r\n\r\n", "HTTP status 500"),
    ],
)
def test_what_is_not_a_reply_is_an_error(stub: StubDaemon, raw: bytes, message: str) -> None:
    stub.on("GET", "/v1/status", Raw(raw))
    with pytest.raises(errors.LauncherError, match=message):
        asyncio.run(AsyncClient(stub.path).status())


def test_a_slow_daemon_is_an_error_after_the_timeout(stub: StubDaemon, queue: StubQueue) -> None:
    queue.add([3])

    async def scenario() -> None:
        client = AsyncClient(stub.path, timeout=0.05)
        with pytest.raises(errors.DaemonUnreachable, match="did not answer in time"):
            await client._transport.json("GET", "/v1/jobs/3/wait?timeout=1", timeout=0.05)

    asyncio.run(scenario())


def test_a_refusal_for_overload_is_waited_out(stub: StubDaemon) -> None:
    busy = Raw(
        b"HTTP/1.1 429 Too Many\r\nRetry-After: 0\r\n\r\n"
        b'{"kind": "too-many", "message": "alice exceeds a limit"}'
    )
    notices: list[str] = []
    stub.on("GET", "/v1/status", busy, busy, Json(status_view()))
    client = AsyncClient(stub.path, notice=notices.append)
    assert asyncio.run(client.status()) == status_view()
    assert notices == ["alice exceeds a limit; waiting"]


async def listed(frames: Any) -> list[Any]:
    return [frame async for frame in frames]


def test_logs_and_changes_are_followed_over_a_restart(stub: StubDaemon) -> None:
    first = Stream([event(job_view()), position("1.0.0"), out("a"), out("b")], cut=True)
    stub.on("GET", "/v1/jobs/3/follow", first, Stream([out("c"), end(ended("COMPLETED"))]))
    stub.on("GET", "/v1/jobs/3/logs", first, Stream([out("c", 9), end(job_view())]))

    async def scenario() -> None:
        client = AsyncClient(stub.path)
        frames = await listed(client.follow(3))
        assert b"".join(frame.data for frame in frames[1:-1]) == b"abc"
        frames = await listed(client.logs(3, tail=5, until_ns=9))
        assert [frame.data for frame in frames if frame.stream == 1] == [b"a", b"b"]

    asyncio.run(scenario())
    assert [asked.query for asked in stub.asked] == [
        "", "position=1.0.0&skip=2", "follow=0&tail=5", "follow=0&position=1.0.0&skip=2",
    ]  # fmt: skip


def test_requests_and_streams_that_run_at_once_are_limited(
    stub: StubDaemon, queue: StubQueue
) -> None:
    queue.add([3])

    async def requests() -> None:
        client = AsyncClient(stub.path)
        shown = await asyncio.gather(*(client.show(3) for _ in range(5 * MOST_REQUESTS)))
        assert len(shown) == 5 * MOST_REQUESTS

    asyncio.run(requests())
    assert 1 <= stub.most_open <= MOST_REQUESTS

    stub.most_open = 0
    stub.on("GET", "/v1/jobs/3/logs", Stream([out("x\n"), end(job_view())]))

    async def streams() -> None:
        job = await AsyncClient(stub.path).job(3)
        count = 3 * MOST_STREAMS
        lines = await asyncio.gather(*(listed(job.logs(follow=True)) for _ in range(count)))
        assert lines == [["x"]] * count

    asyncio.run(streams())
    assert 1 <= stub.most_open <= MOST_STREAMS


def test_many_requests_wait_for_a_daemon_whose_queue_of_connections_is_full(
    stub: StubDaemon, queue: StubQueue
) -> None:
    queue.add([3])
    assert stub.request_queue_size < MOST_REQUESTS

    async def scenario() -> None:
        clients = [AsyncClient(stub.path) for _ in range(10)]
        await asyncio.gather(*(client.show(3) for client in clients for _ in range(10)))

    asyncio.run(scenario())


def test_a_layout_change_is_waited_for(stub: StubDaemon) -> None:
    pending = Json({"kind": "conflict", "message": "over"}, 409)
    stub.on("GET", "/v1/layout/changes/1/wait", pending)
    with pytest.raises(errors.StaleRequest):
        asyncio.run(AsyncClient(stub.path).layout.wait(1, timeout=5))
    assert stub.asked[0].query.startswith("timeout=")


def run_until_seen(stub: StubDaemon, scenario: Coroutine[Any, Any, None], path: str) -> None:
    """Cancel a scenario once the daemon has its request."""

    async def cancelled() -> None:
        task = asyncio.create_task(scenario)
        await asyncio.to_thread(
            wait_until, lambda: any(a.path == path for a in stub.asked), what=f"{path} is asked"
        )
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())


def test_an_async_with_block_that_is_cancelled_cancels_its_job(
    stub: StubDaemon, queue: StubQueue
) -> None:
    queue.add([3])
    stub.on("POST", "/v1/jobs", Json(list(queue.jobs.values()), 201))
    stub.on("POST", "/v1/jobs/3/cancel", Json([job_view()]))

    async def scenario() -> None:
        async with await AsyncClient(stub.path).run("busybox", "sleep 9") as job:
            await job.wait()

    run_until_seen(stub, scenario(), "/v1/jobs/3/wait")
    assert stub.did()[-1] == "POST /v1/jobs/3/cancel"
