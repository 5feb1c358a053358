"""Limits of the kernel for a job's processes (setrlimit(2)), as Docker and Compose write them."""

from __future__ import annotations

import re

from launcher.spec.job_spec import ULIMITS, Ulimit

_NUMBER = re.compile(r"-1|\d{1,18}", re.ASCII)


def parse_ulimit(text: str) -> tuple[str, Ulimit]:
    """Return name and limits of ``NAME=SOFT[:HARD]``; -1 means unlimited.

    >>> parse_ulimit("stack=67108864")
    ('stack', Ulimit(soft=67108864, hard=67108864))
    """
    name, equals, limits = text.partition("=")
    if not equals:
        raise ValueError(f"'{text[:60]}' is not a limit: write NAME=SOFT or NAME=SOFT:HARD")
    soft, colon, hard = limits.partition(":")
    return check_name(name), limit(number(soft), number(hard) if colon else number(soft))


def check_name(name: str) -> str:
    """Return the name of a limit that a job may set."""
    if name == "core":
        raise ValueError("'core': jobs write no core dumps")
    if name not in ULIMITS:
        raise ValueError(f"'{name[:40]}' is not a limit that a job can set: {', '.join(ULIMITS)}")
    return name


def number(text: str) -> int:
    """Return one limit."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"'{text[:40]}' is not a limit: write a whole number, or -1 for unlimited")
    return int(text)


def limit(soft: int, hard: int) -> Ulimit:
    """Return the two limits together."""
    if hard != -1 and not 0 <= soft <= hard:
        raise ValueError(f"the soft limit {soft} is above the hard limit {hard}")
    return Ulimit(soft, hard)
