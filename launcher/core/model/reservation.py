"""A reservation: slices kept for a user, a group or interactive jobs in a window of time."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.core.model.job import Owner


@dataclass(frozen=True, slots=True)
class Reservation:
    """Slices for ``user`` or the members of ``group``, from ``start`` to ``end`` (since 1970).

    With neither they are for everybody's interactive jobs.
    """

    name: str
    slices: tuple[str, ...]
    user: str | None
    group: str | None
    start: float
    end: float
    by: Owner

    @property
    def beneficiary(self) -> str:
        """For whom the slices are kept."""
        if self.user is None and self.group is None:
            return "interactive jobs"
        return self.user or f"group {self.group}"
