"""The routes for logging in to pages, and the table of what a session may request.

``launch web`` sends the session of a user beside its own credentials; the request then has the
user's rights, and is theirs in the audit log, "via web". What is not in the table needs the
command.
"""

from __future__ import annotations

from launcher import wire
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.route import Access, Route, get, post
from launcher.daemon.loop.audit_log import about
from launcher.daemon.users.identity import Caller
from launcher.daemon.users.web_sessions import TOKEN_SECONDS
from launcher.errors import NotAllowed

WITH_SESSION = frozenset(
    {
        "GET /v1/status",
        "GET /v1/slices",
        "GET /v1/layout",
        "GET /v1/queue/head",
        "GET /v1/reservations",
        "GET /v1/usage",
        "GET /v1/jobs",
        "GET /v1/jobs/{ref}",
        "GET /v1/jobs/{ref}/array",
        "GET /v1/jobs/{ref}/why",
        "GET /v1/jobs/{ref}/logs",
        "POST /v1/jobs/{ref}/cancel",
        "POST /v1/jobs/{ref}/hold",
        "POST /v1/jobs/{ref}/release",
        "POST /v1/jobs/{ref}/requeue",
        "POST /v1/jobs/{ref}/edit",
        "POST /v1/jobs/retry",
        "POST /v1/slices/{ref}/drain",
        "GET /v1/web/session",
        "POST /v1/web/logout",
    }
)
"""Every request that a page makes for its user. None of them starts a new command."""


async def new_token(context: Context, caller: Caller) -> wire.WebToken:
    """Return a token that logs the caller in to the pages, once."""
    token = context.accounts.web_sessions.token(caller.uid)
    listen = context.config.web.listen
    return wire.WebToken(token=token, seconds=round(TOKEN_SECONDS), listen=listen)


async def log_in(context: Context, caller: Caller, request: wire.WebLogin) -> wire.WebSession:
    """Exchange a token for a session; raises ``NotAllowed``."""
    session, uid = context.accounts.web_sessions.log_in(request.token)
    user = await context.accounts.caller(uid)
    about(detail=f"logs in {user.owner.name}")
    return wire.WebSession(session=session, user=user.owner.name)


async def who(context: Context, caller: Caller) -> wire.WebCaller:
    """Return the user of the session."""
    return wire.WebCaller(user=caller.owner.name, uid=caller.uid, role=caller.base_role)


async def log_out(context: Context, caller: Caller) -> wire.WebCaller:
    """End the session."""
    if caller.web_session is None:
        raise NotAllowed("there is no session: it is of the pages of `launch web`")
    context.accounts.web_sessions.log_out(caller.web_session)
    return await who(context, caller)


ROUTES: tuple[Route, ...] = (
    post("/v1/web/token", new_token, None, wire.WebToken, access=Access.USER),
    post("/v1/web/session", log_in, wire.WebLogin, wire.WebSession, access=Access.WEB),
    get("/v1/web/session", who, wire.WebCaller, access=Access.USER),
    post("/v1/web/logout", log_out, None, wire.WebCaller, access=Access.USER),
)
