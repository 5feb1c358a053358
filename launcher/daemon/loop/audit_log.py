"""The audit log: each request that changes something, with its decision.

A decision and its line are one transaction: the event loop knows the request being served, and adds
the line to what it commits. A change without a decision is committed right after. Refusals are
gathered, and those that repeat within a minute become one line.
The log never contains commands, environments, credentials, or what an error quotes of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from launcher.core.messages import events as ev
from launcher.core.messages.changes import AuditLine, Changes
from launcher.core.model.job import Job, Owner
from launcher.core.policy.policy import VERSION
from launcher.daemon.loop.committer import Committer
from launcher.daemon.users.usernames import known_name
from launcher.errors import InternalError, LauncherError, NotAllowed, TooMany
from launcher.indices import refs

log = logging.getLogger(__name__)

FOLD_SECONDS = 60.0
FLUSH_SECONDS = 0.1
LATER_SECONDS = 5.0
CONNECT = "connect"
MOST_WAITING = 10_000
MOST_LETTERS = 200
READS = ("/v1/whatif", "/v1/layout/plan")
"""POST requests that change nothing."""


@dataclass(slots=True, eq=False)
class AuditEntry:
    """A request being served. ``written``: its line is committed."""

    owner: Owner
    role: str
    route: str
    changing: bool
    jobs: list[Job] = field(default_factory=list)
    detail: str = ""
    written: bool = False
    policy_version: int = VERSION

    @property
    def unwritten(self) -> bool:
        """Whether its line is still to be written."""
        return self.changing and not self.written

    def accept(self, event: ev.Event, reply: Any) -> None:
        """Record the event loop's decision."""
        if isinstance(event, ev.Submitted):
            self.changing = self.changing and not event.dry_run
            self.jobs = [job for job in reply if isinstance(job, Job)]

    def line(self, at: float, outcome: str = "ok", detail: str | None = None) -> AuditLine:
        """Return its line; ``at`` is seconds since 1970."""
        return AuditLine(
            uid=self.owner.uid,
            at=at,
            until=at,
            user=self.owner.name,
            role=self.role,
            route=self.route,
            jobs=_cut(refs(map(_place, self.jobs))),
            outcome=outcome,
            detail=_cut(self.detail if detail is None else detail),
            count=1,
            policy_version=self.policy_version,
        )


def _place(job: Job) -> tuple[int, tuple[int, int] | None]:
    place = job.element
    return job.id, None if place is None else (place.array, place.index)


_PRESENT: ContextVar[AuditEntry | None] = ContextVar("request", default=None)


def present() -> AuditEntry | None:
    """Return the request being served in this context, None if the daemon acts on its own."""
    return _PRESENT.get()


def about(jobs: Iterable[Job] = (), detail: str = "") -> None:
    """Record the jobs that the current request concerns, and what it does to them."""
    entry = _PRESENT.get()
    if entry is not None:
        entry.jobs, entry.detail = [*jobs], detail


class Audit:
    """Gathers and writes lines that belong to no decision. ``now`` is in seconds since 1970."""

    def __init__(self, committer: Committer, now: Callable[[], float]) -> None:
        self._committer, self._now = committer, now
        self._waiting: list[AuditLine] = []
        self._folds: dict[tuple[int, str, str], _Fold] = {}
        self._wake = asyncio.Event()

    @contextlib.contextmanager
    def serving(self, entry: AuditEntry) -> Iterator[None]:
        """Record the outcome of a request."""
        token = _PRESENT.set(entry)
        try:
            yield
        except LauncherError as refused:
            if entry.changing or isinstance(refused, NotAllowed | TooMany):
                self.refuse(entry, refused)
            raise
        except Exception:
            if entry.unwritten and entry.jobs:
                self._put(entry.line(self._now(), InternalError.kind, ""))
            raise
        else:
            if entry.unwritten:
                self._put(entry.line(self._now()))
        finally:
            _PRESENT.reset(token)

    def refuse(self, entry: AuditEntry, error: LauncherError) -> None:
        """Record a refusal: the first of a minute at once, the others together after the minute."""
        is_loggable = isinstance(error, NotAllowed | TooMany)  # others quote the request
        line = entry.line(self._now(), error.kind, error.message if is_loggable else "")
        key = (line.uid, line.route, line.outcome)
        fold = self._folds.get(key)
        if fold is None:
            self._folds[key] = _Fold(line)
            self._put(line)
        else:
            fold.add(line.at)

    def refuse_connection(self, uid: int) -> None:
        """Record that a user's connection was refused; the request is unknown."""
        fold = self._folds.get((uid, CONNECT, TooMany.kind))
        if fold is not None:
            fold.add(self._now())
            return
        owner = Owner(uid, uid, known_name(uid))
        refused = TooMany("too many connections at once, or too often")
        self.refuse(AuditEntry(owner, "admin" if uid == 0 else "user", CONNECT, False), refused)

    async def run(self) -> None:
        """Write the gathered lines, a few at a time, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            await asyncio.sleep(FLUSH_SECONDS)
            self._wake.clear()
            self._end_folds(self._now() - FOLD_SECONDS)
            await self._write()
            if self._folds or self._waiting:
                loop.call_later(LATER_SECONDS, self._wake.set)

    async def close(self) -> None:
        """Write the remaining lines."""
        self._end_folds(float("inf"))
        await self._write()

    def _end_folds(self, started_before: float) -> None:
        for key, fold in list(self._folds.items()):
            if fold.first.at <= started_before:
                del self._folds[key]
                if fold.more:
                    self._put(fold.line())

    def _put(self, line: AuditLine) -> None:
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(line)
        self._wake.set()

    async def _write(self) -> None:
        lines, self._waiting = self._waiting, []
        if not lines:
            return
        try:
            await self._committer.commit(Changes(audit=lines))
        except InternalError as error:
            log.error("%d lines of the audit are lost: %s", len(lines), error.message)
        except LauncherError as error:
            log.warning("%d lines of the audit wait to be written: %s", len(lines), error.message)
            self._waiting = [*lines, *self._waiting][:MOST_WAITING]


@dataclass(slots=True)
class _Fold:
    """The refusals of one user, route and kind that follow a first one within a minute."""

    first: AuditLine
    more: int = 0
    since: float = 0.0
    until: float = 0.0

    def add(self, at: float) -> None:
        """Count one more refusal."""
        self.since = self.since if self.more else at
        self.more, self.until = self.more + 1, at

    def line(self) -> AuditLine:
        """Return the line of all refusals but the first."""
        values = {name: getattr(self.first, name) for name in AuditLine.__slots__}
        return AuditLine(**values | {"at": self.since, "until": self.until, "count": self.more})


def _cut(text: str) -> str:
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= MOST_LETTERS else line[: MOST_LETTERS - 1] + "…"
