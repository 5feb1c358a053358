"""A change of the layout as a value: its requester, its steps, its progress.

Each step is recorded before it is carried out, so that an interrupted change can be distinguished
from one that never started. A GPU has at most one open change; of all GPUs' changes one at a time
is active, the others wait.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from launcher.core.model.compute_instances import specs
from launcher.core.model.gpu import Placement
from launcher.core.model.job import Owner
from launcher.core.model.packing import Place


class StepKind(Enum):
    """What one step does to a GPU."""

    MODE_ON = "mode-on"
    MODE_OFF = "mode-off"
    #: Compute instances first, then the GPU instance.
    DESTROY = "destroy"
    #: Make the compute instances that a GPU instance lacks.
    COMPLETE = "complete"
    #: GPU instance at its placement, then its compute instances.
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Step:
    """One step on one GPU; ``gi`` is known for what stands, and of a CREATE once it is done.

    ``gpu_index`` is for people's eyes only. ``cut`` are the compute slices of all its compute
    instances, () is one over all.
    """

    kind: StepKind
    gpu_uuid: str
    gpu_index: int = 0
    profile: str = ""
    profile_id: int = 0
    placement: Placement | None = None
    gi: int | None = None
    cut: tuple[int, ...] = ()

    def __str__(self) -> str:
        start = None if self.placement is None else self.placement.start
        at = " ".join(specs(self.profile, self.cut, start))
        match self.kind:
            case StepKind.MODE_ON:
                return f"switch MIG mode on at GPU {self.gpu_index}"
            case StepKind.MODE_OFF:
                return f"switch MIG mode off at GPU {self.gpu_index}"
            case _:
                return f"{self.kind.value} {at} on GPU {self.gpu_index}"


class OpState(Enum):
    """How far a change is."""

    #: Nothing was changed yet; it starts once the affected slices are unused.
    WAITING = "waiting"
    #: MIG mode takes effect after a reboot; the rest follows then.
    PENDING = "pending"
    #: NVML and Docker are looked at: what is there to do?
    LOOKING = "looking"
    RUNNING = "running"
    #: A step failed; what was done is undone.
    ROLLING_BACK = "rolling-back"
    DONE = "done"


class OpResult(Enum):
    """How a change ended."""

    APPLIED = "applied"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Busy(Enum):
    """What becomes of who uses what is to go."""

    REFUSE = "refuse"
    WAIT = "wait"
    #: The launcher's own jobs are cancelled; anybody else is refused.
    CANCEL = "cancel"
    CANCEL_AND_WAIT = "cancel-and-wait"

    @property
    def waits(self) -> bool:
        """Whether a change waits for users that nobody cancels."""
        return self in (Busy.WAIT, Busy.CANCEL_AND_WAIT)

    @property
    def cancels(self) -> bool:
        """Whether the launcher's own jobs are cancelled."""
        return self in (Busy.CANCEL, Busy.CANCEL_AND_WAIT)


@dataclass(frozen=True, slots=True)
class LayoutTarget:
    """What is asked of one GPU. ``wants`` None leaves its instances, ``mode`` None its mode.

    ``wants`` is the total; with ``add`` it is in addition to what stands, with ``exact`` nothing
    else may stand. ``drop`` are GPU instances that shall go, by GI id and what stood there when it
    was asked: ids recur.
    """

    gpu_uuid: str
    wants: tuple[Want, ...] | None = None
    exact: bool = False
    add: bool = False
    drop: frozenset[tuple[int, Place]] = frozenset()
    mode: bool | None = None


@dataclass(slots=True)
class LayoutOp:
    """One change of the layout.

    It is planned from a fresh read of NVML, carried out, and NVML is read again, until nothing is
    left to do. ``steps`` remain, ``done`` were carried out, ``undo`` reverts them after a failure.
    ``pending`` are the GPUs whose MIG mode takes effect after a reset or reboot, ``boot`` is the
    boot in which that was found. ``changing`` are the slices that get no new lease meanwhile.
    ``replaces`` are the earlier changes whose GPUs it took over, by id.
    """

    id: int
    verb: str
    request: str
    owner: Owner
    asked_at: float
    wishes: tuple[LayoutTarget, ...] = ()
    busy: Busy = Busy.REFUSE
    steps: list[Step] = field(default_factory=list)
    done: list[Step] = field(default_factory=list)
    undo: list[Step] = field(default_factory=list)
    pending: tuple[str, ...] = ()
    changing: tuple[str, ...] = ()
    state: OpState = OpState.WAITING
    result: OpResult | None = None
    message: str | None = None
    ended_at: float | None = None
    boot: str | None = None
    replaces: tuple[int, ...] = ()

    @property
    def gpus(self) -> tuple[str, ...]:
        """The UUIDs of its GPUs."""
        return tuple(target.gpu_uuid for target in self.wishes)

    @property
    def is_active(self) -> bool:
        """Whether it is being carried out."""
        return self.state in (OpState.LOOKING, OpState.RUNNING, OpState.ROLLING_BACK)


@dataclass(frozen=True, slots=True)
class Want:
    """So many instances of a profile, by name or profile id, at one place or anywhere.

    ``1c.3g.20gb`` asks for compute instances of one slice each; with ``start`` all in one instance.
    """

    profile: str
    count: int = 1
    start: int | None = None
