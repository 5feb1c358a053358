"""The single loop that decides: events in, one commit, then replies and actions.

Many waiting events are handled in one transaction. If a commit fails, its decisions are discarded:
no reply is sent, no action is started, the world is read again, and the observations are decided
again. Until a commit works the daemon is read-only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast

from launcher.core.dispatch import decide_in_pieces, serve
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action
from launcher.core.messages.changes import Changes
from launcher.core.model.job import Job
from launcher.core.recovery.reconcile import take_up
from launcher.core.world.inventory import take_inventory
from launcher.core.world.publishing import faults_of, machine_events
from launcher.core.world.world import World
from launcher.crashpoints import crashpoint
from launcher.daemon.loop import audit_log, clock
from launcher.daemon.loop.audit_log import AuditEntry
from launcher.daemon.loop.committer import Committer
from launcher.daemon.loop.logging_setup import about_event
from launcher.daemon.loop.pauses import Pauses
from launcher.errors import InternalError, LauncherError, ReadOnlyState, StateDirError

log = logging.getLogger(__name__)

BATCH = 512
RETRY_SECONDS = 1.0


@dataclass(slots=True)
class QueuedEvent:
    """An event whose sender waits for a reply, or an observation without a reply."""

    event: ev.Event
    reply: asyncio.Future[Any] | None = None
    entry: AuditEntry | None = None
    """The request that it belongs to, whose line of the audit log is committed with it."""


@dataclass(slots=True)
class PendingReply:
    """A reply that may be sent once the decision is durable."""

    reply: asyncio.Future[Any]
    result: Any
    error: LauncherError | None = None


class EventLoop:
    """Owns the world: no other component changes it."""

    def __init__(
        self,
        world: World,
        committer: Committer,
        dispatch: Callable[[Action], None],
        changed: Callable[[Changes], None],
        spent: Callable[[int], AbstractContextManager[None]] = lambda _: contextlib.nullcontext(),
        decided: Callable[[Changes, Sequence[ev.Event]], Iterable[None]] = lambda *_: (),
    ) -> None:
        """``spent`` charges a block's time to the uid of the request that it belongs to.

        ``decided`` is called with each decision and its events once it is durable; others may
        read the world between its steps.
        """
        self.world = world
        self.read_only: str | None = None
        self._committer = committer
        self._dispatch = dispatch
        self._changed = changed
        self._spent, self._counted = spent, decided
        self._queue: asyncio.Queue[QueuedEvent] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self.inventory: ev.InventoryRead | None = None
        """The last report of NVML."""
        self._again: list[QueuedEvent] = []
        self._committing = Changes()

    @property
    def waiting(self) -> int:
        """The number of events that wait for their decision."""
        return self._queue.qsize()

    def changed(self, job_id: int) -> Job | None:
        """Return a job that leaves the world by the current or the last decision.

        The store still has its earlier state, but a caller that saw its end must not see it run.
        """
        return self.world.changes.jobs.get(job_id) or self._committing.jobs.get(job_id)

    async def request(self, event: ev.Event) -> Any:
        """Submit an event; return the result of ``decide`` once it is durable.

        Raises the error of ``decide``, or ``ReadOnlyState`` if the store accepts no commits.
        """
        self.must_commit()
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put_nowait(QueuedEvent(event, reply, audit_log.present()))
        return await reply

    def must_commit(self) -> None:
        """Raise ``ReadOnlyState`` if the store accepts no commits now."""
        if self.read_only:
            raise ReadOnlyState(f"the daemon is read-only: {self.read_only}")

    async def request_all(
        self, events: Iterable[ev.Event], *passed_over: type[LauncherError]
    ) -> None:
        """Submit many events that are decided together; refusals of these kinds are skipped.

        Raises the first other refusal, or the first of all if every event was refused.
        """
        replies = await asyncio.gather(*map(self.request, events), return_exceptions=True)
        refused = [reply for reply in replies if isinstance(reply, BaseException)]
        grave = [reply for reply in refused if not isinstance(reply, passed_over)]
        if grave or (refused and len(refused) == len(replies)):
            raise (grave or refused)[0]

    def post(self, *events: ev.Event) -> None:
        """Report observations, from any thread; they are decided together."""
        self._loop.call_soon_threadsafe(self._put, events)

    def _put(self, events: tuple[ev.Event, ...]) -> None:
        for event in events:
            self._queue.put_nowait(QueuedEvent(event))

    async def run(self) -> None:
        """Decide until cancelled."""
        while True:
            batch, self._again = self._again or [await self._queue.get()], []
            while not self._queue.empty() and len(batch) < BATCH:
                batch.append(self._queue.get_nowait())
            await self._decide(batch)

    async def _decide(self, batch: list[QueuedEvent]) -> None:
        now = clock.now()
        actions: list[Action] = []
        replies: list[PendingReply] = []
        entries: dict[AuditEntry, None] = {}
        pauses = Pauses()
        faults = faults_of(self.world)
        for queued in batch:
            actions += await self._apply(queued, now, replies, entries, pauses)
            await pauses.rest()
        actions += serve(self.world, now)
        changes = self._committing = self.world.take_changes()
        changes.events += machine_events(changes, faults, faults_of(self.world), now.wall)
        changes.audit = [entry.line(now.wall) for entry in entries if entry.unwritten]
        if changes.clock_step:
            log.warning("the wall clock was set by %+.0f s", changes.clock_step)
        if (changes or self.read_only) and not await self._commit(changes, batch, replies):
            return
        for entry in entries:
            entry.written = True
        for decided in replies:
            self._send_reply(decided)
        if actions:
            crashpoint("actions:before")
        for action in actions:
            self._dispatch(action)
        self._changed(changes)
        for _ in self._counted(changes, [queued.event for queued in batch]):
            await pauses.rest()
        self._committing = Changes()

    async def _apply(
        self,
        queued: QueuedEvent,
        now: ev.Now,
        replies: list[PendingReply],
        entries: dict[AuditEntry, None],
        pauses: Pauses,
    ) -> list[Action]:
        reply: Any = None
        error: LauncherError | None = None
        actions: list[Action] = []
        try:
            reply, actions = await self._decided(queued, now, pauses)
            if queued.entry is not None:
                queued.entry.accept(queued.event, reply)
                entries[queued.entry] = None
        except InternalError as bug:
            about_event(log, queued.event).exception("an event was refused")
            error = bug
        except LauncherError as refused:
            error = refused
        if isinstance(queued.event, ev.InventoryRead):
            self.inventory = queued.event
        if queued.reply is not None:
            replies.append(PendingReply(queued.reply, reply, error))
        elif error is not None and not isinstance(error, InternalError):
            about_event(log, queued.event).warning("an observation was refused: %s", error)
        return actions

    async def _decided(
        self, queued: QueuedEvent, now: ev.Now, pauses: Pauses
    ) -> tuple[Any, list[Action]]:
        """Decide one event. Between two steps others may read the world, but not change it."""
        pieces = decide_in_pieces(self.world, queued.event, now)
        while True:
            with self._spent(queued.entry.owner.uid) if queued.entry else contextlib.nullcontext():
                try:
                    while not pauses.due:
                        next(pieces)
                except StopIteration as done:
                    return cast(tuple[Any, list[Action]], done.value)
            await pauses.rest()

    @staticmethod
    def _send_reply(decided: PendingReply) -> None:
        if decided.reply.done():
            return
        if decided.error is not None:
            decided.reply.set_exception(decided.error)
        else:
            decided.reply.set_result(decided.result)

    async def _commit(
        self, changes: Changes, batch: list[QueuedEvent], replies: list[PendingReply]
    ) -> bool:
        try:
            await self._committer.commit(changes)
        except (StateDirError, InternalError) as failed:
            log.error("a commit failed, the daemon is read-only: %s", failed.message)
            self.read_only = failed.message
            self._committing = Changes()
            for decided in replies:
                decided.error = decided.error or ReadOnlyState(
                    f"the daemon is read-only: {failed.message}", fix=failed.fix
                )
                self._send_reply(decided)
            self._again = [QueuedEvent(a.event) for a in batch if a.reply is None] or [
                QueuedEvent(ev.Tick())
            ]
            await self._start_over()
            return False
        if self.read_only:
            log.warning("commits work again")
            self.read_only = None
        return True

    async def _start_over(self) -> None:
        """Read the world again until that works; then decide the observations again."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                world = await self._committer.load(self.world.cpu_slots, self.world.rules)
                break
            except StateDirError as failed:
                self.read_only = failed.message
        old, now = self.world, clock.now()
        world.engine_down, world.gpu_down = old.engine_down, old.gpu_down
        world.reconciling, world.draining = old.reconciling, old.draining
        world.boot = old.boot
        world.groups = old.groups
        if self.inventory is not None:
            # Not as an event: its effects are already in the stored world.
            take_inventory(world, self.inventory)
        self.world = world
        for action in take_up(world, now):
            self._dispatch(action)
