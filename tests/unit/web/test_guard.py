"""What the web service refuses, and what every reply of it carries."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from launcher.web import bounds
from launcher.web.connections import WebConnections, network_of
from launcher.web.guard import AllowedHosts
from launcher.web.headers import HEADERS
from tests.support.wait import wait_until
from tests.unit.client.stub_daemon import Json, StubDaemon
from tests.unit.web.service import Service, on, parsed

Body = Callable[[Service], Awaitable[None]]


HOSTS = AllowedHosts(["gpu.example.org"])


@pytest.mark.parametrize(
    "host",
    [
        "gpu.example.org",
        "GPU.EXAMPLE.ORG.:8080",
        "localhost:1",
        "127.0.0.1",
        "[::1]:80",
        "10.1.2.3",
    ],
)
def test_a_name_of_the_service_and_any_address_are_served(host: str) -> None:
    assert HOSTS.allow(host)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "gpu.example.org@evil", "", "[::1", "a:b:c", "ä",
     "localhost:999999", "gpu.example.org/x", "127.0.0.1.evil.example", "[evil]"],
)  # fmt: skip
def test_another_host_is_not(host: str) -> None:
    assert not HOSTS.allow(host)


def test_a_foreign_host_is_refused_by_every_path_and_the_daemon_not_asked(
    daemon: StubDaemon,
) -> None:
    async def body(web: Service) -> None:
        for path in ("/", "/metrics", "/healthz", "/nowhere"):
            answer = await web.get(path, host="evil.example")
            assert (answer.status, "allowed_hosts" in answer.body) == (421, True)
        twice = await web.get("/healthz", "GET", "Host: evil.example")
        assert twice.status in (400, 421)
        assert daemon.asked == []

    on(daemon, body)


def test_a_host_that_the_configuration_names_is_served(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        assert (await web.get("/healthz", host="gpu.example.org")).status == 200

    on(daemon, body, allowed_hosts=("gpu.example.org",))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_only_reading_is_served(daemon: StubDaemon, method: str) -> None:
    async def body(web: Service) -> None:
        answer = await web.get("/metrics", method, "Origin: http://evil.example")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
        assert not [name for name in answer.headers if name.startswith("access-control")]

    on(daemon, body)


def test_every_reply_has_the_headers_also_one_to_what_is_not_http(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        answers = [
            await web.get("/healthz"),
            await web.get("/healthz", "HEAD"),
            await web.get("/nowhere"),
            await web.get("/healthz", host="evil.example"),
            await web.get("/", "POST"),
            parsed(await web.send(b"rubbish\r\n\r\n")),
            await web.get("/" + "a" * (2 * bounds.MOST_LINE_BYTES)),
            await web.get("/healthz", "GET", "X: " + "a" * (2 * bounds.MOST_FIELD_BYTES)),
        ]
        assert [answer.status for answer in answers] == [200, 200, 404, 421, 405, 400, 400, 400]
        for answer in answers:
            assert {name: answer.headers.get(name.lower()) for name in HEADERS} == HEADERS
            assert "aaaa" not in answer.body
            assert "aiohttp" not in str(answer.headers)

    on(daemon, body)


def test_pages_need_a_login_where_guests_may_not_read_them_and_metrics_do_not(
    daemon: StubDaemon,
) -> None:
    async def body(web: Service) -> None:
        for page in ("/", "/usage", "/jobs/1", "/live/overview"):
            answer = await web.get(page)
            assert (answer.status, answer.headers["location"]) == (303, "/login")
        assert (await web.get("/login")).status == 200
        assert (await web.get("/healthz")).status == 200
        assert (await web.get("/metrics")).status == 200

    daemon.on("GET", "/v1/metrics", Json([]))
    on(daemon, body, guests=False)


def test_a_daemon_that_refuses_is_no_reason_to_show_its_words(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        answer = await web.get("/")
        assert (answer.status, "hush" in answer.body) == (502, False)

    daemon.on("GET", "/v1/status", Json({"kind": "not-allowed", "message": "hush"}, 403))
    on(daemon, body)


def test_a_guest_is_told_what_is_wrong_with_an_address(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        answer = await web.get("/jobs/99999999999999999999")
        assert (answer.status, "is not a job id" in answer.body) == (400, True)

    told = {"kind": "bad-request", "message": "99999999999999999999 is not a job id"}
    daemon.on("GET", "/v1/jobs/99999999999999999999", Json(told, 400))
    on(daemon, body)


def test_a_stream_is_not_started_for_a_request_without_a_body(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        for path in ("/live/overview", "/live/jobs/1", "/live/arrays/1", "/jobs/1/log/live",
                     "/jobs/1/log.txt"):  # fmt: skip
            answer = await web.get(path, "HEAD")
            assert answer.status == 405, path
        assert daemon.asked == []

    on(daemon, body)


def test_connections_beyond_the_limit_are_refused_and_count_no_more_when_they_end(
    daemon: StubDaemon,
) -> None:
    connections = WebConnections(most=2)

    async def body(web: Service) -> None:
        first, second = await web.connect(), await web.connect()
        refused = parsed(await web.send(b""))
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert {name: refused.headers.get(name.lower()) for name in HEADERS} == HEADERS
        for _, writer in (first, second):
            writer.close()
        await asyncio.to_thread(wait_until, lambda: not connections.open)
        assert (await web.get("/healthz")).status == 200

    on(daemon, body, connections)


def test_one_address_has_a_limit_and_loopback_only_that_of_all() -> None:
    connections = WebConnections(most=5, per_address=2)
    near = network_of(("127.0.0.1", 1))
    far = network_of(("192.0.2.1", 1))
    assert [connections.admit(far) for _ in range(3)] == [True, True, False]
    assert [connections.admit(near) for _ in range(4)] == [True, True, True, False]
    connections.leave(far)
    assert connections.admit(near)
    for address in (far, near, near, near, near):
        connections.leave(address)
    assert not connections._by_address


def test_an_ipv6_network_counts_as_one_address() -> None:
    assert network_of(("2001:db8::1", 1, 0, 0)) == network_of(("2001:db8::2:3", 1, 0, 0))
    assert network_of(("2001:db8:0:1::1", 1, 0, 0)) != network_of(("2001:db8::1", 1, 0, 0))
    assert network_of(("::ffff:192.0.2.1", 1, 0, 0)) == network_of(("192.0.2.1", 1))
    assert network_of(("fe80::1%eth0", 1, 0, 2)) == "fe80::/64"
    assert network_of(None) == "unknown"


@pytest.mark.parametrize(
    ("limit", "sent"),
    [
        ("HEAD_SECONDS", b""),
        ("HEAD_SECONDS", b"GET /healthz HTTP/1.1\r\nHost: loc"),
        ("IDLE_SECONDS", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ],
)
def test_a_client_that_sends_nothing_more_is_disconnected(
    daemon: StubDaemon, monkeypatch: pytest.MonkeyPatch, limit: str, sent: bytes
) -> None:
    monkeypatch.setattr(bounds, limit, 0.05)

    async def body(web: Service) -> None:
        reader, writer = await web.connect()
        writer.write(sent)
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionResetError):
                await reader.read()
        await asyncio.to_thread(wait_until, lambda: not web.connections.open)

    on(daemon, body)
