"""Who looks at a page: the session in the cookie, as the daemon knows it.

The daemon issues sessions and keeps their rights; here is only what a browser sends. The token of
a session's forms is derived from the session, which no page of another site can read.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections import OrderedDict
from urllib.parse import urlsplit

from aiohttp import web

from launcher.client.aio.client import AsyncClient
from launcher.errors import NotAllowed
from launcher.web import bounds
from launcher.web.pages.viewer import GUEST, Viewer

COOKIE, SECURE_COOKIE = "launcher_session", "__Host-launcher_session"
_SESSION = re.compile(r"[A-Za-z0-9_-]{20,100}", re.ASCII)


class Logins:
    """Finds the viewer of a request; what the daemon said is used again for a moment."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._known: OrderedDict[str, tuple[float, Viewer]] = OrderedDict()

    async def viewer(self, request: web.Request) -> Viewer:
        """Return the user who logged in, or a guest; raises as the client does."""
        session = session_of(request)
        if session is None:
            return GUEST
        at, known = self._known.get(session, (float("-inf"), GUEST))
        if time.monotonic() - at < bounds.VIEWER_SECONDS:
            return known
        try:
            caller = await self._client.as_session(session).web_caller()
        except NotAllowed:  # it is over
            self.forget(session)
            return GUEST
        viewer = Viewer(
            caller.user, caller.uid, caller.role == "admin", session, form_token(session)
        )
        self._known[session] = time.monotonic(), viewer
        self._known.move_to_end(session)
        while len(self._known) > bounds.MOST_SESSIONS:
            self._known.popitem(last=False)
        return viewer

    def forget(self, session: str) -> None:
        """Ask the daemon again the next time."""
        self._known.pop(session, None)


def session_of(request: web.Request) -> str | None:
    """Return the session in a request's cookie; None if there is none, or it cannot be one."""
    name = SECURE_COOKIE if is_secure(request) else COOKIE
    session = request.cookies.get(name, "")
    return session if _SESSION.fullmatch(session) else None


def form_token(session: str) -> str:
    """Return the token that a session's forms carry; the session cannot be told from it."""
    return hmac.new(session.encode(), b"launcher form", hashlib.sha256).hexdigest()


def is_secure(request: web.Request) -> bool:
    """Whether the browser connected by https: here a reverse proxy says so.

    A client that says so itself only decides about its own cookie.
    """
    return request.secure or request.headers.get("X-Forwarded-Proto", "") == "https"


def set_cookie(request: web.Request, response: web.Response, session: str) -> None:
    """Give the browser its session: for this host alone, and not for scripts."""
    secure = is_secure(request)
    response.set_cookie(
        SECURE_COOKIE if secure else COOKIE,
        session,
        max_age=bounds.COOKIE_SECONDS,
        path="/",
        secure=secure,
        httponly=True,
        samesite="Strict",
    )


def clear_cookie(request: web.Request, response: web.Response) -> None:
    """Take the session from the browser."""
    secure = is_secure(request)
    name = SECURE_COOKIE if secure else COOKIE
    response.del_cookie(name, path="/", secure=secure, httponly=True, samesite="Strict")


def foreign(request: web.Request) -> bool:
    """Whether a request comes from a page of another origin, as far as the browser says.

    The origin must be the host of the request itself: an address is always a host of this service,
    so that a list of hosts is not enough.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if request.method == "POST" and site not in (None, "same-origin"):
        return True
    origin = request.headers.get("Origin")
    if origin is None:
        return request.method == "POST"
    try:
        return urlsplit(origin).netloc.lower() != request.headers.get("Host", "").lower()
    except ValueError:
        return True
