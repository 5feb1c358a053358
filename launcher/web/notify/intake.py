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
from launcher.web.notify.deliveries import Delivery, Document, sum_id
from launcher.web.notify.messages import document_of

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Window:
    """The notifications of one user from a time on, for a minute."""

    start: float
    count: int = 0


@dataclass(slots=True)
class _Room:
    """How many deliveries and sums wait, by user and in all, with those that are being made."""

    waiting: Counter[int] = field(default_factory=Counter)
    sums: Counter[int] = field(default_factory=Counter)
    all_waiting: int = 0
    all_sums: int = 0

    def count(self, delivery: Delivery) -> None:
        if delivery.is_sum:
            self.sums[delivery.uid] += 1
            self.all_sums += 1
        else:
            self.waiting[delivery.uid] += 1
            self.all_waiting += 1

    def has(self, uid: int) -> bool:
        of_user, of_all = bounds.MOST_WAITING_OF_USER, bounds.MOST_WAITING
        return self.waiting[uid] < of_user and self.all_waiting < of_all

    def has_for_sum(self, uid: int) -> bool:
        return self.sums[uid] < bounds.MOST_SUMS_OF_USER and self.all_sums < bounds.MOST_SUMS


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
            document = document_of(one.event)
            for number, target in enumerate(one.targets):
                new = self._delivery(one, number, target, document, room, now)
                self._add(new, made, waiting, room)
        return list(made.values())

    def _delivery(
        self,
        one: wire.Notification,
        number: int,
        target: NotifyTarget,
        document: Document,
        room: _Room,
        now: float,
    ) -> Delivery:
        """Return the delivery to a target, or above the user's limits a sum of one."""
        window, event = self._window(one.uid, now), one.event
        subject = event.job or event.array
        made = Delivery(
            id=f"{event.seq}.{number}",
            uid=one.uid,
            user=event.user or str(one.uid),
            target=target,
            job=None if subject is None else subject.id,
            document=document,
            due=now,
        )
        if window.count < self._per_minute and room.has(one.uid):
            window.count += 1
            return made
        due = window.start + bounds.MINUTE
        return dataclasses.replace(made, id=sum_id(one.uid, target), more=1, due=due)

    def _add(
        self, new: Delivery, made: dict[str, Delivery], waiting: Mapping[str, Delivery], room: _Room
    ) -> None:
        """Add a delivery; a sum grows the one that waits."""
        known = made.get(new.id) or waiting.get(new.id) if new.is_sum else None
        if known is not None:
            new = dataclasses.replace(
                known, more=known.more + 1, document=new.document, job=new.job
            )
        elif new.is_sum and not room.has_for_sum(new.uid):
            log.warning("notifications of %s: one above the limits is dropped", new.user)
            return
        else:
            room.count(new)
        made[new.id] = new

    def _window(self, uid: int, now: float) -> _Window:
        window = self._windows.get(uid)
        if window is None or not 0 <= now - window.start < bounds.MINUTE:
            if len(self._windows) >= bounds.MOST_WINDOWS:
                self._windows.clear()
            window = self._windows[uid] = _Window(now)
        return window
