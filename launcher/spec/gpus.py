"""The slices or GPUs that a job requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from launcher.spec.bounds import STRICT

GpuCapability = Literal["compute", "utility", "video", "graphics", "display", "compat32"]
"""A part of NVIDIA's driver (NVIDIA_DRIVER_CAPABILITIES), by the names that Docker knows (moby
daemon/devices_nvidia_linux.go)."""
GpuKind = Literal["none", "profile", "memory", "uuid", "full", "all"]


@dataclass(frozen=True, slots=True)
class GpuRequest:
    """What a job asks of the GPUs.

    ``kind`` decides which fields count: ``none`` (a CPU job), ``profile`` (``profile``, ``count``),
    ``memory`` (``memory_gb``, compared with the number in the profile's name, or ``memory_mib``,
    compared with NVML's figure, or ``memory_auto``; ``count``), ``uuid`` (``uuids``: MIG or GPU
    UUIDs), ``full`` (``count`` whole GPUs whose MIG mode is off), ``all`` (every such GPU).

    ``memory_auto`` asks the daemon to choose ``memory_mib`` at the submit, from what earlier jobs
    used; the choice is stored there.

    ``capabilities`` is what the container gets of NVIDIA's driver beyond compute and utility.

    In the scheduler (``core.scheduling.cpu_slots.need_of``) only the fields that count are set,
    and ``count`` of a CPU job is its number of CPU slots. Equal requests form one queue there.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: GpuKind = "none"
    profile: str | None = None
    count: int = 1
    memory_gb: int | None = None
    memory_mib: int | None = None
    memory_auto: bool = False
    uuids: tuple[str, ...] = ()
    capabilities: tuple[GpuCapability, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether its memory is still to be chosen."""
        return self.memory_auto and self.memory_mib is None and self.memory_gb is None

    def __str__(self) -> str:
        match self.kind:
            case "none":
                return "a CPU slot" if self.count == 1 else f"{self.count} CPU slots"
            case "profile":
                return f"{self.count} x {self.profile}"
            case "memory" if self.is_open:
                return "a slice as large as earlier jobs needed"
            case "memory" if self.memory_gb is not None:
                return f"{self.count} x a slice of {self.memory_gb}g or more"
            case "memory":
                return f"{self.count} x a slice of {self.memory_mib} MiB or more"
            case "uuid":
                return " and ".join(self.uuids)
            case "full":
                return f"{self.count} x a whole GPU"
            case "all":
                return "every whole GPU"
