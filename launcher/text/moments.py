"""Moments and lengths of time as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def since(start: str, end: datetime) -> str | None:
    """Return the time from a moment of the wire to another."""
    begun = moment(start)
    return span((end - begun).total_seconds()) if begun else None


def moment(text: str | None) -> datetime | None:
    """Return a moment of the wire."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def second(text: str) -> str:
    """Return a moment of the wire without what is less than a second."""
    at = moment(text)
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at else text


def span(seconds: float) -> str:
    """Return a length of time in its two largest units.

    >>> span(8.2), span(3725), span(3600), span(200000)
    ('8s', '1h2m', '1h', '2d7h')
    """
    left = max(0, int(seconds))
    days, hours, minutes = left // 86400, left // 3600 % 24, left // 60 % 60
    amounts = (days, "d"), (hours, "h"), (minutes, "m"), (left % 60, "s")
    first = next((at for at, (number, _) in enumerate(amounts) if number), 0)
    return "".join(f"{n}{unit}" for n, unit in amounts[first : first + 2] if n) or "0s"


def duration(seconds: float) -> str:
    """Return a length of time exactly, as a job file says it.

    >>> duration(3600), duration(5425), duration(0.5), duration(0)
    ('1h', '1h30m25s', '0.5s', '0s')
    """
    minutes, rest = divmod(seconds, 60)
    amounts = (minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "m")
    text = "".join(f"{number:g}{unit}" for number, unit in amounts if number)
    return text + (f"{rest:g}s" if rest or not text else "")
