"""What status counts is not counted anew for everyone who asks."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from launcher.daemon.counts import Counts


class Slow:
    """A store in which counting takes a while."""

    def __init__(self) -> None:
        self.times = 0

    async def read(self, _: Any) -> dict[str, int]:
        self.times += 1
        await asyncio.sleep(0.05)
        return {"DONE": self.times}


def test_a_hundred_who_ask_at_once_make_it_count_once() -> None:
    async def body() -> None:
        store = Slow()
        counts = Counts(cast(Any, store))
        found = await asyncio.gather(*(counts.now() for _ in range(100)))
        assert (store.times, found) == (1, [{"DONE": 1}] * 100)

    asyncio.run(body())


def test_what_takes_no_time_is_counted_for_everyone() -> None:
    class Quick(Slow):
        async def read(self, _: Any) -> dict[str, int]:
            self.times += 1
            return {"DONE": self.times}

    async def body() -> None:
        store = Quick()
        counts = Counts(cast(Any, store))
        first = await counts.now()
        await asyncio.sleep(0.05)
        assert (first, await counts.now()) == ({"DONE": 1}, {"DONE": 2})

    asyncio.run(body())
