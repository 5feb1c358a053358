"""How much `make test` does of what `make soak` does whole."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")
_whole = False


def do_it_whole(whole: bool) -> None:
    """Set for this process whether tests run as long as `make soak` wants them (``--whole``)."""
    global _whole
    _whole = whole


def many(some: T, whole: T) -> T:
    """Return how much is done: ``some``, or ``whole`` in `make soak`."""
    return whole if _whole else some
