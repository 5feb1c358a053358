"""Long replies: sent in pieces, with one budget of bytes for all that are not received yet."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from launcher.daemon.requests import convert
from launcher.errors import LauncherError

log = logging.getLogger(__name__)

LARGE_BYTES = 16 * 1024
"""A longer reply waits until the same user's earlier long replies have ended."""
PIECE_BYTES = 64 * 1024
PAGE = 250
"""Number of list items that are encoded as JSON in one step."""
BUDGET_BYTES = 64 * 2**20
SHARE_BYTES = 4 * 2**20
"""Each user's guaranteed share, even if others have filled the budget."""
PRESSURE_SECONDS = 1.0
"""A piece waits this long for room; then the largest reader is dropped."""


@dataclass(eq=False, slots=True)
class Held:
    """Bytes given to a connection that its client has not received."""

    uid: int
    size: int
    transport: asyncio.Transport | None
    loop_time: float = field(default_factory=lambda: asyncio.get_running_loop().time())


class Replies:
    """The bytes of all open replies. Above the budget readers wait, then the largest is dropped."""

    def __init__(self, most: int = BUDGET_BYTES, share: int = SHARE_BYTES) -> None:
        self._most, self._share, self._total = most, share, 0
        self._of: Counter[int] = Counter()
        self._held: set[Held] = set()
        self._whole: dict[Held, None] = {}
        """The replies that were built as a whole, the oldest first."""
        self._room = asyncio.Event()

    @property
    def total(self) -> int:
        """Number of bytes held."""
        return self._total

    async def write(
        self, uid: int, request: web.BaseRequest, response: web.StreamResponse, data: bytes
    ) -> None:
        """Send a piece and wait until the client has received it.

        Raises ``ConnectionResetError`` if the client is gone.
        """
        while self._is_full_for(uid, len(data)):
            await self._wait_for_room()
        held = Held(uid, len(data), request.transport)
        self._held.add(held)
        self._total += held.size
        self._of[uid] += held.size
        try:
            await response.write(data)
            await asyncio.sleep(0)  # a fast client must not occupy the loop
        except ConnectionError as lost:  # aiohttp raises the bare class
            raise ConnectionResetError("the client is gone") from lost
        finally:
            self._held.discard(held)
            self._total -= held.size
            self._of[uid] -= held.size
            self._room.set()

    @contextlib.contextmanager
    def whole(self, uid: int, request: web.BaseRequest, size: int) -> Iterator[None]:
        """Count a reply of ``size`` bytes that was built as a whole, until it is sent.

        If these exceed the budget together, the oldest are aborted, because their clients had the
        longest time to receive them.
        """
        held = Held(uid, size, request.transport)
        self._whole[held] = None
        while len(self._whole) > 1 and sum(held.size for held in self._whole) > self._most:
            oldest = next(iter(self._whole))
            del self._whole[oldest]
            log.warning("uid %d has not received a reply of %d bytes: closing its connection",
                        oldest.uid, oldest.size)  # fmt: skip
            if oldest.transport is not None:
                oldest.transport.abort()
        try:
            yield
        finally:
            self._whole.pop(held, None)

    def _is_full_for(self, uid: int, size: int) -> bool:
        """Whether a piece must wait; never for a user who holds little."""
        mine = self._of[uid]
        return bool(mine) and mine + size > self._share and self._total + size > self._most

    async def send(
        self,
        uid: int,
        request: web.BaseRequest,
        response: web.StreamResponse,
        pieces: AsyncIterator[bytes],
        seconds: float,
    ) -> web.StreamResponse:
        """Send a whole reply; drop a client that does not receive a piece within ``seconds``.

        Raises the error of the first piece, before anything is sent.
        """
        piece = await anext(pieces)
        await response.prepare(request)
        try:
            while True:
                async with asyncio.timeout(seconds):
                    await self.write(uid, request, response, piece)
                piece = await anext(pieces)
        except StopAsyncIteration:
            await response.write_eof()
        except (TimeoutError, LauncherError) as error:
            why = (
                error.message
                if isinstance(error, LauncherError)
                else "the client does not receive it"
            )
            log.warning("a long reply to uid %d broke off: %s", uid, why)
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _wait_for_room(self) -> None:
        self._room.clear()
        try:
            async with asyncio.timeout(PRESSURE_SECONDS):
                await self._room.wait()
        except TimeoutError:
            self._drop_largest()

    def _drop_largest(self) -> None:
        """Close the oldest connection of the user whose readers hold most."""
        if not self._held:
            return
        uid = max(self._of, key=lambda uid: self._of[uid])
        oldest = min((h for h in self._held if h.uid == uid), key=lambda h: h.loop_time)
        log.warning("uid %d holds %d bytes of replies without receiving them: closing one of its "
            "connections", uid, self._of[uid])  # fmt: skip
        if oldest.transport is not None:
            oldest.transport.abort()


async def cut(body: bytes) -> AsyncIterator[bytes]:
    """Yield a body in pieces."""
    for first in range(0, len(body), PIECE_BYTES):
        yield body[first : first + PIECE_BYTES]


async def paged(items: list[Any]) -> AsyncIterator[list[Any]]:
    """Yield a long list in parts that are quickly encoded as JSON."""
    for first in range(0, len(items), PAGE):
        yield items[first : first + PAGE]
        await asyncio.sleep(0)


async def listed(kind: Any, pages: AsyncIterator[list[Any]]) -> AsyncIterator[bytes]:
    """Yield a list as JSON, part by part; ``kind`` is the type of the whole list."""
    before = b"["
    async for page in pages:
        if page:
            yield before + convert.dump(kind, page)[1:-1]
            before = b","
    yield b"[]" if before == b"[" else b"]"
