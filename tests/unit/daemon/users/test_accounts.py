"""Users are looked up off the event loop: once for a burst, never granted from what is too old."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from launcher.core.model.job import Owner
from launcher.daemon.users import accounts
from launcher.daemon.users.accounts import FRESH_SECONDS, MOST_AGE_SECONDS, Accounts
from launcher.daemon.users.identity import Caller
from launcher.errors import NotAllowed, Unavailable

GAMES = Owner(5, 60, "games")


class Nss:
    """Roles whose lookups wait for ``open``, and a clock."""

    admin_uids = frozenset({0})

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.asked: list[int] = []
        self.admin, self.time = True, 1000.0
        self.error: Exception | None = None

    def known(self, uid: int) -> Caller:
        """Answer as NSS does, once it is open."""
        self.asked.append(uid)
        self.open.wait(30)
        if self.error is not None:
            raise self.error
        return Caller(Owner(uid, 60, "games"), self.admin or uid == 0)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "WAIT_SECONDS", 0.2)


def with_nss(play: Callable[[Nss, Accounts], Awaitable[None]]) -> None:
    async def run() -> None:
        nss: Any = Nss()
        made = Accounts(nss, lambda: float(nss.time))
        try:
            await play(nss, made)
        finally:
            nss.open.set()
            made.close()

    asyncio.run(run())


def test_a_burst_asks_once_and_a_little_later_it_is_asked_again() -> None:
    async def play(nss: Nss, made: Accounts) -> None:
        found = await asyncio.gather(*(made.caller(5) for _ in range(50)))
        assert {caller.admin for caller in found} == {True}
        assert nss.asked == [5]
        nss.admin = False
        nss.time += FRESH_SECONDS
        assert not (await made.caller(5)).admin, "a right that was taken away is gone"

    with_nss(play)


def test_who_is_known_goes_on_while_nss_does_not_answer_and_the_loop_is_free() -> None:
    async def play(nss: Nss, made: Accounts) -> None:
        await made.caller(5)
        nss.open.clear()
        nss.time += MOST_AGE_SECONDS
        assert (await made.caller(5)).admin
        assert nss.asked == [5, 5], "it is being looked up again"
        await made.caller(5)
        assert nss.asked == [5, 5], "once"

    with_nss(play)


def test_rights_that_are_too_old_are_not_granted_and_the_refusal_names_nss() -> None:
    async def play(nss: Nss, made: Accounts) -> None:
        await made.caller(5)
        nss.open.clear()
        nss.time += MOST_AGE_SECONDS + 1
        with pytest.raises(Unavailable, match=r"uid 5: .*NSS"):
            await made.caller(5)
        nss.admin = False
        nss.open.set()
        while (await made.caller(5)).admin:
            raise AssertionError("what NSS says now counts")

    with_nss(play)


def test_a_user_who_was_never_looked_up_is_refused_and_root_is_known_for_good() -> None:
    async def play(nss: Nss, made: Accounts) -> None:
        await made.caller(0)
        nss.open.clear()
        nss.time += 100 * MOST_AGE_SECONDS
        assert (await made.caller(0)).admin, "by the uid alone"
        with pytest.raises(Unavailable, match="NSS"):
            await made.caller(7)
        with pytest.raises(Unavailable, match="NSS"):
            await made.run(7, nss.open.wait, 30)

    with_nss(play)


def test_one_who_is_no_user_any_more_is_forgotten() -> None:
    async def play(nss: Nss, made: Accounts) -> None:
        await made.caller(5)
        nss.error = NotAllowed("uid 5 is a subordinate uid of alice")
        nss.time += FRESH_SECONDS
        for _ in range(2):
            with pytest.raises(NotAllowed):
                await made.caller(5)
        nss.error = OSError(5, "Input/output error")
        with pytest.raises(Unavailable, match="NSS"):
            await made.caller(5)

    with_nss(play)


def test_what_is_kept_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "MOST_KNOWN", 10)

    async def play(nss: Nss, made: Accounts) -> None:
        for uid in range(30):
            await made.caller(uid)
        assert len(made._cached) == 10

    with_nss(play)
