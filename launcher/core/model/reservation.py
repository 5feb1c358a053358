"""A reservation: slices kept for a user or a group in a window of time."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.core.model.job import Owner


@dataclass(frozen=True, slots=True)
class Reservation:
    """Slices for ``user`` or the members of ``group``, from ``start`` to ``end`` (since 1970)."""

    name: str
    slices: tuple[str, ...]
    user: str | None
    group: str | None
    start: float
    end: float
    by: Owner
