"""The output of a job: live, as a page with a search, and to download. Always as text."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

from aiohttp import web

from launcher import wire
from launcher.client.aio.client import AsyncClient
from launcher.errors import TooMany, UserError
from launcher.text.escape_filter import EscapeFilter
from launcher.web import bounds
from launcher.web.context import VIEWER, WebContext
from launcher.web.handlers import page, send_events
from launcher.web.live import HEARTBEAT, message

FLUSH_SECONDS = 0.25
"""Output of this time is sent together."""


class EndOfLog(Exception):
    """The log has no more frames; a future cannot hold ``StopAsyncIteration``."""


class OutputText:
    """The text of a job's frames: control sequences and colours are dropped."""

    def __init__(self) -> None:
        self._filters = {
            stream: EscapeFilter(colours=False) for stream in (wire.STDOUT, wire.STDERR)
        }

    def of(self, frame: wire.Frame) -> str:
        """Return the text of the next frame; a note of the launcher is a line of its own."""
        if frame.stream == wire.NOTE:
            return f"[launcher: {EscapeFilter(colours=False).clean(frame.data).decode()}]\n"
        clean = self._filters.get(frame.stream)
        return "" if clean is None else clean.clean(frame.data).decode().replace("\r\n", "\n")


@contextlib.contextmanager
def _reading(context: WebContext) -> Iterator[None]:
    """Count a reader of a log; raises ``TooMany``."""
    if context.log_readers >= bounds.MOST_LOG_READERS:
        raise TooMany("too many logs are being read: try again in a moment")
    context.log_readers += 1
    try:
        yield
    finally:
        context.log_readers -= 1


async def live_log(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Send the last lines of a job's output, and what follows."""
    client = context.client_of(request[VIEWER])
    ref = request.match_info["ref"]
    await client.show(ref)  # what may not be seen is refused before a stream is started
    with _reading(context):
        messages = live_text(client, ref)
        async with contextlib.aclosing(messages):
            return await send_events(context, request, messages)


async def live_text(client: AsyncClient, ref: str) -> AsyncGenerator[bytes, None]:
    """Yield the output as events: pieces of text, gathered a moment, then the end."""
    shown, text = OutputText(), ""
    loop = asyncio.get_running_loop()
    frames = client.logs(ref, follow=True, tail=bounds.LOG_LINES)
    flush_at = loop.time() + bounds.HEARTBEAT_SECONDS
    following: asyncio.Future[wire.Frame] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(_next(frames))
            await asyncio.wait({following}, timeout=max(0.0, flush_at - loop.time()))
            if following.done():
                try:
                    piece = shown.of(following.result())
                except EndOfLog:
                    break
                following = None
                flush_at = flush_at if text else loop.time() + FLUSH_SECONDS
                text += piece
            if len(text) >= bounds.LOG_PIECE_CHARACTERS or loop.time() >= flush_at:
                yield message("text", text) if text else HEARTBEAT
                text, flush_at = "", loop.time() + bounds.HEARTBEAT_SECONDS
        if text:
            yield message("text", text)
        yield message("end", "")
    finally:
        if following is not None:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await following


async def _next(frames: AsyncIterator[wire.Frame]) -> wire.Frame:
    try:
        return await anext(frames)
    except StopAsyncIteration:
        raise EndOfLog from None


async def log_page(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Return the last lines of a job's output, or those that contain a text."""
    viewer, ref = request[VIEWER], request.match_info["ref"]
    query = request.query.get("q", "")[: bounds.MOST_SEARCH_TEXT]
    client = context.client_of(viewer)
    with _reading(context):
        try:
            async with asyncio.timeout(bounds.LOG_SECONDS):
                text, found = await (search(client, ref, query) if query else tail(client, ref))
        except TimeoutError:
            raise UserError(
                f"the output could not be read within {bounds.LOG_SECONDS:g} s",
                fix="Download it, or use `launch logs`.",
            ) from None
    path = f"/jobs/{request.rel_url.raw_parts[2]}"
    title = f"Output of job {ref[:100]}"
    values: dict[str, Any] = {"text": text, "found": found, "most": bounds.MOST_LOG_TEXT}
    return page("log.html", viewer, title, path=path, ref=ref, query=query, **values)


async def tail(client: AsyncClient, ref: str) -> tuple[str, str]:
    """Return the last lines, and a sentence about them."""
    shown, pieces = OutputText(), []
    async for frame in client.logs(ref, tail=bounds.LOG_LINES):
        pieces.append(shown.of(frame))
    text = "".join(pieces)[-bounds.MOST_LOG_TEXT :]
    return text, f"The last {text.count(chr(10))} lines." if text else "There is no output yet."


class FoundLines:
    """The last lines that contain a text, in any case: as many as a page can have."""

    def __init__(self, query: str) -> None:
        self.matches = 0
        self._query, self._wanted = query, query.casefold()
        self._lines: deque[str] = deque()
        self._characters = 0

    def look_at(self, number: int, line: str) -> None:
        """Keep a line if it contains the text."""
        if self._wanted not in line.casefold():
            return
        self.matches += 1
        self._lines.append(f"{number}: {line}"[: bounds.MOST_LOG_TEXT - 1])
        self._characters += len(self._lines[-1]) + 1
        while len(self._lines) > bounds.MOST_LOG_MATCHES or self._characters > bounds.MOST_LOG_TEXT:
            self._characters -= len(self._lines.popleft()) + 1

    def text(self) -> str:
        """Return the lines that are kept."""
        return "\n".join(self._lines)

    def __str__(self) -> str:
        said = f"{self.matches} lines have {self._query!r}"
        kept = len(self._lines)
        return said + (f", the last {kept} are shown" if self.matches > kept else "")


async def search(client: AsyncClient, ref: str, query: str) -> tuple[str, str]:
    """Return the last lines that contain a text, in any case, and a sentence about them."""
    shown, rest, number, size = OutputText(), "", 0, 0
    found = FoundLines(query)
    async for frame in client.logs(ref):
        size += len(frame.data)
        *lines, rest = (rest + shown.of(frame)).split("\n")
        rest = rest[-bounds.LOG_PIECE_CHARACTERS :]
        for line in lines:
            number += 1
            found.look_at(number, line)
        if size > bounds.MOST_LOG_SEARCHED:
            break
    if rest:
        found.look_at(number + 1, rest)
    left = "; the rest of the output was not searched" if size > bounds.MOST_LOG_SEARCHED else ""
    return found.text(), f"{found}{left}."


async def log_file(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Send the whole output of a job as a file, as the job wrote it."""
    client, ref = context.client_of(request[VIEWER]), request.match_info["ref"]
    job = (await client.show(ref)).job
    response = web.StreamResponse()
    response.content_type, response.charset = "text/plain", "utf-8"
    response.headers["Content-Disposition"] = f'attachment; filename="job-{job.id}.txt"'
    with _reading(context):
        frames = client.logs(ref)
        first = await anext(frames, None)  # a refusal is not yet the middle of a file
        context.connections.expect(request, bounds.STALLED_SECONDS)
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            if first is not None:
                await response.write(first.data)
            async for frame in frames:
                if frame.stream in (wire.STDOUT, wire.STDERR):
                    await response.write(frame.data)
                    context.connections.expect(request, bounds.STALLED_SECONDS)
            await response.write_eof()
    return response
