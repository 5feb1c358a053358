"""A call in a thread of its own holds up nobody, and what comes of it is told."""

from __future__ import annotations

import asyncio
import threading

import pytest

from launcher.daemon.loop.threads import in_thread
from launcher.errors import GpuFault


def refuse() -> None:
    raise GpuFault("no")


def test_what_a_call_returns_or_raises_is_told() -> None:
    assert asyncio.run(in_thread("one", lambda: 7)) == 7
    with pytest.raises(GpuFault, match="no"):
        asyncio.run(in_thread("two", refuse))


def test_a_call_that_does_not_return_keeps_no_loop_from_ending() -> None:
    go, over = threading.Event(), threading.Event()

    def hang() -> None:
        go.wait(20)
        over.set()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await in_thread("hangs", hang)

    asyncio.run(give_up())
    assert not over.is_set()
    go.set()
    assert over.wait(10)
