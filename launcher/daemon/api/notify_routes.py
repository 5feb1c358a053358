"""The routes of notifications: users' targets, and what `launch web` has to send."""

from __future__ import annotations

import asyncio

from launcher import wire
from launcher.core.messages import events as ev
from launcher.core.messages.changes import NotifyFailed
from launcher.core.model.job import Owner
from launcher.daemon.api.event_routes import AFTER, SINCE, TIMEOUT, place_of
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.route import Access, get, post
from launcher.daemon.api.views.event_views import event_view, failure_view
from launcher.daemon.requests import notify
from launcher.daemon.users.identity import Caller
from launcher.errors import UserError
from launcher.store import Reader, notifications

SCANNED = 250
"""Events that are read at once; other requests run in between."""


async def pending(
    context: Context, caller: Caller, *, after: int | None, since: int | None, seconds: float
) -> wire.NotificationPage:
    """Return the first notifications after an event's number; wait for one if there is none.

    Only `launch web` gets them: they have the targets, which may hold secrets.
    """
    position, missed = await place_of(context, after, since)
    if position is None:
        _, last = await context.committer.read(Reader.bounds_of_events)
        return wire.NotificationPage(notifications=[], next=last, missed=False)
    with context.notify_watch.asked():
        found, position = await _next(context, position, seconds)
    return wire.NotificationPage(notifications=found, next=position, missed=missed)


async def _next(
    context: Context, position: int, seconds: float
) -> tuple[list[wire.Notification], int]:
    """Return the first notifications after an event, and the last event that was looked at."""
    loop, counter = asyncio.get_running_loop(), context.subscriptions.counter
    until = loop.time() + seconds
    while True:
        count = await counter.after(None, 0)
        _, last = await context.committer.read(Reader.bounds_of_events)
        while position < last:
            end = min(last, position + SCANNED)
            told = await context.committer.read(notifications.told_between, position, end)
            position = end
            if found := [each for one in told if (each := _notification(one)) is not None]:
                return found, position
        left = until - loop.time()
        if left <= 0:
            return [], position
        await counter.after(count, left)


def _notification(told: notifications.Told) -> wire.Notification | None:
    event = told.event
    targets = notify.wanting(event, told.targets)
    if not targets or event.uid is None:
        return None
    owner = Caller(Owner(event.uid, 0, event.user or ""), admin=False)
    return wire.Notification(
        event=event_view(told.seq, event, owner), uid=event.uid, targets=targets
    )


async def report(
    context: Context, caller: Caller, reported: wire.NotifyReport
) -> wire.NotifyReceipt:
    """Record what `launch web` could not send, for the owners of the jobs."""
    failures = tuple((each.uid, each.job, each.target, each.detail) for each in reported.failures)
    await context.event_loop.request(ev.NotifyReported(failures))
    return wire.NotifyReceipt(recorded=len(failures))


async def show(context: Context, caller: Caller) -> wire.NotifyView:
    """Return the caller's targets, and what could not be sent."""
    targets = await context.committer.read(notifications.targets_of, caller.uid)
    failures = await context.committer.read(notifications.failures_of_user, caller.uid)
    problem = context.notify_watch.problem()
    return _view(targets, failures, problem)


def _view(
    targets: tuple[wire.NotifyTarget, ...], failures: list[NotifyFailed], problem: str | None
) -> wire.NotifyView:
    shown = [failure_view(each) for each in failures]
    return wire.NotifyView(targets=list(targets), failures=shown, problem=problem)


async def set_targets(
    context: Context, caller: Caller, request: wire.NotifyRequest
) -> wire.NotifyView:
    """Set the caller's targets for all jobs without their own ones."""
    notify.check_allowed(context.config.notify, request.targets)
    await context.event_loop.request(ev.NotifyAsked(caller.owner, tuple(request.targets)))
    context.notify_watch.wanted = bool(request.targets) or None
    return await show(context, caller)


async def test(context: Context, caller: Caller) -> wire.NotifyView:
    """Send a notification to the caller's targets, as for an event of a job."""
    view = await show(context, caller)
    if not view.targets:
        raise UserError("you have set no targets", fix="`launch notify set mail` sets one.")
    notify.check_allowed(context.config.notify, view.targets)
    await context.event_loop.request(ev.NotifyTestAsked(caller.owner))
    return view


ROUTES = (
    get(
        "/v1/notifications", pending, wire.NotificationPage, AFTER, SINCE, TIMEOUT,
        access=Access.WEB,
    ),
    post(
        "/v1/notifications/report", report, wire.NotifyReport, wire.NotifyReceipt,
        access=Access.WEB,
    ),
    get("/v1/notify", show, wire.NotifyView, access=Access.USER),
    post("/v1/notify", set_targets, wire.NotifyRequest, wire.NotifyView, access=Access.USER),
    post("/v1/notify/test", test, None, wire.NotifyView, access=Access.USER),
)  # fmt: skip
