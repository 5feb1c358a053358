"""One line of the API, and who may call it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from aiohttp import web

from launcher import wire
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.query_params import Parameter
from launcher.daemon.requests import convert
from launcher.daemon.users.identity import Caller

NOTICE = "Launcher-Notice"
"""A header, and under which name a handler leaves its text with the request: what the caller should
know beside the reply."""


class Access(Enum):
    """Who may call a route."""

    #: Every user the system knows; the handler leaves out what the caller may not see.
    ANYONE = "anyone"
    #: The owner of the job it names, and admins.
    OWNER = "owner"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the API. ``reply`` None means a stream of frames.

    ``costly`` requests of one ordinary user come one after the other; ``large`` ones may have the
    longest bodies. ``query`` are the parameters that it may have. The handler of a ``direct`` route
    gets the names in the path and the parsed body instead of the request.
    """

    method: str
    path: str
    access: Access
    asks: Any
    reply: Any
    handler: Callable[..., Awaitable[Any]]
    status: int = 200
    costly: bool = False
    large: bool = False
    query: tuple[Parameter, ...] = ()
    direct: bool = False

    async def serve(self, context: Context, caller: Caller, request: web.Request) -> Any:
        """Return the handler's reply; raises ``UserError`` for a body that is not valid."""
        if not self.direct:
            return await self.handler(context, caller, request)
        arguments: list[Any] = list(request.match_info.values())
        if self.asks is not None:
            arguments.append(convert.parse(self.asks, await request.read()))
        return await self.handler(context, caller, *arguments)

    @property
    def waits(self) -> bool:
        """Whether a request stays open until something happens."""
        return self.reply is None or self.path.endswith("/wait")

    def most_bytes(self, caller: Caller) -> int:
        """Return how long its body may be."""
        if not self.large:
            return wire.MAX_SMALL_BODY_BYTES
        return wire.MAX_BODY_BYTES if caller.admin else wire.MAX_USERS_BODY_BYTES
