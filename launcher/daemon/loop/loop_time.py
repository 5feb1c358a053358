"""The time of the event loop: each user's share of it, and the order of users.

Every step of a request, from one ``await`` to the next, is timed and charged to its uid. A user
above the share waits between two steps while other users want the loop. Users below it take one
step in each turn of the loop, so that other users never wait for all steps of a burst.
Once the steps of all users have taken some time, the next ones wait for another turn, for every
user.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator
from typing import Any, ParamSpec, TypeVar

from launcher.daemon.users.rate_limits import Bucket

SAVED_UP_SECONDS = 0.1
"""A user may use the share of this time at once."""
MOST_OWED_SECONDS = 0.5
"""A user who had the loop alone does not wait for time that was used long ago."""
WANTED_SECONDS = 0.03
"""After a step of a user within the share the loop counts as wanted for this time. Commits and
reads take about as long; the request continues after them."""
PAUSE = 2.0
"""While the loop is wanted, a step of a user above the share is followed by a pause of this
multiple of its length: all of those users together get a third of the loop."""
MOST_PAUSE_SECONDS = 0.1
TURN_SECONDS = 0.01
"""After this much time of steps the loop starts another turn: other due work comes first."""
KEPT = 64
"""Once there are this many accounts, and after each doubling, accounts without debt are dropped."""

P = ParamSpec("P")
T = TypeVar("T")


class LoopTime:
    """The accounts of users by uid. For the loop's thread only; times are seconds.

    ``share`` is the part of the loop's time that a user has before others. Root and the owner of
    the daemon have accounts but never wait.
    """

    def __init__(self, share: float, now: Callable[[], float] = time.perf_counter) -> None:
        self._share, self._now = share, now
        self._own = frozenset({0, os.getuid()})
        self._accounts: dict[int, Bucket] = {}
        self._sweep_at = KEPT
        self._charged: int | None = None
        self._since = 0.0
        self._waiting: OrderedDict[int, deque[asyncio.Future[None]]] = OrderedDict()
        self._turning = False
        self._since_turn = 0.0
        self._renewing = False
        self._open_at = float("-inf")
        self._wanted = self._wanted_before = (-1, float("-inf"))

    def __len__(self) -> int:
        """Return the number of accounts."""
        return len(self._accounts)

    def is_above(self, uid: int) -> bool:
        """Whether a user has taken more than the share."""
        account = self._accounts.get(uid)
        return account is not None and account.owes(self._now()) > 0

    async def run(
        self, uid: int, call: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``call``, and charge each step to ``uid``.

        An exception thrown in, such as a cancellation, reaches ``call`` even while a step waits.
        """
        return await self._steps(uid, call(*args, **kwargs))

    @types.coroutine
    def _steps(self, uid: int, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        thrown: BaseException | None = None
        try:
            while True:
                if thrown is None and self._must_wait(uid):
                    thrown = yield from _thrown_into(self._queued(uid))
                while thrown is None and self._is_turn_over():
                    thrown = yield from _thrown_into((None,))
                before = self._switch(uid)
                try:
                    awaited = work.send(None) if thrown is None else work.throw(thrown)
                except StopIteration as done:
                    return done.value  # type: ignore[no-any-return]
                finally:
                    self._switch(before)
                thrown = yield from _thrown_into((awaited,))
        finally:
            thrown = None  # its traceback refers to this frame
            work.close()

    @contextlib.contextmanager
    def spent(self, uid: int | None) -> Iterator[None]:
        """Charge a block without ``await`` to ``uid`` (None: to no user); blocks may be nested."""
        before = self._switch(uid)
        try:
            yield
        finally:
            self._switch(before)

    def _switch(self, uid: int | None) -> int | None:
        """Charge the time since the last call, and the time from now on to ``uid``."""
        now, before = self._now(), self._charged
        if before is not None:
            self._charge(before, now - self._since, now)
        self._charged, self._since = uid, now
        return before

    def _charge(self, uid: int, seconds: float, now: float) -> None:
        account = self._account(uid, now)
        if uid not in self._own and account.owes(now) > 0:
            self._open_at = now + min(PAUSE * seconds, MOST_PAUSE_SECONDS)
        self._since_turn += seconds
        account.spend(seconds, now, MOST_OWED_SECONDS)

    def _is_turn_over(self) -> bool:
        """Whether a step has to wait for the next turn, in which the time starts at zero."""
        if self._since_turn <= TURN_SECONDS:
            return False
        if not self._renewing:
            self._renewing = True
            asyncio.get_running_loop().call_soon(self._renew)
        return True

    def _renew(self) -> None:
        self._since_turn, self._renewing = 0.0, False

    def _account(self, uid: int, now: float) -> Bucket:
        bucket = self._accounts.get(uid)
        if bucket is None:
            if len(self._accounts) >= self._sweep_at:
                accounts = {
                    uid: bucket for uid, bucket in self._accounts.items() if not bucket.is_full(now)
                }
                self._accounts, self._sweep_at = accounts, max(KEPT, 2 * len(accounts))
            burst = self._share * SAVED_UP_SECONDS
            bucket = self._accounts[uid] = Bucket(self._share, burst, now)
        return bucket

    def _must_wait(self, uid: int) -> bool:
        """Whether a step has to wait for its turn; if not, it goes ahead."""
        now = self._now()
        within = uid not in self._waiting and self._account(uid, now).owes(now) <= 0
        if within or uid in self._own:
            if self._wanted[0] != uid:
                self._wanted_before = self._wanted
            self._wanted = (uid, now + WANTED_SECONDS)
            return False
        if self._turning or self._pause(uid, now) > 0:
            return True
        self._turn_again()
        return False

    def _pause(self, uid: int, now: float) -> float:
        """Return for how long a user above the share leaves the loop to others."""
        by, until = self._wanted
        if by == uid:
            _, until = self._wanted_before
        return min(until, self._open_at) - now

    def _queued(self, uid: int) -> asyncio.Future[None]:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(uid, deque()).append(turn)
        if not self._turning:
            self._turn_again()
        return turn

    def _turn_again(self) -> None:
        self._turning = True
        asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Run one step of the next user, then schedule the next check: once per turn."""
        if not self._waiting:
            self._turning = False
        elif (pause := self._pause(next(iter(self._waiting)), self._now())) > 0:
            asyncio.get_running_loop().call_later(pause, self._turn)
        else:
            self._resume_next()
            self._turn_again()  # after that step, which is scheduled before it

    def _resume_next(self) -> None:
        while self._waiting:
            uid, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[uid] = turns  # behind other users
            if not turn.done():  # otherwise it was cancelled
                turn.set_result(None)
                return


def _thrown_into(awaited: Iterable[Any]) -> Generator[Any, Any, BaseException | None]:
    """Wait as a coroutine does; return an exception thrown meanwhile, such as a cancellation."""
    try:
        yield from awaited
    except GeneratorExit:
        raise
    except BaseException as error:
        return error
    return None
