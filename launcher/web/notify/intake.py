"""Makes deliveries of notifications: a few a minute for each user, the rest summed up."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from launcher import wire
from launcher.spec.notify import NotifyTarget
from launcher.web.notify import bounds
from launcher.web.notify.deliveries import Delivery, sum_id
from launcher.web.notify.messages import document_of

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Window:
    """The notifications of one user from a time on, for a minute."""

    start: float
    count: int = 0


@dataclass(slots=True)
class _Room:
    """How many deliveries and sums wait, with those that are being made."""

    waiting: Counter[int] = field(default_factory=Counter)
    sums: Counter[int] = field(default_factory=Counter)

    def count(self, delivery: Delivery) -> None:
        (self.sums if delivery.is_sum else self.waiting)[delivery.uid] += 1

    def has(self, uid: int) -> bool:
        return (
            self.waiting[uid] < bounds.MOST_WAITING_OF_USER
            and self.waiting.total() < bounds.MOST_WAITING
        )

    def has_for_sum(self, uid: int) -> bool:
        return self.sums[uid] < bounds.MOST_SUMS_OF_USER and self.sums.total() < bounds.MOST_SUMS


class Intake:
    """Counts the notifications of each user. ``per_minute`` is how many of one are sent."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._windows: dict[int, _Window] = {}

    def deliveries(
        self,
        notifications: Iterable[wire.Notification],
        waiting: Mapping[str, Delivery],
        now: float,
    ) -> list[Delivery]:
        """Return the deliveries to add or replace; ``now`` is seconds since 1970."""
        made: dict[str, Delivery] = {}
        room = _Room()
        for each in waiting.values():
            room.count(each)
        for one in notifications:
            for number, target in enumerate(one.targets):
                self._take(one, number, target, made, waiting, room, now)
        return list(made.values())

    def _take(
        self,
        one: wire.Notification,
        number: int,
        target: NotifyTarget,
        made: dict[str, Delivery],
        waiting: Mapping[str, Delivery],
        room: _Room,
        now: float,
    ) -> None:
        window = self._window(one.uid, now)
        event, user = one.event, one.event.user or str(one.uid)
        document = document_of(event)
        if window.count < self._per_minute and room.has(one.uid):
            window.count += 1
            subject = event.job or event.array
            delivery = Delivery(
                id=f"{event.seq}.{number}",
                uid=one.uid,
                user=user,
                target=target,
                job=None if subject is None else subject.id,
                document=document,
                due=now,
            )
            made[delivery.id] = delivery
            room.count(delivery)
            return
        key, due = sum_id(one.uid, target), window.start + bounds.MINUTE
        known = made.get(key) or waiting.get(key)
        if known is not None:
            made[key] = dataclasses.replace(known, more=known.more + 1, document=document)
        elif room.has_for_sum(one.uid):
            made[key] = Delivery(
                id=key, uid=one.uid, user=user, target=target, document=document, more=1, due=due
            )
            room.count(made[key])
        else:
            log.warning("notifications of %s: one above the limits is dropped", user)

    def _window(self, uid: int, now: float) -> _Window:
        window = self._windows.get(uid)
        if window is None or not 0 <= now - window.start < bounds.MINUTE:
            if len(self._windows) >= bounds.MOST_WINDOWS:
                self._windows.clear()
            window = self._windows[uid] = _Window(now)
        return window
