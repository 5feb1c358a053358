"""The one way tests wait: for something to become true, never for time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FIRST_S, MOST_S = 0.005, 0.1
"""Between two looks: a tenth of the time that was waited already, within these. A look is often a
request, and a hundred a second take half a core."""


def wait_until(predicate: Callable[[], T], timeout: float = 10.0, what: str = "") -> T:
    """Return the predicate's first truthy value; AssertionError after ``timeout`` seconds."""
    since = time.monotonic()
    while True:
        value = predicate()
        if value:
            return value
        waited = time.monotonic() - since
        if waited > timeout:
            raise AssertionError(
                f"not within {timeout} s: {what or predicate}; the last value was {value!r}"
            )
        time.sleep(min(max(FIRST_S, waited / 10), MOST_S))
