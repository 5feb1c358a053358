"""The indices of an array as text: client and daemon write them here, and so in one way."""

from __future__ import annotations

from collections.abc import Iterable


def ranges(indices: Iterable[int]) -> str:
    """Return indices as people write them, in order.

    >>> ranges([0, 1, 2, 9, 4, 5])
    '0-2,4-5,9'
    """
    found: list[list[int]] = []
    for index in sorted(indices):
        if found and index == found[-1][1] + 1:
            found[-1][1] = index
        else:
            found.append([index, index])
    return ",".join(f"{a}-{b}" if a < b else f"{a}" for a, b in found)
