"""The GiB-seconds of slices that users leased since the start of the daemon."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from launcher.core.messages.changes import Changes
from launcher.core.model.lease import Lease
from launcher.core.model.use import Use
from launcher.daemon.metrics.amounts import OTHER

MOST_USERS = 50
"""The users with an amount of their own; those of all further ones are one amount.

A user keeps it as long as the daemon runs: amounts must never fall, which the amount of the others
would if somebody left them.
"""
MIB_PER_GIB = 1024.0
Key = tuple[int, int, str]


@dataclass(slots=True)
class _Held:
    user: str
    gib: float
    since: float


class SliceHours:
    """Adds up what leases hold. Times are CLOCK_BOOTTIME seconds, which no clock step changes."""

    def __init__(self) -> None:
        self._amounts: defaultdict[str, float] = defaultdict(float)
        self._held: dict[Key, _Held] = {}
        """One entry for each live lease."""

    def resume(self, leases: Iterable[tuple[str, Lease]], uses: Iterable[Use], now: float) -> None:
        """Begin with the live leases, each with its user; the greatest past users come first."""
        for use in sorted(uses, key=lambda use: -use.amount)[:MOST_USERS]:
            self._amounts[use.user] += 0.0
        for user, lease in leases:
            self._hold(user, lease, now)

    def changed(self, changes: Changes, users: Mapping[int, str], now: float) -> None:
        """Follow the leases of a committed decision; ``users`` are the owners' names by job."""
        for key, lease in changes.leases.items():
            if lease.released_at is None:
                self._hold(users.get(lease.job, OTHER), lease, now)
            elif (held := self._held.pop(key, None)) is not None:
                self._add(held, now)

    def totals(self, now: float) -> dict[str, float]:
        """Return the amounts by user, with those of live leases up to now."""
        for held in self._held.values():
            self._add(held, now)
        return dict(self._amounts)

    def _hold(self, user: str, lease: Lease, now: float) -> None:
        key = lease.job, lease.attempt, lease.slice.uuid
        if key not in self._held:
            self._held[key] = _Held(user, lease.slice.share_mib / MIB_PER_GIB, now)

    def _add(self, held: _Held, now: float) -> None:
        user = held.user
        if user not in self._amounts and len(self._amounts) >= MOST_USERS:
            user = OTHER
        self._amounts[user] += held.gib * max(0.0, now - held.since)
        held.since = max(held.since, now)
