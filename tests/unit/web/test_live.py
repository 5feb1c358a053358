"""Open pages: fragments that differ, at most one update a second, rendered once for all."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from launcher.client.aio.client import AsyncClient
from launcher.errors import DaemonUnreachable, NotAllowed, TooMany
from launcher.web import bounds
from launcher.web.live import AWAY, HEARTBEAT, RELOAD, LiveFeeds, PageFeed
from launcher.wire import END, Frame
from tests.unit.client.stub_daemon import Json, Stream, StubDaemon, head, job_view, out
from tests.unit.web.daemon_replies import (
    COOKIE,
    answer_array,
    answer_login,
    answer_overview,
    detail_of,
    element_view,
)
from tests.unit.web.service import Service, on


class Rendered:
    """Fragments that a test sets; counts how often they were rendered."""

    def __init__(self, **parts: str) -> None:
        self.parts, self.count = parts, 0
        self.error: Exception | None = None

    async def __call__(self) -> dict[str, str]:
        self.count += 1
        if self.error is not None:
            raise self.error
        return dict(self.parts)


def fragments(text: bytes) -> dict[str, str]:
    """Return the fragments of a message."""
    event, _, data = text.decode().partition("\ndata: ")
    assert event == "event: fragments"
    found: dict[str, str] = json.loads(data)
    return found


def test_a_page_gets_all_fragments_and_then_those_that_differ() -> None:
    async def body() -> None:
        made = Rendered(a="1", b="1")
        feed = PageFeed(made)
        await feed.update()
        assert fragments(feed.since(0)) == {"a": "1", "b": "1"}
        version = feed.version
        await feed.update()
        assert (feed.version, feed.since(version)) == (version, b"")
        made.parts["b"] = "2"
        await feed.update()
        assert fragments(feed.since(version)) == {"b": "2"}
        made.parts["a"] = "3"
        await feed.update()
        assert fragments(feed.since(version)) == {"a": "3", "b": "2"}, "a slow page gets both"

    asyncio.run(body())


def test_a_page_whose_fragments_are_others_is_loaded_again() -> None:
    async def body() -> None:
        made = Rendered(a="1")
        feed = PageFeed(made)
        await feed.update()
        version = feed.version
        made.parts = {"a": "1", "gpu-1": "x"}
        await feed.update()
        assert feed.since(version) == RELOAD
        assert fragments(feed.since(0)) == {"a": "1", "gpu-1": "x"}

    asyncio.run(body())


def test_all_who_look_at_once_share_one_rendering() -> None:
    async def body() -> None:
        feeds, made = LiveFeeds(AsyncClient("/nowhere")), Rendered(a="1")
        found = await asyncio.gather(*(feeds.page("key", made) for _ in range(50)))
        assert (len(found), made.count) == (50, 1)
        await feeds.page("key", made)
        assert made.count == 1, "it is fresh"

    asyncio.run(body())


def test_feeds_that_nobody_looks_at_are_dropped() -> None:
    async def body() -> None:
        feeds = LiveFeeds(AsyncClient("/nowhere"))
        for number in range(2 * bounds.MOST_FEEDS):
            await feeds.page(number, Rendered(a="1"))
        assert len(feeds._feeds) <= bounds.MOST_FEEDS

    asyncio.run(body())


def test_open_pages_have_a_limit_by_address_and_in_all() -> None:
    feeds = LiveFeeds(AsyncClient("/nowhere"))
    with contextlib.ExitStack() as opened:
        for _ in range(bounds.MOST_PAGES_PER_ADDRESS):
            opened.enter_context(feeds.opened("192.0.2.1"))
        with pytest.raises(TooMany):
            opened.enter_context(feeds.opened("192.0.2.1"))
        for _ in range(bounds.MOST_PAGES_OPEN - bounds.MOST_PAGES_PER_ADDRESS):
            opened.enter_context(feeds.opened(""))
        with pytest.raises(TooMany):
            opened.enter_context(feeds.opened(""))
    assert not feeds._open


def test_a_page_says_that_the_daemon_is_away_and_ends_with_its_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "HEARTBEAT_SECONDS", 0.01)

    async def body() -> None:
        feeds, made = LiveFeeds(AsyncClient("/nowhere")), Rendered(a="1")
        messages = feeds.messages("key", made)
        assert fragments(await anext(messages)) == {"a": "1"}
        assert await anext(messages) == HEARTBEAT
        (feed,) = feeds._feeds.values()
        made.error = DaemonUnreachable()
        await feeds._refresh(feed)
        assert AWAY in (await anext(messages)).decode()
        made.error = NotAllowed()
        await feeds._refresh(feed)
        assert await anext(messages) == RELOAD
        with pytest.raises(StopAsyncIteration):
            await anext(messages)
        assert not feeds._feeds

    asyncio.run(body())


@pytest.fixture
def daemon(daemon: StubDaemon) -> StubDaemon:
    answer_overview(daemon)
    answer_login(daemon)
    return daemon


async def stream(web: Service, path: str, *lines: str) -> asyncio.StreamReader:
    """Open a stream of events as a browser does; return what comes after its head."""
    reader, writer = await web.connect()
    first = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{web.port}", *lines]
    writer.write("\r\n".join([*first, "", ""]).encode())
    async with asyncio.timeout(10):
        text = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert "200 OK" in text
    assert "text/event-stream" in text
    return reader


async def until(reader: asyncio.StreamReader, text: bytes) -> bytes:
    """Read until a text has come."""
    found = b""
    async with asyncio.timeout(20):
        while text not in found:
            piece = await reader.read(65536)
            assert piece, found
            found += piece
    return found


def test_a_change_of_the_queue_reaches_an_open_page(
    daemon: StubDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "UPDATE_SECONDS", 0.05)

    async def body(web: Service) -> None:
        reader = await stream(web, "/live/overview")
        await until(reader, b"Waiting (1)")
        daemon.on("GET", "/v1/queue/head", head(job_view(id=8), job_view(id=9)))
        daemon.on("GET", "/v1/changes/wait", Json({"count": 2}))
        found = await until(reader, b"Waiting (2)")
        assert b'"reservations"' not in found, "only what differs"

    on(daemon, body)


def test_a_change_of_an_array_reaches_its_page_with_the_fragments_that_differ(
    daemon: StubDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "UPDATE_SECONDS", 0.05)

    async def body(web: Service) -> None:
        reader = await stream(web, "/live/arrays/12?part=waiting")
        await until(reader, b"2 waiting")
        queries = {each.query for each in daemon.asked if each.path == "/v1/jobs/12/array"}
        assert queries == {f"part=waiting&most={bounds.MOST_ELEMENTS_SHOWN}"}
        answer_array(daemon, element_view(0), counts={"PENDING": 1, "COMPLETED": 1})
        daemon.on("GET", "/v1/changes/wait", Json({"count": 2}))
        found = await until(reader, b"1 waiting")
        assert b'"array-elements"' not in found, "only what differs"

    answer_array(daemon, element_view(0), counts={"PENDING": 2})
    on(daemon, body)


def test_the_output_of_a_job_comes_as_text(daemon: StubDaemon) -> None:

    lines = [out("\x1b[31mone\n"), out("<b>two\n"), Frame(END, 0, b"")]
    daemon.on("GET", "/v1/jobs/8", Json(detail_of(job_view(id=8))))
    daemon.on("GET", "/v1/jobs/8/logs", Stream(lines))

    async def body(web: Service) -> None:
        reader = await stream(web, "/jobs/8/log/live", COOKIE)
        found = await until(reader, b"event: end")
        assert b'event: text\ndata: "one\\n<b>two\\n"' in found
        assert web.context.log_readers in (0, 1)
        assert (await web.get("/jobs/8/log/live")).status == 303, "not for guests"

    on(daemon, body)
