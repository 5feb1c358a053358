"""The pages as requests: which data each needs, and its live fragments."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Hashable
from typing import Any

from aiohttp import web

from launcher import wire
from launcher.errors import SeveralJobs
from launcher.web import bounds
from launcher.web.context import VIEWER, WebContext, address_of
from launcher.web.headers import page_reply, text_reply
from launcher.web.live import Parts, Renderer
from launcher.web.pages import array, job, static_files, usage
from launcher.web.pages.overview import read_state
from launcher.web.pages.templates import render
from launcher.web.pages.viewer import Viewer

Feed = tuple[Hashable, Renderer]


def page(
    name: str, viewer: Viewer, title: str, *, here: str = "", live: str | None = None, **values: Any
) -> web.Response:
    """Return a page from its template."""
    return page_reply(
        render(name, viewer=viewer, title=title, here=here, live=live, **values),
        values.get("status", 200),
    )


def message_page(viewer: Viewer, status: int, title: str, text: str) -> web.Response:
    """Return a page that says one thing, such as an error."""
    return page("message.html", viewer, title, status=status, text=text)


async def metrics(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Return the metrics for Prometheus, also while the daemon is away."""
    from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

    body = await context.metrics.text()
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


async def health(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Say that the web service itself works, whatever the daemon does."""
    return text_reply(200, "ok")


async def static(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Return the style sheet, the script or the icon."""
    return static_files.reply(request.match_info["name"])


def overview_feed(context: WebContext, viewer: Viewer) -> Feed:
    """Return the key and the renderer of the overview's fragments."""

    async def parts() -> Parts:
        state = await read_state(context.client_of(viewer))
        starts = context.estimates.starts(state.snapshot.head)
        return context.overview.parts(state, viewer, starts)

    return (viewer.session, "overview"), parts


def job_feed(context: WebContext, viewer: Viewer, ref: str) -> Feed:
    """Return the key and the renderer of the fragments of a job's page."""

    async def parts() -> Parts:
        detail = await context.client_of(viewer).show(ref)
        waits = detail.job.state == "PENDING"
        start = context.estimates.start(detail.job.id) if waits else None
        return job.parts(detail, viewer, start)

    return (viewer.session, "job", ref), parts


def array_feed(context: WebContext, viewer: Viewer, ref: str, which: array.Chosen) -> Feed:
    """Return the key and the renderer of the fragments of an array's page."""

    async def parts() -> Parts:
        return array.parts(await _array(context, viewer, ref, which), viewer, which)

    return (viewer.session, "array", ref, which), parts


async def _array(
    context: WebContext, viewer: Viewer, ref: str, which: array.Chosen
) -> wire.ArrayPage:
    client, most = context.client_of(viewer), bounds.MOST_ELEMENTS_SHOWN
    return await client.array(ref, which.part, after=which.after, most=most)


async def overview(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Return the overview."""
    viewer = request[VIEWER]
    parts = await context.live.page(*overview_feed(context, viewer))
    return page("overview.html", viewer, "Overview", here="/", live="/live/overview", parts=parts)


async def job_page(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Return the page of a job, or of an array."""
    viewer, ref = request[VIEWER], request.match_info["ref"]
    try:
        detail = await context.client_of(viewer).show(ref)
    except SeveralJobs:
        return await _array_page(context, request, viewer, ref)
    found = str(detail.job.id)  # a name may mean another job a moment later
    parts = await context.live.page(*job_feed(context, viewer, found))
    path = f"/jobs/{found}"
    return page(
        "job.html",
        viewer,
        job.title(detail),
        live=f"/live{path}",
        parts=parts,
        path=path,
        spec=None if detail.spec is None else job.spec_text(detail.spec),
        job=detail.job,
    )


async def _array_page(
    context: WebContext, request: web.Request, viewer: Viewer, ref: str
) -> web.StreamResponse:
    which = _chosen(request)
    parts = await context.live.page(*array_feed(context, viewer, ref, which))
    page_ = await _array(context, viewer, ref, which)
    live = f"/live/arrays/{page_.array.id}{which.query}"
    return page("array.html", viewer, array.title(page_), live=live, parts=parts)


def _chosen(request: web.Request) -> array.Chosen:
    return array.chosen(request.query.get("part"), request.query.get("after"))


async def usage_page(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Return what users' jobs used."""
    viewer = request[VIEWER]
    by, days = usage.chosen(request.query.get("by"), request.query.get("days"))
    report = await context.client_of(viewer).usage(since=usage.since(days), by=by)
    values = usage.values(report)
    return page("usage.html", viewer, "Usage", here="/usage", by=by, days=days, **values)


async def live_overview(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Send the overview's fragments as they change."""
    return await _send(context, request, overview_feed(context, request[VIEWER]))


async def live_job(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Send the fragments of a job's page as they change."""
    feed = job_feed(context, request[VIEWER], request.match_info["ref"])
    return await _send(context, request, feed)


async def live_array(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Send the fragments of an array's page as they change."""
    ref, which = request.match_info["ref"], _chosen(request)
    return await _send(context, request, array_feed(context, request[VIEWER], ref, which))


async def _send(context: WebContext, request: web.Request, feed: Feed) -> web.StreamResponse:
    with context.live.opened(address_of(request)):
        messages = context.live.messages(*feed)
        async with contextlib.aclosing(messages):
            return await send_events(context, request, messages)


async def send_events(
    context: WebContext, request: web.Request, messages: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Send server-sent events; a browser that takes nothing for a while is disconnected."""
    first = await anext(messages, b"")  # an error is not yet the middle of a stream
    response = web.StreamResponse()
    response.content_type = "text/event-stream"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would keep them back
    context.connections.expect(request, bounds.STALLED_SECONDS)
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):  # the page may be closed at any time
        await response.write(first)
        async for text in messages:
            if request.transport is None:
                break
            await response.write(text)
            context.connections.expect(request, bounds.STALLED_SECONDS)
    return response
