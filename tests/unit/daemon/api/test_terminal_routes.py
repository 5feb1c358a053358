"""The connection that a terminal gets is the caller's, also if nobody waits for it any more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launcher.daemon.api import terminal_routes
from launcher.daemon.users.fair_pool import FairPool


def descriptors_of(one: socket.socket) -> int:
    """Count this process's descriptors of a socket."""
    own, count = Path("/proc/self/fd"), 0
    name = (own / str(one.fileno())).readlink()
    for each in own.iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += each.readlink() == name
    return count


@pytest.mark.parametrize("runs", [True, False])
def test_a_descriptor_is_open_until_the_thread_that_uses_it_has_ended(runs: bool) -> None:
    go, ended = threading.Event(), threading.Event()
    seen: list[bool] = []

    def take(client: int) -> None:
        go.wait(10)
        seen.append(os.path.sameopenfile(client, one.fileno()))
        ended.set()

    async def body(ours: socket.socket) -> None:
        pool = FairPool("test", threads=1, share=1)
        busy = None if runs else asyncio.create_task(pool.run(7, go.wait, 10))
        transport = SimpleNamespace(
            pause_reading=lambda: None, resume_reading=lambda: None, get_extra_info=lambda _: ours
        )
        context: Any = SimpleNamespace(users=pool)
        caller: Any = SimpleNamespace(uid=7)
        request: Any = SimpleNamespace(transport=transport)
        handing = asyncio.create_task(terminal_routes._hand_over(context, caller, request, take))
        await asyncio.sleep(0.1)
        handing.cancel()
        await asyncio.gather(handing, return_exceptions=True)
        go.set()
        if busy is not None:
            await busy
        elif not await asyncio.to_thread(ended.wait, 10):
            raise AssertionError("the thread did not go on")
        pool.close()

    one, other = socket.socketpair()
    with one, other:
        asyncio.run(body(one))
        assert descriptors_of(one) == 1
    assert seen == [True] * runs
