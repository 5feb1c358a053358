"""The indices of an array as Slurm writes them: ``0-99%7``, ``1,3,5``, ``0-9:2``.

Raises ``ValueError`` with a message for people.
"""

from __future__ import annotations

import re
from collections import Counter

from launcher.spec.job_spec import ArrayRequest

_PART = re.compile(r"(\d{1,10})(?:-(\d{1,10})(?::(\d{1,10}))?)?", re.ASCII)
_PARALLEL = re.compile(r"0*[1-9]\d{0,5}", re.ASCII)
MOST_PARTS = 10_000
_MOST = ArrayRequest.MAX_ELEMENTS


def parse_array(text: str) -> ArrayRequest:
    """Return the elements of ``N``, ``N-M`` and ``N-M:STEP`` with commas, and ``%K`` at once.

    >>> parse_array("0-6:3,8%2")
    ArrayRequest(indices=[0, 3, 6, 8], max_parallel=2)
    """
    listed, percent, most = text.strip().partition("%")
    indices: list[int] = []
    if listed.count(",") >= MOST_PARTS:
        raise ValueError(f"'{text[:40]}…' has more than {MOST_PARTS} parts: write ranges")
    for part in listed.split(","):
        result = _range(part.strip())
        if len(indices) + len(result) > _MOST:
            raise ValueError(f"'{text[:40]}' has more than {_MOST} elements")
        indices += result
    if len(set(indices)) < len(indices):
        twice = next(index for index, times in Counter(indices).items() if times > 1)
        raise ValueError(f"the index {twice} is there twice")
    max_parallel = parse_max_parallel(most) if percent else None
    return ArrayRequest(indices=indices, max_parallel=max_parallel)


def parse_max_parallel(text: str) -> int:
    """Return how many elements may run at once: from 1 to as many as an array can have."""
    word = text.strip()
    if not _PARALLEL.fullmatch(word) or int(word) > _MOST:
        raise ValueError(
            f"'{text[:32]}' is not a valid number of jobs at once: "
            f"write a whole number from 1 to {_MOST}"
        )
    return int(word)


def _range(part: str) -> range:
    match = _PART.fullmatch(part)
    if not match:
        raise ValueError(
            f"'{part[:32]}' is not a valid index or range: write 0-99, 1,3,5 or 0-9:2,"
            " and %7 behind it for 7 at once"
        )
    first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
    if max(first, last) > ArrayRequest.MAX_INDEX:
        raise ValueError(f"'{part}' goes beyond the last index, {ArrayRequest.MAX_INDEX}")
    if last < first:
        raise ValueError(f"'{part}' goes down: write the lower index first, {last}-{first}")
    if step == 0:
        raise ValueError(f"'{part}' has a step of 0: write 1 or more")
    return range(first, last + 1, step)
