"""Runs a call in its own thread: if it never returns, it blocks neither the loop nor the exit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

from launcher.daemon.loop import clock

T = TypeVar("T")


async def in_thread(name: str, call: Callable[[], T]) -> T:
    """Run ``call`` in a new thread; return its result or raise its exception.

    asyncio waits for its own threads when the loop ends, however long they take.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def resolve(reply: Callable[[], None]) -> None:
        if not future.done():
            reply()

    def run() -> None:
        try:
            value = call()
        except BaseException as error:  # the caller must get it
            failed = error
            reply = lambda: future.set_exception(failed)  # noqa: E731
        else:
            reply = lambda: future.set_result(value)  # noqa: E731
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(resolve, reply)

    clock.spawn(name, run)
    return await future
