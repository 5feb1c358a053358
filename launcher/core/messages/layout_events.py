"""Events of a change of the layout: asked for, carried out step by step, looked at."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.core.model.job import Owner
from launcher.core.model.layout_change import Busy, LayoutTarget, Step


@dataclass(frozen=True, slots=True)
class LayoutAsked:
    """An admin wants the layout changed: ``verb`` and ``request`` as written."""

    owner: Owner
    verb: str
    request: str
    wishes: tuple[LayoutTarget, ...]
    busy: Busy = Busy.REFUSE


@dataclass(frozen=True, slots=True)
class LayoutCancelAsked:
    """A change of the layout that still waits is not wanted any more."""

    op: int


@dataclass(frozen=True, slots=True)
class LayoutNoted:
    """An admin did something about the layout that changes no GPU; it goes on record."""

    owner: Owner
    verb: str
    request: str


@dataclass(frozen=True, slots=True)
class LayoutStepDone:
    """A step of a change was carried out; ``gi`` of what was made, or was found (``made`` False).

    ``pending`` says why a switched MIG mode is not in effect yet.
    """

    op: int
    step: Step
    gi: int | None = None
    made: bool = True
    pending: str | None = None


@dataclass(frozen=True, slots=True)
class LayoutStepFailed:
    """A step of a change was not carried out, and what it had begun was taken back."""

    op: int
    step: Step
    message: str


@dataclass(frozen=True, slots=True)
class LayoutSeen:
    """A look for a change is over: the inventory is what NVML shows, or ``problem`` says why not.

    ``blind`` says why Docker does not tell which containers use it.
    """

    op: int
    problem: str | None = None
    blind: str | None = None
