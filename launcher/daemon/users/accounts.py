"""Who users are, lookups of NSS in threads: one that is slow stops only who must be looked up.

Results are cached for a short time. A request of a user looked up within ``MOST_AGE_SECONDS`` never
waits for NSS: it uses the cached result while that is refreshed. Older rights are never granted:
the request waits, and is refused if NSS does not answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import ParamSpec, TypeVar

from aiohttp import web

from launcher import wire
from launcher.core.model.job import Owner
from launcher.core.policy.policy import Person
from launcher.daemon.users.fair_pool import FairPool
from launcher.daemon.users.identity import (
    Caller,
    Roles,
    groups_of,
    in_role,
    in_session,
    sender_of,
)
from launcher.daemon.users.web_sessions import WebSessions
from launcher.errors import Unavailable

log = logging.getLogger(__name__)

FRESH_SECONDS = 0.5
"""A user is not looked up again within this time: a burst of requests queries NSS once."""
PATIENCE_SECONDS = 0.03
"""The longest wait of a request for a lookup if the earlier result is not too old."""
MOST_AGE_SECONDS = 60.0
WAIT_SECONDS = 10.0
MOST_KNOWN = 10_000
LEARN_SECONDS = 5.0
P = ParamSpec("P")
T = TypeVar("T")


class Accounts:
    """Looks users up, for the loop's thread. ``now`` is in seconds, from any origin."""

    def __init__(self, roles: Roles, now: Callable[[], float] = time.monotonic) -> None:
        self.roles, self._now = roles, now
        self.web_sessions = WebSessions(now)
        self._pool = FairPool("accounts", threads=64, share=2)
        self._cached: OrderedDict[int, tuple[float, Caller]] = OrderedDict()
        self._looking: dict[int, asyncio.Task[Caller]] = {}

    async def sender(self, request: web.Request) -> Caller:
        """Return the sender of a request: ``caller`` of the uid that the kernel reported."""
        return await self.caller(sender_of(request))

    async def in_role(self, sender: Caller, headers: Mapping[str, str]) -> Caller:
        """Return the sender in the role that its request names, or the user for whom a page asks.

        Raises ``NotAllowed`` for a session that is over, or of a sender that serves no pages.
        """
        session = headers.get(wire.SESSION_HEADER)
        if session is None:
            return in_role(sender, headers.get(wire.ROLE_HEADER))
        user = await self.caller(self.web_sessions.uid_of(session))
        return in_session(sender, user, session)

    async def caller(self, uid: int) -> Caller:
        """Return a user with the current role and groups.

        Raises ``NotAllowed`` for a subordinate uid, ``Unavailable`` if NSS does not answer.
        """
        at, cached = self._cached.get(uid, (float("-inf"), None))
        age = self._now() - at
        if cached is not None and age < FRESH_SECONDS:
            return cached
        looking = self._looking.get(uid) or self._look_up(uid)
        # Root and the owner of the daemon are admins by their uids, without NSS.
        if cached is not None and (age <= MOST_AGE_SECONDS or uid in self.roles.admin_uids):
            done, _ = await asyncio.wait((looking,), timeout=PATIENCE_SECONDS)
            return looking.result() if done else cached
        done, _ = await asyncio.wait((looking,), timeout=WAIT_SECONDS)
        if not done:
            raise _away(f"uid {uid}")
        return looking.result()

    def _look_up(self, uid: int) -> asyncio.Task[Caller]:
        """Start one lookup of a user, shared by all waiters."""
        self._looking[uid] = task = asyncio.create_task(self._found(uid))
        task.add_done_callback(lambda _: self._over(uid))
        return task

    async def _found(self, uid: int) -> Caller:
        started = self._now()
        try:
            caller = await self._pool.run(uid, self.roles.known, uid)
        except OSError as error:
            raise _away(f"uid {uid}", f" ({error})") from error
        self._cached[uid] = started, caller
        self._cached.move_to_end(uid)
        while len(self._cached) > MOST_KNOWN:
            self._cached.popitem(last=False)
        return caller

    def _over(self, uid: int) -> None:
        task = self._looking.pop(uid)
        if not task.cancelled() and task.exception() is not None:
            self._cached.pop(uid, None)  # outdated rights must not be granted

    async def person(self, uid: int, owner: Owner, keeps: frozenset[str] | None) -> Person:
        """As ``Roles.person``, charged to ``uid``; raises ``Unavailable``."""
        return await self.run(uid, self.roles.person, owner, keeps)

    async def groups(self, uid: int, owners: Iterable[Owner]) -> dict[int, frozenset[str]]:
        """Return users' group names by uid, charged to ``uid``; raises ``Unavailable``."""
        wanted = list(owners)
        return await self.run(uid, lambda: {owner.uid: groups_of(owner) for owner in wanted})

    async def learn(
        self, groups: dict[int, frozenset[str]], owners: Mapping[int, Owner]
    ) -> dict[int, Owner]:
        """Look up the groups of users who have jobs; return the users for whom it failed."""
        lookups = [self.groups(uid, (owner,)) for uid, owner in owners.items()]
        for item in await asyncio.gather(*lookups, return_exceptions=True):
            if not isinstance(item, BaseException):
                groups |= item
        return {uid: owner for uid, owner in owners.items() if uid not in groups}

    async def learn_all(
        self, groups: Callable[[], dict[int, frozenset[str]]], unknown: Mapping[int, Owner]
    ) -> None:
        """Retry until these users' groups are known; until then no group quota binds them."""
        while unknown:
            log.warning("cannot look up the groups of %d users yet (NSS)", len(unknown))
            await asyncio.sleep(LEARN_SECONDS)
            unknown = await self.learn(groups(), unknown)
        await asyncio.Event().wait()  # the end of a task would count as a failure

    async def run(self, uid: int, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that queries NSS, charged to ``uid``.

        Raises ``Unavailable`` if it does not return in time.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await self._pool.run(uid, call, *args, **kwargs)
        except TimeoutError:
            raise _away("a user or group") from None

    @property
    def stuck(self) -> bool:
        """Whether no thread has been free for a lookup for a while."""
        return self._pool.stuck

    def close(self) -> None:
        """Stop looking users up."""
        self._pool.close()


def _away(whom: str, why: str = f" within {WAIT_SECONDS:g} s") -> Unavailable:
    return Unavailable(
        f"cannot look up {whom}: the name service (NSS) did not answer{why}",
        fix="Try again. Admins: check whether `getent passwd` answers. The services are listed in "
        "/etc/nsswitch.conf, such as SSSD or LDAP.",
    )
