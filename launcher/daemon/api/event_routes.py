"""The route for the events that users and programs follow."""

from __future__ import annotations

import asyncio

from launcher import wire
from launcher.core.messages.published import PublishedEvent
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.query_params import (
    LONGEST_WAIT_SECONDS,
    Parameter,
    moment,
    number,
    page_size,
    wait_timeout,
)
from launcher.daemon.api.route import get
from launcher.daemon.api.views.event_views import event_view
from launcher.daemon.users.identity import Caller
from launcher.store import Reader

Stored = list[tuple[int, PublishedEvent]]


async def page(
    context: Context,
    caller: Caller,
    *,
    after: int | None,
    since: int | None,
    most: int,
    seconds: float,
) -> wire.EventPage:
    """Return the first events after a number, or since a time; wait for one if there is none.

    Without either the page is empty, and ``next`` is the number to go on after.
    """
    position, missed = await place_of(context, after, since)
    if position is None:
        _, last = await context.committer.read(Reader.bounds_of_events)
        return wire.EventPage(events=[], next=last, missed=False)
    stored = await _next(context, position, most, seconds)
    events = [event_view(seq, event, caller) for seq, event in stored]
    return wire.EventPage(events=events, next=stored[-1][0] if stored else position, missed=missed)


async def place_of(
    context: Context, after: int | None, since: int | None
) -> tuple[int | None, bool]:
    """Return the number of the event to go on after, and whether some before it are not stored.

    None if neither a number nor a time is given.
    """
    read = context.committer.read
    first, last = await read(Reader.bounds_of_events)
    if after is None and since is not None:
        found = await read(Reader.first_event_since, float(since))
        after = last if found is None else found - 1
    if after is None:
        return None, False
    return min(after, last), after > last or (after + 1 < first and last > 0)


async def _next(context: Context, after: int, most: int, seconds: float) -> Stored:
    """Return the first events after a number, at the latest after so many seconds."""
    loop, counter = asyncio.get_running_loop(), context.subscriptions.counter
    until = loop.time() + seconds
    while True:
        count = await counter.after(None, 0)
        stored = await context.committer.read(Reader.events_after, after, most)
        left = until - loop.time()
        if stored or left <= 0:
            return stored
        await counter.after(count, left)


SINCE = moment("since", "Instead of after: from this time on (seconds since 1970).")
AFTER = number("after", "Only those with a higher number: next of the page before.")
PAGE = page_size(1000, 1000)
TIMEOUT = Parameter(
    "timeout",
    f"Longest wait for an event in seconds, at most {LONGEST_WAIT_SECONDS:g}; without it none.",
    {"type": "number", "minimum": 0},
    lambda query, name: wait_timeout(query, name) if name in query else 0.0,
    "seconds",
)

ROUTES = (get("/v1/events", page, wire.EventPage, AFTER, SINCE, PAGE, TIMEOUT),)
