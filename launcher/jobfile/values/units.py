"""Durations and sizes as people write them. What is ambiguous is refused, with what to write.

Every parser raises ``ValueError`` with a message for people; the caller adds where it stood.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.spec.job_spec import Ulimit

MAX_SECONDS = 366 * 86400
MAX_BYTES = 1 << 50

# Patterns are compiled when they are first used: most commands need one of them, or none.
_PARTS = r"(?a)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?"
_CLOCK = r"(?a)(?:(\d+)-)?(\d{1,4}):(\d{2}):(\d{2})"
_DAYS = r"(?a)(\d+)-(\d{1,2})(:\d{2})?"
_NUMBER = r"(?a)\d+(?:\.\d+)?"
_SHORT_CLOCK = r"(?a)(\d+):(\d{2})"
_SIZE = r"(?a)(\d+(?:\.\d+)?)\s*([a-z]*)"
_FACTORS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_HOW = "write 4h, 90m, 30s, 1h30m or HH:MM:SS"
_ULIMIT = r"(?a)-1|\d{1,18}"


def parse_duration(text: str, most: float = MAX_SECONDS) -> float:
    """Return the seconds of ``4h``, ``90m``, ``1h30m``, ``2d``, ``[D-]HH:MM:SS`` or ``D-HH[:MM]``.

    >>> parse_duration("1h30m"), parse_duration("1-00:00:30")
    (5400.0, 86430.0)
    """
    word = text.strip().lower()
    if len(word) > 32:
        raise ValueError(f"'{word[:32]}…' is not a valid duration: {_HOW}")
    if days := re.fullmatch(_DAYS, word):  # Slurm's
        word = f"{word}:00" if days[3] else f"{word}:00:00"
    seconds = _clock_seconds(word) if ":" in word else _part_seconds(word)
    if seconds > most:
        years = round(most / MAX_SECONDS)
        raise ValueError(f"'{text}' is more than {'a year' if years <= 1 else f'{years} years'}")
    return seconds


def _part_seconds(word: str) -> float:
    match = re.fullmatch(_PARTS, word)
    if match and word:
        days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return days * 86400 + hours * 3600 + minutes * 60 + seconds
    if re.fullmatch(_NUMBER, word):
        raise ValueError(f"'{word}' has no unit: write {word}s, {word}m or {word}h")
    raise ValueError(f"'{word}' is not a valid duration: {_HOW}")


def _clock_seconds(word: str) -> float:
    match = re.fullmatch(_CLOCK, word)
    if not match:
        short = re.fullmatch(_SHORT_CLOCK, word)
        if short:
            first = short.group(1)
            raise ValueError(f"'{word}' can be read two ways: write {first}h, {first}m or HH:MM:SS")
        raise ValueError(f"'{word}' is not a valid duration: {_HOW}")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    if minutes > 59 or seconds > 59 or (match.group(1) is not None and hours > 23):
        raise ValueError(
            f"'{word}' is not a valid duration: minutes and seconds go up to 59, hours to 23"
        )
    return float(days * 86400 + hours * 3600 + minutes * 60 + seconds)


def parse_size(text: str) -> int:
    """Return the bytes of ``8g``, ``64m``, ``1024k``, ``512b``, ``8gb``, ``8GiB`` or a number.

    As in Docker every unit is a power of 1024.

    >>> parse_size("64m") == parse_size("64MiB") == 64 * 1024 * 1024
    True
    """
    word = text.strip().lower()
    match = re.fullmatch(_SIZE, word) if len(word) <= 32 else None
    unit = match.group(2) if match else ""
    short = unit[:1] if unit[1:] in ("", "b", "ib") and unit != "bb" else unit
    if not match or short not in _FACTORS:
        raise ValueError(
            f"'{text[:32]}' is not a valid size: write 8g, 64m, 1024k or a number of bytes"
        )
    size = int(float(match.group(1)) * 1024 ** _FACTORS[short])
    if size > MAX_BYTES:
        raise ValueError(f"'{text}' is more than a pebibyte")
    return size


def parse_count(text: str, *, most: int = 128) -> int:
    """Return a count from 1 to ``most``."""
    if not re.fullmatch(r"[1-9]\d{0,3}", text.strip(), re.ASCII) or int(text) > most:
        raise ValueError(
            f"'{text[:32]}' is not a valid count: write a whole number from 1 to {most}"
        )
    return int(text)


def parse_cpus(text: str) -> float:
    """Return a number of cores, such as ``4`` or ``0.5``."""
    word = text.strip()
    if not re.fullmatch(_NUMBER, word) or not 0.01 <= float(word) <= 4096:
        raise ValueError(f"'{text[:32]}' is not a valid number of cores: write 4 or 0.5")
    return float(word)


def parse_priority(text: str) -> int:
    """Return a priority from 0 to 1000; who may ask for more than 50 is the daemon's to say."""
    word = text.strip()
    if not re.fullmatch(r"\d{1,4}", word, re.ASCII) or int(word) > 1000:
        raise ValueError(
            f"'{text[:32]}' is not a valid priority: write a whole number from 0 to 1000"
        )
    return int(word)


def parse_port(text: str) -> int:
    """Return a container's port.

    >>> parse_port("8888"), parse_port("6006/tcp")
    (8888, 6006)
    """
    number = text.removesuffix("/tcp")
    if ":" in number:
        inside = number.rpartition(":")[2][:5]
        raise ValueError(
            f"'{text[:40]}': a port of this machine would be open to all of its users: write the"
            f" container's port alone ({inside}), and `launch port JOB` says how to reach it"
        )
    if not (number.isascii() and number.isdecimal() and 0 < int(number[:6]) < 65536):
        raise ValueError(f"'{text[:40]}' is not a port: a number from 1 to 65535")
    return int(number)


def parse_ulimit(text: str) -> tuple[str, Ulimit]:
    """Return name and limits of ``NAME=SOFT[:HARD]``; -1 means unlimited.

    >>> parse_ulimit("stack=67108864")
    ('stack', Ulimit(soft=67108864, hard=67108864))
    """
    name, equals, limits = text.partition("=")
    if not equals:
        raise ValueError(f"'{text[:60]}' is not a limit: write NAME=SOFT or NAME=SOFT:HARD")
    soft, colon, hard = limits.partition(":")
    return check_ulimit(name), ulimit(
        ulimit_number(soft), ulimit_number(hard) if colon else ulimit_number(soft)
    )


def check_ulimit(name: str) -> str:
    """Return the name of a limit that a job may set."""
    from launcher.spec.job_spec import ULIMITS

    if name == "core":
        raise ValueError("'core': jobs write no core dumps")
    if name not in ULIMITS:
        raise ValueError(f"'{name[:40]}' is not a limit that a job can set: {', '.join(ULIMITS)}")
    return name


def ulimit_number(text: str) -> int:
    """Return one limit."""
    if not re.fullmatch(_ULIMIT, text):
        raise ValueError(f"'{text[:40]}' is not a limit: write a whole number, or -1 for unlimited")
    return int(text)


def ulimit(soft: int, hard: int) -> Ulimit:
    """Return the two limits together."""
    from launcher.spec.job_spec import Ulimit

    if hard != -1 and not 0 <= soft <= hard:
        raise ValueError(f"the soft limit {soft} is above the hard limit {hard}")
    return Ulimit(soft, hard)
