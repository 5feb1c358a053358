"""What this machine takes for some plain work: limits of processor time are in these terms."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

ROUNDS = 10


def plain_work() -> float:
    """Return the seconds of its own that some plain work takes: 10 ms where limits were set."""
    return min(own_seconds(_work) for _ in range(ROUNDS))


def cost(work: Callable[[], object], most: float = 100) -> float:
    """Return what `work` takes in units of `plain_work`: the best of some rounds, or below `most`.

    Others take the machine away for a while, so both are measured next to each other.
    """
    best = math.inf
    for _ in range(ROUNDS):
        best = min(best, own_seconds(work) / own_seconds(_work))
        if best < most:
            break
    return best


def own_seconds(work: Callable[[], object]) -> float:
    """Return the processor time that `work` takes of this thread, in seconds."""
    before = time.thread_time()
    work()
    return time.thread_time() - before


def _work() -> None:
    rows = [{"a": str(number), "b": number % 7} for number in range(20_000)]
    sum(all(row[key] != value for key, value in (("a", "5"), ("b", 3))) for row in rows)
