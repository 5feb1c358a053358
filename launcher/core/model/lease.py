"""Leases and attempts as values: what is recorded before anything outside is touched."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.core.model.gpu import Placement, Slice
from launcher.core.model.measurement import UNMEASURED, Measurement


@dataclass(slots=True)
class Lease:
    """The exclusive right of one attempt to one slice, from grant to release.

    It remembers what the slice was (GI, CI, profile, placement), because a MIG UUID recurs after
    re-creation and may then name another shape. ``quarantine`` says why it ended without proof.
    """

    job: int
    attempt: int
    slice: Slice
    granted_at: float
    released_at: float | None = None
    quarantine: str | None = None

    @property
    def placement(self) -> Placement | None:
        """The placement of the leased slice, None for a whole GPU."""
        return self.slice.placement


@dataclass(slots=True)
class Attempt:
    """One try at running a job, numbered from 1.

    ``boot`` is the machine's boot in which it was granted or seen to start, None where not known.
    """

    job: int
    number: int
    container_name: str
    slices: tuple[str, ...]
    image_id: str
    granted_at: float
    container_id: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    exit_code: int | None = None
    oom: bool = False
    cause: str | None = None
    boot: str | None = None
    measured: Measurement = UNMEASURED
