"""What a job waits for in another one, as text: Slurm's words."""

from __future__ import annotations

import re

CONDITIONS = ("afterok", "afternotok", "afterany", "after", "aftercorr")
"""It completed, did not complete, ended, started, or its element of the same index completed."""
MOST_MINUTES = 366 * 24 * 60
_DELAYED = re.compile(r"after\+(\d{1,6})", re.ASCII)


def parse_condition(text: str) -> tuple[str, int]:
    """Return a condition's word and minutes: ``after+10`` is ten minutes after the start.

    Raises ``ValueError`` for another text.

    >>> parse_condition("afterok"), parse_condition("after+10")
    (('afterok', 0), ('after', 10))
    """
    if text in CONDITIONS:
        return text, 0
    match = _DELAYED.fullmatch(text)
    if match is None or int(match[1]) > MOST_MINUTES:
        raise ValueError(
            f"'{text[:40]}' is not a condition: write {', '.join(CONDITIONS)} or after+MINUTES"
            f" (up to {MOST_MINUTES})"
        )
    return "after", int(match[1])
