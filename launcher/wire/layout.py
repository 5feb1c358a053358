"""The layout: what stands on the GPUs, what they offer, what is asked for and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from launcher.spec.bounds import STRICT


@dataclass(frozen=True, kw_only=True)
class InstanceView:
    """A GPU instance, once for each of its MIG devices.

    ``ci`` and ``uuid`` are None where it has no compute instance. ``memory_shared``: other devices
    of the GPU instance have the same memory, or may get it.
    """

    gi: int
    profile: str
    profile_id: int
    start: int
    size: int
    ci: int | None
    uuid: str | None
    memory_mib: int
    state: str
    job: int | None
    user: str | None
    why: str | None
    made_by: str
    memory_shared: bool = False
    array: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class GpuView:
    """A GPU and what stands on it. ``units`` are its memory units, None where not known.

    ``instances_known`` is False where NVML does not tell what stands: the list is empty then.
    """

    index: int
    uuid: str
    name: str
    architecture: str | None
    mig_current: bool | None
    mig_pending: bool | None
    memory_mib: int
    units: int | None
    instances: list[InstanceView]
    instances_known: bool = True


@dataclass(frozen=True, kw_only=True)
class ProfileView:
    """A profile that a GPU offers; ``fit`` is how many more fit now, None where not told."""

    gpu: str
    gpu_index: int
    name: str
    profile_id: int
    memory_mib: int
    compute_slices: int
    multiprocessors: int
    engines: dict[str, int]
    placements: list[int] | None
    size: int | None
    most: int
    fit: int | None


@dataclass(frozen=True, kw_only=True)
class LayoutSpec:
    """So many instances of a profile (by name or profile id), at ``start`` or anywhere.

    ``1c.3g.20gb`` are compute instances; several with one ``start`` stand in one GPU instance.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    profile: str
    count: int = 1
    start: int | None = None


@dataclass(frozen=True, kw_only=True)
class LayoutEntry:
    """What is asked of some GPUs.

    ``gpus`` names them by index or UUID, empty is all; None is the one GPU that it can only mean.
    ``models`` keeps those of these PCI ids, of the device (``0x20B710DE``) or with the subsystem
    (``0x20B710DE:0x153210DE``). ``specs`` None leaves the instances as they are, ``mode`` None the
    MIG mode. ``matches`` selects as mig-parted does: GPUs that are not here are left out, and so
    are GPUs that do not support MIG if all are selected; the last entry for a GPU replaces others.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    gpus: list[str] | None = None
    models: list[str] = field(default_factory=list)
    specs: list[LayoutSpec] | None = None
    exact: bool = False
    add: bool = False
    drop: list[str] = field(default_factory=list)
    mode: bool | None = None
    matches: bool = False


@dataclass(frozen=True, kw_only=True)
class LayoutRequest:
    """A change of the layout: all of its entries, or none. ``busy``: who uses what would go."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    verb: str
    request: str
    entries: list[LayoutEntry]
    busy: Literal["refuse", "wait", "cancel", "cancel-and-wait"] = "refuse"


@dataclass(frozen=True, kw_only=True)
class SaveRequest:
    """Save the layout, with a name or as the one that is restored after a reboot; or delete it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    name: str | None = None
    delete: bool = False


@dataclass(frozen=True, kw_only=True)
class RestoreRequest:
    """Restore a saved layout; ``busy`` as in ``LayoutRequest``.

    With ``exact`` the GPUs of the layout keep no other instances.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    name: str | None = None
    exact: bool = False
    busy: Literal["refuse", "wait", "cancel", "cancel-and-wait"] = "refuse"


@dataclass(frozen=True, kw_only=True)
class PlaceView:
    """A GPU instance of a plan, or so many of its compute instances. ``gpu`` is the GPU's UUID."""

    gpu: str
    profile: str
    start: int
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class LayoutPlan:
    """What a change would do; ``complete`` are kept ones that lack compute instances."""

    keep: list[PlaceView]
    destroy: list[PlaceView]
    create: list[PlaceView]
    complete: list[PlaceView]
    modes: dict[str, bool]
    touches_busy: bool
    busy: list[str]


@dataclass(frozen=True, kw_only=True)
class LayoutChange:
    """A change of the layout: its requester, its state, its result.

    ``state`` is waiting, looking, running, rolling-back, pending (MIG mode takes effect after a
    reboot; the daemon completes the change then) or done.
    ``warning``: which device nodes and CDI specs did not follow; told of the last change only.
    """

    id: int
    verb: str
    request: str
    user: str
    state: str
    result: str | None
    message: str | None
    todo: list[str]
    done: list[str]
    asked_at: str
    ended_at: str | None
    warning: str | None = None


@dataclass(frozen=True, kw_only=True)
class DrainRequest:
    """Take no new lease on a slice or GPU; ``reason`` None lets it be used again."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class SavedGpu:
    """The wanted layout of one GPU, as it is restored after a reboot."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    gpu: str
    index: int
    mode: bool
    places: list[LayoutSpec] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class SavedLayout:
    """A saved layout; ``name`` None is the one that is restored after a reboot."""

    name: str | None
    gpus: list[SavedGpu]
