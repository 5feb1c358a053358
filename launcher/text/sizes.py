"""Sizes as tables show them."""

from __future__ import annotations

MIB, GIB = 2**20, 2**30


def size_text(size: int) -> str:
    """Return bytes in the unit that people read.

    >>> size_text(3 * 2**20), size_text(3 * 2**29)
    ('3MiB', '1.5GiB')
    """
    return f"{size / GIB:.1f}GiB" if size >= GIB else f"{size / MIB:.0f}MiB"
