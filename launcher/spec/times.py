"""Moments in requests."""

from __future__ import annotations

from datetime import datetime

from launcher.errors import UserError

LATEST = 4e9
"""No moment is later (seconds since 1970): that is some time after the year 2090."""


def moment(text: str, field: str = "begin") -> float:
    """Return seconds since 1970 of an RFC 3339 moment; raises ``UserError`` naming ``field``."""
    try:
        result = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"{field}: {text!r} is not a valid time such as 2026-12-01T02:00:00Z"
        ) from None
    if result.tzinfo is None:
        raise UserError(f"{field}: {text!r} has no time zone", fix="Write Z or +01:00 behind it.")
    seconds = result.timestamp()
    if not 0 <= seconds <= LATEST:
        raise UserError(f"{field}: {text} is too far away")
    return seconds
