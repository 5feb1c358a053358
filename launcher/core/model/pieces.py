"""Work that grows with what a user asks, in pieces: who does it may do something else in between.

Nothing else may be decided meanwhile, but others may look at the world.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Pieces = Generator[None, None, T]
"""Yields between two pieces, and returns a result."""
PIECE = 100
"""How many jobs make a piece."""


def whole(pieces: Pieces[T]) -> T:
    """Do all pieces at once and return the result.

    >>> def three():
    ...     yield
    ...     return 3
    >>> whole(three())
    3
    """
    while True:
        try:
            next(pieces)
        except StopIteration as done:
            result: T = done.value
            return result
