"""One route of the API, and its callers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from aiohttp import web

from launcher import wire
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.query_params import IN_PATHS, Parameter
from launcher.daemon.requests import convert
from launcher.daemon.users.identity import Caller

NOTICE = "Launcher-Notice"
"""A header, and the request key of its text, which a handler may set for the caller."""


class Access(Enum):
    """The permitted callers of a route."""

    #: Every known user; the handler omits what the caller may not see. Observers may only GET.
    ANYONE = "anyone"
    #: Every known user but observers: it concerns what the caller has.
    USER = "user"
    #: The owner of the named job, and admins.
    OWNER = "owner"
    ADMIN = "admin"
    #: The user of `launch web`, and the daemon's own.
    WEB = "web"


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the API. ``reply`` None means a stream of frames.

    The handler gets the context, the caller, the names in the path, the parsed body (a value of
    type ``body_type``) and the parameters of the query by keyword; of a ``raw`` route it gets the
    request instead. ``costly`` requests of one ordinary user come one after the other; ``large``
    ones may have the longest bodies.
    """

    method: str
    path: str
    handler: Callable[..., Awaitable[Any]]
    body_type: Any
    reply: Any
    query: tuple[Parameter, ...] = ()
    access: Access = Access.ANYONE
    status: int = 200
    costly: bool = False
    large: bool = False
    raw: bool = False

    async def serve(self, context: Context, caller: Caller, request: web.Request) -> Any:
        """Return the handler's reply; raises ``UserError`` for a request that is not valid."""
        if self.raw:
            return await self.handler(context, caller, request)
        match, query = request.match_info, request.query
        arguments = [IN_PATHS[name].read(match, name) for name in match]
        if self.body_type is not None:
            arguments.append(convert.parse(self.body_type, await request.read()))
        parameters = {each.keyword: each.read(query, each.name) for each in self.query}
        return await self.handler(context, caller, *arguments, **parameters)

    @property
    def observable(self) -> bool:
        """Whether observers may use it: it reads what every user sees."""
        return self.method == "GET" and self.access is Access.ANYONE

    @property
    def waits(self) -> bool:
        """Whether a request stays open until an event."""
        return self.reply is None or any(each.name == "timeout" for each in self.query)

    def most_bytes(self, caller: Caller) -> int:
        """Return the maximum size of its body."""
        if not self.large:
            return wire.MAX_SMALL_BODY_BYTES
        return wire.MAX_BODY_BYTES if caller.admin else wire.MAX_USERS_BODY_BYTES


def get(path: str, handler: Any, reply: Any, *query: Parameter, **more: Any) -> Route:
    """Return a route that reads; ``more`` are fields of ``Route``."""
    return Route("GET", path, handler, None, reply, query, **more)


def post(
    path: str, handler: Any, body_type: Any, reply: Any, *query: Parameter, **more: Any
) -> Route:
    """Return a route with a body of type ``body_type``, None for none; ``more`` as in ``get``."""
    return Route("POST", path, handler, body_type, reply, query, **more)


def put(path: str, handler: Any, body_type: Any, reply: Any, **more: Any) -> Route:
    """Return a route that sets what is not recorded, such as a terminal's size."""
    return Route("PUT", path, handler, body_type, reply, **more)
