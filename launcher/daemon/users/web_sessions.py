"""Logins to the pages of ``launch web``: one-time tokens, and the sessions that they become.

Only hashes are kept, in memory: a restart of the daemon ends all sessions. A token or a session is
256 random bits.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from launcher.errors import NotAllowed, TooMany

TOKEN_SECONDS = 600.0
MOST_TOKENS = 4
"""Of one user; a further one ends the oldest."""
IDLE_SECONDS = 12 * 3600.0
"""A session that is not used for this time is over."""
MOST_SESSIONS = 8
"""Of one user; a further one ends the one that was used least recently."""
MOST_IN_ALL = 10_000
"""Tokens, and sessions, of all users; above it further ones are refused."""
_BYTES = 32


@dataclass(slots=True)
class _Secret:
    """A token or session: its user, and until when it is valid."""

    uid: int
    until: float


class WebSessions:
    """The tokens and sessions of all users. ``now`` is in seconds, from any origin."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._tokens: OrderedDict[bytes, _Secret] = OrderedDict()
        self._sessions: OrderedDict[bytes, _Secret] = OrderedDict()

    def token(self, uid: int) -> str:
        """Return a new token of a user; raises ``TooMany``."""
        return self._new(self._tokens, uid, TOKEN_SECONDS, MOST_TOKENS)

    def log_in(self, token: str) -> tuple[str, int]:
        """Return a new session and its uid for a token, which is used up.

        Raises ``NotAllowed`` for a token that is unknown, used or too old; ``TooMany``.
        """
        found = self._tokens.pop(_hash(token), None)
        if found is None or found.until < self._now():
            raise NotAllowed(
                "the link is not valid: it was used, or is older than "
                f"{TOKEN_SECONDS / 60:g} minutes",
                fix="Run `launch dashboard` again.",
            )
        return self._new(self._sessions, found.uid, IDLE_SECONDS, MOST_SESSIONS), found.uid

    def uid_of(self, session: str) -> int:
        """Return the user of a session, which is used now; raises ``NotAllowed``."""
        key = _hash(session)
        found = self._sessions.get(key)
        if found is None or found.until < self._now():
            self._sessions.pop(key, None)
            raise NotAllowed("the session is over", fix="Run `launch dashboard` and open the link.")
        found.until = self._now() + IDLE_SECONDS
        self._sessions.move_to_end(key)
        return found.uid

    def log_out(self, session: str) -> None:
        """End a session."""
        self._sessions.pop(_hash(session), None)

    def _new(
        self, secret_by: OrderedDict[bytes, _Secret], uid: int, seconds: float, most: int
    ) -> str:
        now = self._now()
        self._drop_old(secret_by, now)
        own = [key for key, each in secret_by.items() if each.uid == uid]
        for key in own[: max(0, len(own) + 1 - most)]:
            del secret_by[key]
        if len(secret_by) >= MOST_IN_ALL:
            raise TooMany("too many users are logged in to the pages")
        made = secrets.token_urlsafe(_BYTES)
        secret_by[_hash(made)] = _Secret(uid, now + seconds)
        return made

    @staticmethod
    def _drop_old(secret_by: OrderedDict[bytes, _Secret], now: float) -> None:
        """Drop those that are over: the first of the list, which is by last use."""
        while secret_by:
            key, first = next(iter(secret_by.items()))
            if first.until >= now:
                break
            del secret_by[key]


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
