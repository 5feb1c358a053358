"""GPUs, profiles and slices as values: what NVML reports, in our words.

Units: memory in MiB as NVML gives it, placements in the board's memory units (A30 4, A100 8,
RTX PRO 6000 12 to a GPU). Nothing here is ever identified by an index or a GI id alone.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import lru_cache

FULL = "full"
"""The profile of a whole GPU whose MIG mode is off."""

_NAME_GB = re.compile(r"^(?:\d+c\.)?\d+g\.(\d+)gb")
_SPLIT = re.compile(r"(\d{1,2})c\.((\d{1,2})g\..+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Placement:
    """NVML's (start, size) of a GPU instance, in memory units."""

    start: int
    size: int


ENGINES = ("copy", "decoders", "encoders", "jpeg", "ofa")
"""NVML's engines of a GPU instance, in the order in which ``Profile.engines`` counts them."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A GPU-instance shape that a GPU offers; keyed by the board's profile id, not NVML's enum.

    ``placements`` are all that are legal on an empty GPU; None where NVML does not tell them (MIG
    mode off, no privilege).
    """

    profile_id: int
    name: str
    memory_mib: int
    slice_count: int
    max_instances: int
    multiprocessors: int = 0
    engines: tuple[int, ...] = (0,) * len(ENGINES)
    placements: tuple[Placement, ...] | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """What a job can be given: a MIG device, or a whole GPU (``gi`` and ``ci`` None)."""

    uuid: str
    gpu_uuid: str
    gpu_index: int
    profile: str
    profile_id: int | None
    memory_mib: int
    gi: int | None = None
    ci: int | None = None
    placement: Placement | None = None

    @property
    def compute(self) -> int:
        """Its compute slices if its compute instance spans less than its GPU instance, else 0."""
        return split_of(self.profile)[0]

    @property
    def memory_shared(self) -> bool:
        """Whether other devices have the same memory now, or may get it at any time."""
        return self.compute > 0

    @property
    def share_mib(self) -> int:
        """The memory to count it with: of shared memory, as much as of the compute slices."""
        return share_mib(self.profile, self.memory_mib)

    @property
    def identity(self) -> tuple[object, ...]:
        """What must be unchanged for a lease to hold: MIG UUIDs recur after re-creation."""
        where = (self.uuid, self.gpu_uuid, self.gi, self.ci)
        return (*where, self.profile_id, self.placement, self.compute)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A physical device. ``mig_current`` is None where the board cannot do MIG."""

    uuid: str
    index: int
    name: str
    memory_mib: int
    mig_current: bool | None
    mig_pending: bool | None
    profiles: tuple[Profile, ...] = ()
    profiles_known: bool = True
    architecture: str | None = None
    pci_device_id: int | None = None
    pci_subsystem_id: int | None = None

    @property
    def mig_capable(self) -> bool:
        """Whether the board can be cut into slices at all."""
        return self.mig_current is not None


@dataclass(frozen=True, slots=True)
class Instance:
    """A GPU instance that stands: it takes room, with a compute instance or without."""

    gpu_uuid: str
    gi: int
    profile: str
    profile_id: int
    placement: Placement


@dataclass(frozen=True, slots=True)
class Xid:
    """An error that the driver reports of a GPU; ``gi`` and ``ci`` None: of all that is on it."""

    gpu_uuid: str
    number: int
    gi: int | None = None
    ci: int | None = None

    def concerns(self, slice_: Slice) -> bool:
        """Whether it is about this slice: a GPU instance's error is about all devices in it."""
        return (
            slice_.gpu_uuid == self.gpu_uuid
            and self.gi in (None, slice_.gi)
            and self.ci in (None, slice_.ci)
        )


