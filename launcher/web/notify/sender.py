"""Tries each delivery until it is sent or given up; slow receivers delay only their own users."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Protocol, TypeVar

from launcher import wire
from launcher.config.notify import NotifyTable
from launcher.web.notify import bounds, messages
from launcher.web.notify.deliveries import Delivery, NotSent
from launcher.web.notify.mail import MailSender
from launcher.web.notify.outbox import Outbox, OutboxChange
from launcher.web.notify.webhook import WebhookSender

log = logging.getLogger(__name__)
Target = tuple[str | None, str | None, int]
Key = TypeVar("Key")


class Courier(Protocol):
    """What sends one delivery."""

    async def send(self, delivery: Delivery) -> None:
        """Send it; raises ``NotSent``."""


class TargetCourier:
    """Sends to webhooks and mailboxes."""

    def __init__(self, table: NotifyTable) -> None:
        self._webhooks, self._mails = WebhookSender(table), MailSender(table)

    async def send(self, delivery: Delivery) -> None:
        """Send a delivery to its target; raises ``NotSent``."""
        target = delivery.target
        if target.webhook is not None:
            headers = {**messages.HEADERS, messages.DELIVERY_HEADER: delivery.id}
            await self._webhooks.send(target.webhook, messages.body(delivery), headers)
        else:
            document = messages.document(delivery)
            await self._mails.send(
                target.mail or "", delivery.user, document["title"], document["text"]
            )


class Sender:
    """Sends what is in an outbox. ``now`` returns seconds since 1970."""

    def __init__(
        self,
        outbox: Outbox,
        courier: Courier,
        now: Callable[[], float] = time.time,
        backoff: tuple[float, ...] = bounds.BACKOFF_SECONDS,
    ) -> None:
        self._outbox, self._courier, self._now = outbox, courier, now
        self._backoff = backoff
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._busy: Counter[int] = Counter()
        self._targets: Counter[Target] = Counter()
        self._served: OrderedDict[int, int] = OrderedDict()
        self._turn = 0
        self.wake = asyncio.Event()
        """Set when there are new deliveries."""

    async def run(self) -> None:
        """Send until cancelled; then tries under way get a moment to end."""
        try:
            while True:
                self.wake.clear()
                wait = self._start_due()
                try:
                    async with asyncio.timeout(wait):
                        await self.wake.wait()
                except TimeoutError:
                    pass
        finally:
            await self._finish()

    async def _finish(self) -> None:
        open_tasks = set(self._tasks.values())
        if open_tasks:
            _, left = await asyncio.wait(open_tasks, timeout=bounds.END_SECONDS)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _start_due(self) -> float | None:
        """Start the tries that are due; return after how many seconds the next one is."""
        now = self._now()
        free = bounds.MOST_AT_ONCE - len(self._tasks)
        candidates = self._candidates(now) if free > 0 else {}
        while candidates and free > 0:
            # The user that was served the longest time ago, first those with nothing under way.
            uid = min(candidates, key=lambda uid: (self._busy[uid], self._served.get(uid, 0)))
            delivery = candidates[uid].pop(0)
            if not candidates[uid] or self._busy[uid] + 1 >= bounds.MOST_OF_USER_AT_ONCE:
                del candidates[uid]
            self._start(delivery)
            free -= 1
        later = [each.due - now for each in self._outbox.waiting.values() if each.due > now]
        return min(*later, bounds.MINUTE) if later else None

    def _candidates(self, now: float) -> dict[int, list[Delivery]]:
        """Return the first due deliveries of each user that may be tried now, in one look.

        Of one target it is only the first: they are sent one after the other, in order.
        """
        longest = self._backoff[-1] if self._backoff else bounds.MINUTE
        first: dict[Target, Delivery] = {}
        for each in self._outbox.waiting.values():
            target = _target(each)
            known = first.get(target)
            if known is not None and known.due <= each.due:
                continue
            is_due = each.due <= now or each.due > now + 2 * longest  # the clock was set back
            full = self._busy[each.uid] >= bounds.MOST_OF_USER_AT_ONCE
            if is_due and not full and target not in self._targets:
                first[target] = each
        result: dict[int, list[Delivery]] = {}
        for each in sorted(first.values(), key=lambda each: each.due):
            result.setdefault(each.uid, []).append(each)
        return result

    def _start(self, delivery: Delivery) -> None:
        uid, target = delivery.uid, _target(delivery)
        self._turn += 1
        self._served[uid] = self._turn
        self._served.move_to_end(uid)
        if len(self._served) > bounds.MOST_WINDOWS:
            self._served.popitem(last=False)
        self._busy[uid] += 1
        self._targets[target] += 1
        task = asyncio.create_task(self._try(delivery))
        self._tasks[delivery.id] = task

        def ended(task: asyncio.Task[None]) -> None:
            del self._tasks[delivery.id]
            _less(self._busy, uid)
            _less(self._targets, target)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a delivery failed", exc_info=error)
            self.wake.set()

        task.add_done_callback(ended)

    async def _try(self, waiting: Delivery) -> None:
        """Try once. The try is on record before, so that crashes cannot repeat it endlessly."""
        tries = waiting.tries + 1
        wait = self._backoff[tries - 1] if tries <= len(self._backoff) else None
        due = self._now() + (bounds.MINUTE if wait is None else wait)

        def tried() -> OutboxChange:
            now = self._outbox.waiting[waiting.id]  # a sum may have grown
            return OutboxChange(put=[dataclasses.replace(now, tries=tries, due=due)])

        try:
            await self._outbox.change(tried)
        except OSError as error:
            log.warning("cannot write the outbox, nothing is sent: %s", error.strerror)
            await asyncio.sleep(bounds.AWAY_SECONDS)
            return
        delivery = self._outbox.waiting[waiting.id]
        failures: list[wire.NotifyFailure] = []
        try:
            if tries > len(self._backoff) + 1:
                raise NotSent("the service ended while it was sent", again=False)
            await self._courier.send(delivery)
        except NotSent as failed:
            if failed.again and wait is not None:
                log.info("%s: not sent, tried again in %g s: %s", delivery.id, wait, failed.why)
                return
            log.warning("%s to %s: given up: %s", delivery.id, delivery.target.label, failed.why)
            failures = [_failure(delivery, failed.why)]
        await self._settle(delivery, failures)

    async def _settle(self, sent: Delivery, failures: list[wire.NotifyFailure]) -> None:
        """Take a delivery out; what was summed up meanwhile stays for another one."""

        def change() -> OutboxChange:
            more = self._outbox.waiting[sent.id].more - sent.more
            if not more:
                return OutboxChange(gone=[sent.id], failures=failures)
            due = self._now() + bounds.MINUTE
            left = dataclasses.replace(sent, more=more, tries=0, due=due)
            return OutboxChange(put=[left], failures=failures)

        try:
            await self._outbox.change(change)
        except OSError as error:
            log.warning("cannot write the outbox: %s", error.strerror)


def _less(counter: Counter[Key], key: Key) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def _target(delivery: Delivery) -> Target:
    return delivery.target.webhook, delivery.target.mail, delivery.uid


def _failure(delivery: Delivery, why: str) -> wire.NotifyFailure:
    most = 300
    return wire.NotifyFailure(
        uid=delivery.uid,
        job=delivery.job,
        target=delivery.target.label[:most],
        detail=f"{why}, {delivery.more} were summed up"[:most] if delivery.is_sum else why[:most],
    )
