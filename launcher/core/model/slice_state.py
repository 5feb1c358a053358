"""What is known of a slice and of an image that somebody waits for."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from launcher.core.model.gpu import Slice
from launcher.core.model.lease import Lease


@dataclass(slots=True)
class SliceState:
    """A slice and its use. ``lost``: recorded, not reported by NVML now, or not as recorded."""

    slice: Slice
    lease: Lease | None = None
    lost: bool = False
    #: What NVML reports under the UUID of a lost slice: MIG UUIDs recur.
    instead: Slice | None = None
    #: Which job still has another part of the GPU, or all of it, as half a sentence.
    beside: str | None = None
    foreign: str | None = None
    quarantine: str | None = None
    #: The quarantine ends only by an admin's word, not by idle samples.
    lasting: bool = False
    quarantined_at: float | None = None
    #: How many starts in a row failed on it.
    failed_starts: int = 0
    drained: str | None = None
    #: Why nothing can be learned of it now: its GPU does not answer.
    silent: str | None = None
    #: The change of the layout that takes it away, or is just making it.
    changing: int | None = None

    @property
    def usable(self) -> bool:
        """Whether it could be leased now or once its lease ends."""
        return self.unusable is None

    @property
    def unusable(self) -> str | None:
        """Why no lease may be granted on it, as half a sentence; None where one may."""
        if self.changing is not None:
            return f"is part of layout change {self.changing}"
        if self.silent is not None:
            return f"cannot be used now: {self.silent}"
        if self.lost:
            return self._lost
        if self.beside is not None:
            return self.beside
        quarantined = self.quarantine and f"is quarantined: {self.quarantine}"
        return self.foreign or quarantined or self.drained

    @property
    def _lost(self) -> str:
        now = self.instead
        if now is None:
            return "is not reported by NVML"
        at = "" if now.placement is None else f" at {now.placement.start}"
        was = self.slice.placement
        before = "" if was is None else f" at {was.start}"
        return f"was a {self.slice.profile}{before}, and NVML reports it as a {now.profile}{at} now"

    @property
    def free(self) -> bool:
        """Whether a new lease may be granted on it."""
        return self.lease is None and self.usable


class Having(Enum):
    """How far an image is."""

    FINDING = "finding"
    #: Not here; waits for its turn to be pulled.
    WANTED = "wanted"
    PULLING = "pulling"
    #: Only with credentials that were forgotten when the daemon was restarted.
    LOGIN = "login"


@dataclass(slots=True)
class ImageState:
    """An image that somebody waits for, and who. ``here``: it is here, but not theirs to run."""

    having: Having
    #: Whose job asked for it first: the pull is charged to this user.
    uid: int
    waiting: dict[int, None] = field(default_factory=dict)
    here: bool = False
