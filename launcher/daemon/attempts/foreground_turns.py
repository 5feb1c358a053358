"""Foreground host jobs that may start now: their clients start the commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ForegroundTurn:
    """The data for a foreground job's client to start its command."""

    token: str
    socket: str
    environment: Mapping[str, str]


class ForegroundTurns:
    """The foreground jobs that may start now, by id. Thread-safe."""

    def __init__(self, changed: Callable[[int], None]) -> None:
        """``changed`` wakes the followers of a job."""
        self._turns: dict[int, ForegroundTurn] = {}
        self._changed = changed

    def of(self, job: int) -> ForegroundTurn | None:
        """Return a job's turn, None if it has none."""
        return self._turns.get(job)

    def offer(self, job: int, turn: ForegroundTurn) -> None:
        """Allow the client to start the job's command."""
        self._turns[job] = turn
        self._changed(job)

    def withdraw(self, job: int) -> None:
        """End the turn: the command has started, or will not start."""
        self._turns.pop(job, None)
