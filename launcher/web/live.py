"""Open pages: after a change each gets the fragments that differ, rendered once for all who see it.

One request to the daemon waits for the next change, whoever looks. A feed is one page as one viewer
sees it; guests share theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field

from launcher.client.aio.client import AsyncClient
from launcher.errors import DaemonUnreachable, LauncherError, NotAllowed, TooMany
from launcher.web import bounds

log = logging.getLogger(__name__)

Parts = Mapping[str, str]
Renderer = Callable[[], Awaitable[Parts]]
AWAY = "the launcher daemon does not answer, trying again"
FAILED = "the page is not current: the web service failed, its log has the details"
RELOAD = b"event: reload\ndata: {}\n\n"
HEARTBEAT = b": still here\n\n"


def message(event: str, value: object) -> bytes:
    """Return a server-sent event with JSON, which has no line ends."""
    return f"event: {event}\ndata: {json.dumps(value)}\n\n".encode()


@dataclass(eq=False)
class PageFeed:
    """One page as one viewer sees it: its fragments, each with the version of its last change."""

    render: Renderer
    version: int = 0
    at: float = float("-inf")
    """When it was rendered last, of the monotonic clock."""
    trouble: str | None = None
    parts: dict[str, str] = field(default_factory=dict)
    _versions: dict[str, int] = field(default_factory=dict)
    wakes: set[asyncio.Event] = field(default_factory=set)
    over: bool = False
    """Whether its viewer may see it no more."""
    _shape: int = 0
    _cut: tuple[int, int, bytes] | None = None
    _rendering: asyncio.Task[None] | None = None

    async def update(self) -> None:
        """Render it again, once for all who wait for that; raises as the renderer does."""
        if self._rendering is None or self._rendering.done():
            self._rendering = asyncio.create_task(self._update())
            self._rendering.add_done_callback(_retrieve)
        await asyncio.shield(self._rendering)  # a client that leaves ends it for nobody else

    async def _update(self) -> None:
        parts = await self.render()
        self.at, before = time.monotonic(), self.version
        if self.parts and parts.keys() != self.parts.keys():
            self._shape = before + 1
        for name, html in parts.items():
            if self.parts.get(name) != html:
                self.version, self._versions[name] = before + 1, before + 1
        self.parts = dict(parts)  # as they are: they are marked as HTML
        self._versions = {name: self._versions[name] for name in parts}
        self.version = max(self.version, self._shape)

    def since(self, version: int) -> bytes:
        """Return the message with what changed after a version; empty if nothing did."""
        if 0 < version < self._shape:
            return RELOAD
        if self._cut is None or self._cut[:2] != (version, self.version):
            changed = {n: html for n, html in self.parts.items() if self._versions[n] > version}
            text = message("fragments", changed) if changed else b""
            self._cut = version, self.version, text
        return self._cut[2]

    def wake(self) -> None:
        """Let every open page look."""
        for event in self.wakes:
            event.set()


def _retrieve(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # all who waited may have left


class LiveFeeds:
    """All feeds and open pages. ``run`` keeps them current."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._feeds: OrderedDict[Hashable, PageFeed] = OrderedDict()
        self._open: Counter[str] = Counter()
        self._watched, self._poked = asyncio.Event(), asyncio.Event()

    async def page(self, key: Hashable, render: Renderer) -> Parts:
        """Return a page's fragments, not older than the time between two updates.

        ``render`` makes them; what the feed of the same key has is used first. Raises as it does.
        """
        feed = self._feed(key, render)
        if time.monotonic() - feed.at >= bounds.UPDATE_SECONDS:
            await feed.update()
        return feed.parts

    def _feed(self, key: Hashable, render: Renderer) -> PageFeed:
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = PageFeed(render)
            for old in [k for k, f in self._feeds.items() if not f.wakes and f is not feed]:
                if len(self._feeds) <= bounds.MOST_FEEDS:
                    break
                del self._feeds[old]
        self._feeds.move_to_end(key)
        return feed

    @contextlib.contextmanager
    def opened(self, address: str) -> Iterator[None]:
        """Count an open page of an address ('' for loopback); raises ``TooMany``."""
        most = bounds.MOST_PAGES_PER_ADDRESS if address else bounds.MOST_PAGES_OPEN
        if self._open.total() >= bounds.MOST_PAGES_OPEN or self._open[address] >= most:
            raise TooMany("too many pages are open: close some, or reload this one by hand")
        self._open[address] += 1
        try:
            yield
        finally:
            self._open[address] -= 1
            if self._open[address] <= 0:
                del self._open[address]

    async def messages(self, key: Hashable, render: Renderer) -> AsyncGenerator[bytes, None]:
        """Yield what an open page is to be sent, from all fragments to the next changes.

        Raises ``TooMany`` if too many different pages are open.
        """
        feed = self._feed(key, render)
        if sum(bool(each.wakes) for each in self._feeds.values()) >= bounds.MOST_FEEDS:
            raise TooMany("too many different pages are open: reload this one by hand")
        wake, version, trouble = asyncio.Event(), 0, None
        feed.wakes.add(wake)
        self._watched.set()
        try:
            await self._refresh(feed)
            while not feed.over:
                if feed.trouble != trouble:
                    trouble = feed.trouble
                    yield message("trouble", trouble or "live")
                if feed.version > version:
                    text, version = feed.since(version), feed.version
                    if text:
                        yield text
                try:
                    async with asyncio.timeout(bounds.HEARTBEAT_SECONDS):
                        await wake.wait()
                except TimeoutError:
                    yield HEARTBEAT
                wake.clear()
            yield RELOAD
        finally:
            feed.wakes.discard(wake)

    def poke(self) -> None:
        """Render the open pages again soon: something that only this service knows has changed."""
        self._poked.set()

    async def run(self) -> None:
        """Render the open pages again after each change, until cancelled."""
        count: int | None = None
        waiting: asyncio.Task[int] | None = None
        try:
            while True:
                await self._until_watched()
                started = time.monotonic()
                if waiting is None:
                    request = self._client.changed(count, bounds.CHANGES_SECONDS)
                    waiting = asyncio.create_task(request)
                await self._first_of(waiting)
                if waiting.done():
                    count = self._count_of(waiting)
                    waiting = None
                if waiting is None and count is None:
                    await asyncio.sleep(bounds.RETRY_CHANGES_SECONDS)
                    continue
                for feed in [each for each in self._feeds.values() if each.wakes]:
                    await self._refresh(feed)
                await asyncio.sleep(max(0.0, started + bounds.UPDATE_SECONDS - time.monotonic()))
        finally:
            if waiting is not None:
                waiting.cancel()

    async def _until_watched(self) -> None:
        if not any(feed.wakes for feed in self._feeds.values()):
            self._watched.clear()
            await self._watched.wait()

    async def _first_of(self, waiting: asyncio.Task[int]) -> None:
        """Wait for a change at the daemon, or a poke."""
        poked = asyncio.create_task(self._poked.wait())
        try:
            await asyncio.wait((waiting, poked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            poked.cancel()
        self._poked.clear()

    def _count_of(self, waiting: asyncio.Task[int]) -> int | None:
        """Return the daemon's count of changes; None, and pages say so, if it is away."""
        try:
            return waiting.result()
        except LauncherError as error:
            log.info("live pages: %s", error.message)
            self._tell(AWAY)
            return None

    def _tell(self, trouble: str) -> None:
        for feed in self._feeds.values():
            feed.trouble = trouble
            feed.wake()

    async def _refresh(self, feed: PageFeed) -> None:
        try:
            await feed.update()
            feed.trouble = None
        except NotAllowed:
            feed.over = True
            self._forget(feed)
        except DaemonUnreachable:
            feed.trouble = AWAY
        except LauncherError as error:
            log.info("a live page: %s", error.message)
            feed.trouble = "the page is not current: the launcher daemon refused to show it"
        except Exception:
            log.exception("a live page failed")
            feed.trouble = FAILED
        feed.wake()

    def _forget(self, feed: PageFeed) -> None:
        for key in [key for key, each in self._feeds.items() if each is feed]:
            del self._feeds[key]