@dataclass(frozen=True, slots=True)
class Inventory:
    """What NVML reports now. ``hidden`` are the GPUs whose GPU instances it does not list.

    ``silent``: (UUID, why) of the GPUs that do not answer; the UUID is empty where the GPU was not
    read before. What is told of them is what was last seen; nothing is known of their use.
    ``indexes``: (MIG UUID, its index on its GPU now), by which others may name it. Indexes move.
    ``lost`` counts the GPUs that fell off the bus, of which nothing is told.
    """

    driver_version: str
    gpus: tuple[Gpu, ...]
    slices: tuple[Slice, ...]
    instances: tuple[Instance, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    hidden: tuple[str, ...] = ()
    silent: tuple[tuple[str, str], ...] = ()
    indexes: tuple[tuple[str, int], ...] = ()
    lost: int = 0

    @property
    def cuts(self) -> dict[tuple[str, int], tuple[int, ...]]:
        """(GPU, GI id) -> the compute slices of its devices, largest first; () for a whole one."""
        result: dict[tuple[str, int], tuple[int, ...]] = {}
        for s in self.slices:
            if s.gi is not None:
                more = (s.compute,) if s.memory_shared else ()
                sizes = result.get((s.gpu_uuid, s.gi), ())
                result[s.gpu_uuid, s.gi] = tuple(sorted((*sizes, *more), reverse=True))
        return result

    @property
    def bare(self) -> tuple[Instance, ...]:
        """The GPU instances without a compute instance: they take room and can run nothing."""
        used = {(s.gpu_uuid, s.gi) for s in self.slices}
        return tuple(i for i in self.instances if (i.gpu_uuid, i.gi) not in used)


def name_gb(profile: str, memory_mib: int) -> int:
    """Return the size in a slice's name; of a whole GPU the one its largest profile has.

    That is rounded up to GiB, as NVIDIA names profiles (go-nvlib, ``device/mig_profile.go``): a
    whole H200 of 143771 MiB is 7g.141gb.

    >>> name_gb("1g.24gb+me", 24192), name_gb("full", 143771)
    (24, 141)
    """
    match = _NAME_GB.match(profile)
    return int(match.group(1)) if match else math.ceil(memory_mib / 1024)


_ATTRIBUTES = {"": 0, "-me": 1, "+gfx": 2, "+me": 3, "+me.all": 4}
_COMPUTE = re.compile(r"(\d+)g\.\d+gb(.*)")


def scarcity(profile: str) -> tuple[int, int]:
    """Return the compute slices of a profile, and the rank of its engines: plain ones are first.

    Of two slices with the same memory the one that ranks lower is the smaller loss.

    >>> scarcity("1g.10gb") < scarcity("1g.10gb+me") < scarcity("2g.10gb")
    True
    """
    match = _COMPUTE.match(split_of(profile)[1])
    if match is None:
        return (0, 0)
    return (int(match.group(1)), _ATTRIBUTES.get(match.group(2), len(_ATTRIBUTES)))


def split_of(profile: str) -> tuple[int, str]:
    """Return the compute slices of a device's profile, and the profile of its GPU instance.

    0 compute slices: the device spans its GPU instance, and its profile is that one's. NVML names
    devices so (nvml.h, ``nvmlComputeInstanceProfileInfo_v2_t.name``).

    >>> split_of("1c.3g.20gb"), split_of("3g.20gb")
    ((1, '3g.20gb'), (0, '3g.20gb'))
    """
    compute, _, of = _parts(profile)
    return compute, of


@lru_cache(maxsize=256)
def _parts(profile: str) -> tuple[int, int, str]:
    """Return compute slices of the device (0: all), those of its GPU instance, and its profile."""
    match = _SPLIT.fullmatch(profile)
    return (int(match[1]), int(match[3]), match[2]) if match else (0, 0, profile)


def share_mib(profile: str, memory_mib: int) -> int:
    """Return the part of a GPU instance's memory that a device of this profile counts with.

    >>> share_mib("1c.3g.20gb", 19968), share_mib("3g.20gb", 19968)
    (6656, 19968)
    """
    compute, of_slices, _ = _parts(profile)
    return memory_mib * compute // max(1, of_slices) if compute else memory_mib
