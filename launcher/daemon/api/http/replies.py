"""Long replies: sent piece by piece, with one budget of bytes for all that are not taken yet."""

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
"""A longer reply of one user waits for the end of the user's other long replies."""
PIECE_BYTES = 64 * 1024
PAGE = 250
"""So many items of a list are written as JSON in one step."""
BUDGET_BYTES = 64 * 2**20
SHARE_BYTES = 4 * 2**20
"""What each user may hold, also where others have filled the budget."""
PRESSURE_SECONDS = 1.0
"""For at most this time a piece waits for room before the reader that holds most is dropped."""


@dataclass(eq=False, slots=True)
class Held:
    """Bytes that were handed to a connection and that its client has not taken."""

    uid: int
    size: int
    transport: asyncio.Transport | None
    loop_time: float = field(default_factory=lambda: asyncio.get_running_loop().time())


class Replies:
    """What all open replies hold. Above the budget readers wait, then the largest is dropped."""

    def __init__(self, most: int = BUDGET_BYTES, share: int = SHARE_BYTES) -> None:
        self._most, self._share, self._total = most, share, 0
        self._of: Counter[int] = Counter()
        self._held: set[Held] = set()
        self._whole: dict[Held, None] = {}
        """The replies that were made as a whole, the oldest first."""
        self._room = asyncio.Event()

    @property
    def total(self) -> int:
        """How many bytes are held."""
        return self._total

    async def write(
        self, uid: int, request: web.BaseRequest, answer: web.StreamResponse, data: bytes
    ) -> None:
        """Send a piece and wait until the client takes it.

        Raises ``ConnectionResetError`` where the client is gone.
        """
        while self._is_full_for(uid, len(data)):
            await self._wait_for_room()
        held = Held(uid, len(data), request.transport)
        self._held.add(held)
        self._total += held.size
        self._of[uid] += held.size
        try:
            await answer.write(data)
            await asyncio.sleep(0)  # a client that takes it at once would have the loop for itself
        except ConnectionError as lost:  # aiohttp's own is the bare class
            raise ConnectionResetError("the client is gone") from lost
        finally:
            self._held.discard(held)
            self._total -= held.size
            self._of[uid] -= held.size
            self._room.set()

    @contextlib.contextmanager
    def whole(self, uid: int, request: web.BaseRequest, size: int) -> Iterator[None]:
        """Count a reply of ``size`` bytes that was made as a whole, until it is sent.

        Where those are more than the budget together, the oldest break off: its client had the
        longest time to take it.
        """
        held = Held(uid, size, request.transport)
        self._whole[held] = None
        while len(self._whole) > 1 and sum(each.size for each in self._whole) > self._most:
            oldest = next(iter(self._whole))
            del self._whole[oldest]
            log.warning("uid %d has not taken a reply of %d bytes: its connection is closed",
                        oldest.uid, oldest.size)  # fmt: skip
            if oldest.transport is not None:
                oldest.transport.abort()
        try:
            yield
        finally:
            self._whole.pop(held, None)

    def _is_full_for(self, uid: int, size: int) -> bool:
        """Whether a piece must wait; one of a user who holds little never does."""
        mine = self._of[uid]
        return bool(mine) and mine + size > self._share and self._total + size > self._most

    async def send(
        self,
        uid: int,
        request: web.BaseRequest,
        answer: web.StreamResponse,
        pieces: AsyncIterator[bytes],
        seconds: float,
    ) -> web.StreamResponse:
        """Send a whole reply; a client that does not take a piece in ``seconds`` is dropped.

        Raises what the first piece raises: nothing is sent before it.
        """
        piece = await anext(pieces)
        await answer.prepare(request)
        try:
            while True:
                async with asyncio.timeout(seconds):
                    await self.write(uid, request, answer, piece)
                piece = await anext(pieces)
        except StopAsyncIteration:
            await answer.write_eof()
        except (TimeoutError, LauncherError) as error:
            why = error.message if isinstance(error, LauncherError) else "it is not taken"
            log.warning("a long reply to uid %d broke off: %s", uid, why)
            if request.transport is not None:
                request.transport.abort()
        return answer

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
        log.warning("uid %d holds %d bytes of replies without taking them: one of its connections "
                    "is closed", uid, self._of[uid])  # fmt: skip
        if oldest.transport is not None:
            oldest.transport.abort()


async def cut(body: bytes) -> AsyncIterator[bytes]:
    """Yield a body in pieces."""
    for first in range(0, len(body), PIECE_BYTES):
        yield body[first : first + PIECE_BYTES]


async def paged(items: list[Any]) -> AsyncIterator[list[Any]]:
    """Yield a long list some items at a time, so that none takes long to be written as JSON."""
    for first in range(0, len(items), PAGE):
        yield items[first : first + PAGE]
        await asyncio.sleep(0)


async def listed(kind: Any, pages: AsyncIterator[list[Any]]) -> AsyncIterator[bytes]:
    """Yield a list as JSON, page by page; ``kind`` is the type of the whole list."""
    before = b"["
    async for page in pages:
        if page:
            yield before + convert.dump(kind, page)[1:-1]
            before = b","
    yield b"[]" if before == b"[" else b"]"
