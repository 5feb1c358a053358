"""The body of every answer that is not 2xx."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ErrorReply:
    """The body of every answer that is not 2xx."""

    kind: str
    message: str
    fix: str | None = None
