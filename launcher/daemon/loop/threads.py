"""A call in a thread of its own: if it never returns, it blocks neither the loop nor the exit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

from launcher.daemon.loop import clock

T = TypeVar("T")


async def in_thread(name: str, call: Callable[[], T]) -> T:
    """Run ``call`` in a new thread; return its result or raise its exception.

    asyncio's own threads are waited for when the loop ends, however long that takes.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(answer: Callable[[], None]) -> None:
        if not future.done():
            answer()

    def run() -> None:
        try:
            value = call()
        except BaseException as error:  # the caller must get it
            failed = error
            answer = lambda: future.set_exception(failed)  # noqa: E731
        else:
            answer = lambda: future.set_result(value)  # noqa: E731
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, answer)

    clock.spawn(name, run)
    return await future
