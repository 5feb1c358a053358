"""What the web service serves, as one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from launcher.errors import LauncherError, NoSuchJob, NotAllowed, TooMany, Unavailable, UserError
from launcher.web import actions, handlers, login, logs
from launcher.web.actions import ForeignForm
from launcher.web.context import VIEWER, WebContext, WebRoute, address_of
from launcher.web.guard import explained
from launcher.web.headers import redirect
from launcher.web.pages.viewer import GUEST, Viewer

ROUTES: tuple[WebRoute, ...] = (
    WebRoute("/", handlers.overview),
    WebRoute("/metrics", handlers.metrics, page=False),
    WebRoute("/healthz", handlers.health, page=False),
    WebRoute("/static/{name}", handlers.static, page=False),
    WebRoute("/usage", handlers.usage_page),
    WebRoute("/jobs/{ref}", handlers.job_page),
    WebRoute("/jobs/{ref}/log", logs.log_page, own=True),
    WebRoute("/jobs/{ref}/log.txt", logs.log_file, own=True, stream=True),
    WebRoute("/jobs/{ref}/log/live", logs.live_log, own=True, stream=True),
    WebRoute("/live/overview", handlers.live_overview, stream=True),
    WebRoute("/live/jobs/{ref}", handlers.live_job, stream=True),
    WebRoute("/live/arrays/{ref}", handlers.live_array, stream=True),
    WebRoute("/login", actions.login_page),
    WebRoute("/login", actions.log_in, method="POST"),
    WebRoute("/logout", actions.log_out, method="POST", own=True),
    WebRoute("/jobs/{ref}/{action}", actions.change_job, method="POST", own=True),
    WebRoute("/slices/{ref}/{action}", actions.drain, method="POST", own=True),
)
OPEN = ("/login",)
"""Pages that everybody sees, also where guests may not read the others."""


def endpoint(
    context: WebContext, route: WebRoute
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return aiohttp's handler of a route."""

    async def serve(request: web.Request) -> web.StreamResponse:
        if not route.page:
            return await route.handler(context, request)
        viewer = GUEST
        try:
            context.rates.request(address_of(request))
            if login.foreign(request):
                raise ForeignForm
            viewer = request[VIEWER] = await context.logins.viewer(request)
            if viewer.user is None and not _is_open(context, route):
                return redirect("/login")
            return await route.handler(context, request)
        except LauncherError as error:
            return _error_page(viewer, request, error)

    return serve


def _is_open(context: WebContext, route: WebRoute) -> bool:
    """Whether guests may request a route."""
    return route.path in OPEN or (context.config.guests and not route.own)


def _error_page(viewer: Viewer, request: web.Request, error: LauncherError) -> web.Response:
    """Return an error as a page; what the daemon told an observer is not for guests."""
    own = isinstance(error, NoSuchJob | ForeignForm | TooMany | UserError)
    if own or (viewer.user is not None and not isinstance(error, Unavailable)):
        status, text = error.http_status, f"{error.message}\n{error.fix or ''}"
        title = "Not allowed" if isinstance(error, NotAllowed) else "That was not possible"
        title = "There is no such job" if isinstance(error, NoSuchJob) else title
        return handlers.message_page(viewer, status, title, text)
    reply = explained(request, error)
    response = handlers.message_page(viewer, reply.status, "Not available", reply.text or "")
    if "Retry-After" in reply.headers:
        response.headers["Retry-After"] = reply.headers["Retry-After"]
    return response
