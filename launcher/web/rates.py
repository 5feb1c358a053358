"""How often pages are requested: token buckets by address, and one for all addresses."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from launcher.errors import TooMany
from launcher.web import bounds


@dataclass(slots=True)
class PageBudget:
    """Requests that are saved up: ``rate`` a second, at most ``most``."""

    rate: float
    most: float
    level: float
    at: float

    def take(self, now: float) -> bool:
        """Take one; return whether there was one."""
        self.level = min(self.most, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


class PageRates:
    """The budgets of all addresses. ``now`` is in seconds, from any origin."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        rate, most = bounds.ALL_PAGES_PER_SECOND, bounds.ALL_PAGES_AT_ONCE
        self._all = PageBudget(rate, most, most, now())
        self._by_address: OrderedDict[str, PageBudget] = OrderedDict()

    def request(self, address: str) -> None:
        """Count a request from an address ('' for loopback); raises ``TooMany``."""
        now = self._now()
        if address:
            rate, most = bounds.PAGES_PER_SECOND, bounds.PAGES_AT_ONCE
            budget = self._by_address.setdefault(address, PageBudget(rate, most, most, now))
            self._by_address.move_to_end(address)
            if len(self._by_address) > bounds.MOST_ADDRESSES:
                self._by_address.popitem(last=False)
            if not budget.take(now):
                raise TooMany("too many requests for pages: wait a moment")
        if not self._all.take(now):
            raise TooMany("too many requests for pages: wait a moment")
