"""Makes coroutines of the methods of the synchronous client, with the same signatures.

A method of ``Client`` asks for replies one after the other and is otherwise pure. Its coroutine
runs it over the replies that have come; where it asks for another one, it stops, the request is
sent, and it runs again from its start. So no thread is needed, and each request is written once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from launcher.client.aio.transport import AsyncTransport
from launcher.errors import LauncherError

P = ParamSpec("P")
T = TypeVar("T")
Send = Callable[[AsyncTransport], Coroutine[Any, Any, Any]]


class Twin(Protocol):
    """An asynchronous object that has a synchronous twin."""

    @property
    def _transport(self) -> AsyncTransport:
        """What sends the requests."""

    def _over(self, replies: ReplayedTransport) -> Any:
        """Return the synchronous twin, with these replies as its transport."""


class ReplayedTransport:
    """Stands in for a client's ``Transport``: the replies that have come, or ``RequestNeeded``."""

    def __init__(self, come: list[Any]) -> None:
        self._left = iter(come)

    def json(self, method: str, path: str, body: Any = None, *, timeout: float) -> Any:
        """Return the next reply, or raise the error that came in its place."""
        return self._next(lambda transport: transport.json(method, path, body, timeout=timeout))

    def upload(self, path: str, body: Iterable[bytes], *, timeout: float) -> Any:
        """As ``json``, of a request with a body of any length."""
        return self._next(lambda transport: transport.upload(path, body, timeout=timeout))

    def _next(self, send: Send) -> Any:
        for reply in self._left:
            if isinstance(reply, LauncherError):
                raise reply
            return reply
        raise RequestNeeded(send)


class RequestNeeded(BaseException):
    """A method needs the reply to this request; no handler of errors catches it."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self.send = send


def awaited(
    method: Callable[Concatenate[Any, P], T],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Return the coroutine function of a method that makes its requests by ``Transport.json``."""

    async def call(self: Twin, /, *args: P.args, **kwargs: P.kwargs) -> T:
        come: list[Any] = []
        while True:
            try:
                return method(self._over(ReplayedTransport(come)), *args, **kwargs)
            except RequestNeeded as needed:
                send = needed.send
            try:
                come.append(await send(self._transport))
            except LauncherError as error:
                come.append(error)

    functools.update_wrapper(call, method)
    return call
