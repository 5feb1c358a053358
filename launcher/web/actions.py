"""What users do on pages: log in and out, and change jobs and slices. Every form is checked.

A form is accepted from a page of this service alone: the browser says from where it comes
(``login.foreign``), and it carries the token of its session. The daemon checks the user's rights,
and records the request as theirs.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl

from aiohttp import web

from launcher import wire
from launcher.client.aio.client import AsyncClient
from launcher.errors import LauncherError, NotAllowed, TooMany, UserError
from launcher.jobfile.values.units import parse_duration
from launcher.web import bounds, login
from launcher.web.context import VIEWER, WebContext
from launcher.web.handlers import page
from launcher.web.headers import redirect
from launcher.web.pages.job import NO_LIMIT
from launcher.web.pages.viewer import Viewer

DRAINED = "drained on the web page"
Form = Mapping[str, str]


async def login_page(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Return the form for the token of ``launch dashboard``."""
    return _login_page(request[VIEWER], "")


def _login_page(viewer: Viewer, text: str, status: int = 200) -> web.Response:
    return page("login.html", viewer, "Log in", here="/login", text=text, status=status)


async def log_in(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Exchange a token for a session, which the browser gets as a cookie."""
    form = await _form(request)
    token = form.get("token", "")
    if not 0 < len(token.strip()) <= wire.MOST_WEB_TOKEN:
        return _login_page(request[VIEWER], "This is not a token of `launch dashboard`.", 400)
    try:
        made = await context.client.web_session(token.strip().lstrip("#"))
    except (NotAllowed, TooMany, UserError) as refused:
        status = refused.http_status
        return _login_page(request[VIEWER], f"{refused.message}. {refused.fix or ''}", status)
    response = redirect("/")
    login.set_cookie(request, response, made.session)
    return response


async def log_out(context: WebContext, request: web.Request) -> web.StreamResponse:
    """End the session."""
    viewer = request[VIEWER]
    await _checked(request, viewer)
    if viewer.session is not None:
        await context.client_of(viewer).web_logout()
        context.logins.forget(viewer.session)
    response = redirect("/")
    login.clear_cookie(request, response)
    return response


async def change_job(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Take one of ``JOB_ACTIONS`` on a job or an array."""
    viewer = request[VIEWER]
    form = await _checked(request, viewer)
    act = JOB_ACTIONS.get(request.match_info["action"])
    if act is None:
        raise web.HTTPNotFound
    await act(context.client_of(viewer), request.match_info["ref"], form)
    return redirect(f"/jobs/{request.rel_url.raw_parts[2]}")


async def _cancel(client: AsyncClient, ref: str, form: Form) -> None:
    await client.cancel(ref)


async def _hold(client: AsyncClient, ref: str, form: Form) -> None:
    await client.hold(ref)


async def _release(client: AsyncClient, ref: str, form: Form) -> None:
    await client.release(ref)


async def _requeue(client: AsyncClient, ref: str, form: Form) -> None:
    await client.requeue(ref)


async def _retry(client: AsyncClient, ref: str, form: Form) -> None:
    await client.retry([ref])


async def _retry_failed(client: AsyncClient, ref: str, form: Form) -> None:
    await client.retry([ref], failed=True)


async def _change_limit(client: AsyncClient, ref: str, form: Form) -> None:
    try:
        limit = limit_of(form.get("limit", ""))
    except ValueError as error:
        raise UserError(f"time limit: {error}") from None
    await client.edit(ref, wire.EditRequest(time_limit=limit))


def limit_of(text: str) -> float:
    """Return a time limit in seconds, 0 for none; raises ``ValueError`` with what to write.

    >>> limit_of("1h30m"), limit_of("None ")
    (5400.0, 0.0)
    """
    if text.strip().lower() == NO_LIMIT:
        return 0.0
    seconds = parse_duration(text)
    if seconds <= 0:
        raise ValueError(f"it must be longer than 0s; write {NO_LIMIT} for a job without a limit")
    return seconds


JOB_ACTIONS: Mapping[str, Callable[[AsyncClient, str, Form], Awaitable[None]]] = {
    "cancel": _cancel,
    "hold": _hold,
    "release": _release,
    "requeue": _requeue,
    "retry": _retry,
    "retry-failed": _retry_failed,
    "time-limit": _change_limit,
}
"""What a form may do to a job or an array, by the last part of its address."""


async def drain(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Let a slice or GPU take no new jobs, or let it take jobs again."""
    viewer = request[VIEWER]
    await _checked(request, viewer)
    action = request.match_info["action"]
    if action not in ("drain", "undrain"):
        raise web.HTTPNotFound
    reason = DRAINED if action == "drain" else None
    await context.client_of(viewer).layout.drain(request.match_info["ref"], reason)
    return redirect("/")


async def _form(request: web.Request) -> Form:
    """Return the fields of a form; raises ``UserError`` for another body, or a foreign page."""
    if login.foreign(request):
        raise ForeignForm
    if request.content_type != "application/x-www-form-urlencoded":
        raise UserError("this address takes the forms of this service only")
    try:
        # Not by request.post(): there the request chooses a codec, also unknown and slow ones.
        text = (await request.read()).decode()
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=bounds.MOST_FORM_FIELDS)
    except ValueError:
        raise UserError("this is not a form of this service") from None
    return dict(reversed(pairs))


async def _checked(request: web.Request, viewer: Viewer) -> Form:
    """Return the form of a request; raises ``ForeignForm``, or ``UserError``."""
    form = await _form(request)
    token = form.get("form", "")
    if not viewer.form or not hmac.compare_digest(token.encode(), viewer.form.encode()):
        raise ForeignForm
    return form


class ForeignForm(LauncherError):
    """The form is not from a page of this session: load the page again."""

    kind = "foreign-form"
    http_status = 403
