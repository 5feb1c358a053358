"""Which requests are served: the Host allow-list, the methods, and errors as sentences."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from aiohttp.typedefs import Middleware

from launcher.errors import DaemonUnreachable, LauncherError, RecoveryMode
from launcher.web.connections import WebConnections
from launcher.web.headers import text_reply

log = logging.getLogger(__name__)

READING = ("GET", "HEAD")
METHODS = (*READING, "POST")
RETRY_SECONDS = 5
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::\d{1,5})?", re.ASCII)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AllowedHosts:
    """The names under which browsers may use the service.

    A page of another site whose name was pointed to this machine (DNS rebinding) sends that name,
    and is refused. Addresses are always allowed: no site can have one as its name.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {"localhost", *(name.lower().rstrip(".") for name in names)}

    def allow(self, host: str) -> bool:
        """Whether a Host header names this service.

        >>> hosts = AllowedHosts(["gpu.example.org"])
        >>> [hosts.allow(host) for host in ("GPU.example.org.:8080", "[::1]:80", "evil.example")]
        [True, True, False]
        """
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].lower().rstrip(".")
        return name in self._names or _is_address(name.strip("[]"))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def guarded(hosts: AllowedHosts, connections: WebConnections) -> Middleware:
    """Return the middleware that every request passes."""

    @web.middleware
    async def serve(request: web.Request, handler: Handler) -> web.StreamResponse:
        with connections.serving(request):
            response = refused(request, hosts) or await _answered(request, handler)
            if not request.content.is_eof():
                response.force_close()  # do not wait for the rest of a body
            return response

    return serve


def refused(request: web.Request, hosts: AllowedHosts) -> web.Response | None:
    """Return the reply to a request that is not served, None for any other."""
    named = request.headers.getall("Host", [])
    if len(named) != 1 or not hosts.allow(named[0]):
        return text_reply(
            421,
            "The request names a host that this service does not have. Its admin can add the name "
            "to allowed_hosts in [web] of launcher.toml.",
        )
    if request.method not in METHODS:
        return _not_allowed(READING)
    return None


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as plain:
        return _not_allowed(sorted(plain.allowed_methods))
    except web.HTTPException as plain:
        return text_reply(plain.status, f"{plain.status}: {plain.reason}.")
    except LauncherError as error:
        return explained(request, error)
    except ConnectionError:
        raise
    except Exception:
        log.exception("%s failed", request.path)
        return text_reply(500, "The web service failed; its log has the details.")


def explained(request: web.Request, error: LauncherError) -> web.Response:
    """Return the reply for an error of the daemon, without its words."""
    if isinstance(error, DaemonUnreachable | RecoveryMode):
        log.info("%s: %s", request.path, error.message)
        text = "The launcher daemon does not answer now; the page works again once it does."
        if isinstance(error, RecoveryMode):
            text = "The launcher daemon is in recovery mode: its admin must repair the database."
        response = text_reply(503, text)
        response.headers["Retry-After"] = str(RETRY_SECONDS)
        return response
    log.warning("%s: the daemon refused: %s", request.path, error.message)
    return text_reply(502, "The launcher daemon refused the request; the log says why.")


def _not_allowed(methods: Iterable[str]) -> web.Response:
    response = text_reply(405, "This address is not served by that method.")
    response.headers["Allow"] = ", ".join(methods)
    return response
