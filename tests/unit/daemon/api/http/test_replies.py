"""One budget of bytes for all replies that their clients have not taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from launcher.daemon.api.http import replies
from launcher.daemon.api.http.replies import Replies
from launcher.daemon.api.views.job_views import COMMAND_CHARACTERS, cut

ALICE, BOB = 1000, 1001


class Connection:
    """A client that takes what it is sent once ``reads`` is set; closed it breaks off."""

    def __init__(self) -> None:
        self.reads, self.closed = asyncio.Event(), False
        self.transport = self
        self.got = 0

    def abort(self) -> None:
        self.closed = True
        self.reads.set()

    async def write(self, data: bytes) -> None:
        await self.reads.wait()
        if self.closed:
            raise ConnectionResetError
        self.got += len(data)


def play(body: Callable[[], Awaitable[None]]) -> None:
    """Run a body on a loop of its own."""
    asyncio.run(asyncio.wait_for(body(), 20))  # type: ignore[arg-type]


def send(held: Replies, uid: int, to: Connection, size: int) -> asyncio.Task[None]:
    """Begin to send so many bytes."""
    connection = cast(Any, to)
    return asyncio.create_task(held.write(uid, connection, connection, bytes(size)))


def test_a_reader_that_takes_nothing_is_dropped_where_another_needs_the_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replies, "PRESSURE_SECONDS", 0.01)

    async def body() -> None:
        held = Replies(1000, share=0)
        idle = [Connection() for _ in range(9)]
        tasks = [send(held, ALICE, one, 100) for one in idle]
        await asyncio.sleep(0)
        assert held.total == 900
        reader, other = Connection(), Connection()
        reader.reads.set()
        waits = send(held, BOB, other, 50)
        await send(held, BOB, reader, 200)
        assert (reader.got, reader.closed) == (200, False)
        other.reads.set()
        await waits
        assert [one.closed for one in idle] == [True, True] + [False] * 7
        for one in idle:
            one.abort()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(one) for one in ended} == {ConnectionResetError}
        assert held.total == 0

    play(body)


def test_a_user_who_holds_little_waits_for_nobody() -> None:
    async def body() -> None:
        held = Replies(1000, share=300)
        idle = [Connection() for _ in range(10)]
        tasks = [send(held, ALICE, one, 100) for one in idle]
        reader, slow = Connection(), Connection()
        reader.reads.set()
        waits = send(held, BOB, slow, 100)
        await asyncio.wait_for(send(held, BOB, reader, 200), replies.PRESSURE_SECONDS / 2)
        assert not any(one.closed for one in idle)
        for one in (*idle, slow):
            one.reads.set()
        await asyncio.gather(*tasks, waits)

    play(body)


def test_a_piece_that_is_larger_than_the_budget_is_sent_alone() -> None:
    async def body() -> None:
        held, reader = Replies(1000), Connection()
        reader.reads.set()
        await send(held, ALICE, reader, 5000)
        assert (reader.got, held.total) == (5000, 0)

    play(body)


@pytest.mark.parametrize(
    "command", [["x" * 200_000], ["echo", "x" * 5000, "y"], ["x"] * 60_000, ["é" * 4095, "z" * 9]]
)
def test_a_long_command_is_cut_where_jobs_are_listed(command: list[str]) -> None:
    shown = cut(command)
    assert shown is not None
    assert shown[-1].endswith("…")
    assert sum(map(len, shown)) <= COMMAND_CHARACTERS + 1


@pytest.mark.parametrize("command", [None, [], ["true"], ["x" * 4000, "y"]])
def test_an_ordinary_command_is_listed_whole(command: list[str] | None) -> None:
    assert cut(command) == command


def test_replies_that_were_made_as_a_whole_are_within_the_budget_together() -> None:
    """Each is as large as its user could make it: they stay until their clients have taken them."""

    async def body() -> None:
        held = Replies(1000)
        slow, newer, newest = Connection(), Connection(), Connection()
        with (
            held.whole(ALICE, cast(Any, slow), 600),
            held.whole(BOB, cast(Any, newer), 400),
        ):
            assert (slow.closed, newer.closed) == (False, False)
            with held.whole(ALICE, cast(Any, newest), 300):
                assert (slow.closed, newer.closed, newest.closed) == (True, False, False)
        with held.whole(BOB, cast(Any, newest), 5000):
            assert not newest.closed, "alone it may be larger than the budget"

    play(body)


def test_readers_that_take_everything_at_once_are_sent_their_pieces_in_turn() -> None:
    async def body() -> None:
        held, order = Replies(), list[int]()

        class Noted(Connection):
            async def write(self, data: bytes) -> None:
                order.append(len(data))

        async def pieces(size: int) -> None:
            to = cast(Any, Noted())
            for _ in range(5):
                await held.write(ALICE, to, to, bytes(size))

        await asyncio.gather(pieces(1), pieces(2))
        assert order == [1, 2] * 5

    play(body)
