"""What this machine takes for some plain work: limits of processor time are in these terms too."""

from __future__ import annotations

import time


def plain_work() -> float:
    """Return the seconds of its own that some plain work takes: 10 ms where limits were set."""
    took = []
    for _ in range(10):
        before = time.thread_time()
        rows = [{"a": str(number), "b": number % 7} for number in range(20_000)]
        sum(all(row[key] != value for key, value in (("a", "5"), ("b", 3))) for row in rows)
        took.append(time.thread_time() - before)
    return min(took)
