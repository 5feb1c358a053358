"""Actions: what the shell must do outside, after the decision is committed. Each is idempotent."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.core.model.gpu import Slice
from launcher.core.model.job import ImageKey
from launcher.core.model.layout_change import Step


@dataclass(frozen=True, slots=True)
class FindImage:
    """Look whether the image is here."""

    image: ImageKey


@dataclass(frozen=True, slots=True)
class PullImage:
    """Pull the image: one pull for all who wait for it."""

    image: ImageKey


@dataclass(frozen=True, slots=True)
class SettlePull:
    """Look what a pull with credentials left behind whose end is not on record."""

    reference: str
    uid: int


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Make the attempt's container run on the leased slices, or prove that it does not.

    ``resumed``: a daemon before this one may have made the container already: look first; with
    ``before_boot`` one that has run did so before the machine was booted.
    ``index`` is the job's place in its array; ``policy_version`` that of the policy under which it
    was queued, None where nobody knows. ``unfit``: why nothing may be started on these slices; what
    has started goes on.
    """

    job: int
    attempt: int
    container_name: str
    slices: tuple[Slice, ...]
    image_id: str
    resumed: bool = False
    before_boot: bool = False
    index: int | None = None
    policy_version: int | None = None
    unfit: str | None = None


@dataclass(frozen=True, slots=True)
class FollowAttempt:
    """Watch the container until it ends, and write its log.

    ``before_boot``: it was seen running before the machine was booted.
    """

    job: int
    attempt: int
    container_name: str
    slices: tuple[str, ...]
    container_id: str | None = None
    before_boot: bool = False


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """Send the container its stop signal (the image's STOPSIGNAL, else TERM)."""

    job: int
    attempt: int
    container_name: str
    container_id: str | None = None


@dataclass(frozen=True, slots=True)
class KillAttempt:
    """Send the container KILL until it does not run."""

    job: int
    attempt: int
    container_name: str
    container_id: str | None = None


@dataclass(frozen=True, slots=True)
class SignalAttempt:
    """Send the container a signal, by name."""

    job: int
    container_name: str
    signal: str


@dataclass(frozen=True, slots=True)
class ProveIdle:
    """Watch the slices of an ended attempt until no process is on them.

    ``container_id`` is None where no container of the attempt ever ran, "" where one may have that
    is not known.
    """

    job: int
    attempt: int
    container_name: str
    container_id: str | None
    uuids: tuple[str, ...]
    ref: str
    """The name by which people know the job: for messages."""


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    """Remove the container of an ended attempt, once its log is complete."""

    job: int
    attempt: int
    container_name: str


@dataclass(frozen=True, slots=True)
class CarveStep:
    """Carry out one step of a change of the layout."""

    op: int
    step: Step


@dataclass(frozen=True, slots=True)
class LookAtLayout:
    """Read NVML for a change; where it ``changed`` something, device nodes and CDI follow first."""

    op: int
    changed: bool


OfAttempt = (
    StartAttempt
    | FollowAttempt
    | StopAttempt
    | KillAttempt
    | SignalAttempt
    | ProveIdle
    | RemoveContainer
)
"""What is done to one attempt: its container, or its process tree on the machine itself."""
Action = FindImage | PullImage | SettlePull | OfAttempt | CarveStep | LookAtLayout
