"""The machine's state file in ctypes: the same layout as ``native/state.h``.

A test compares every size and offset with those of the C compiler.
"""

from __future__ import annotations

import struct
from ctypes import Structure, c_char, c_uint32, c_uint64
from typing import Any, ClassVar, TypeAlias

MAGIC = 0x55504746
VERSION = 2
HEAD = struct.pack("=II", MAGIC, VERSION)
"""The first bytes of the file."""

MAX_GPUS = 16
MAX_PROFILES = 18
MAX_STARTS = 12
MAX_GIS = 8
GI_IDS = 15
MAX_CIS = 8
MAX_PROCESSES = 256
MAX_FAULTS = 64
MAX_FUNCTIONS = 96
MAX_EVENTS = 64
CI_SHAPES = 9

NOT_A_MIG_ID = 0xFFFFFFFF
MEMORY_UNKNOWN = 0xFFFFFFFFFFFFFFFF

Fields: TypeAlias = list[tuple[str, Any]]


def _u32(names: str) -> list[tuple[str, Any]]:
    return [(name, c_uint32) for name in names.split()]


def _u64(names: str) -> list[tuple[str, Any]]:
    return [(name, c_uint64) for name in names.split()]


class Engines(Structure):
    """Resources that a profile uses, or that the GPU has."""

    _fields_: ClassVar[Fields] = _u32("slices copy decoders encoders jpeg ofa")


class ProfileState(Structure):
    """A GPU-instance shape: ``id`` is the board's, ``shape`` is NVML's enum."""

    _fields_: ClassVar[Fields] = [
        ("memory_mib", c_uint64),
        ("name", c_char * 96),
        *_u32("id shape max_instances sm size start_count"),
        ("starts", c_uint32 * MAX_STARTS),
        ("engines", Engines),
    ]


class ComputeInstance(Structure):
    """A compute instance; ``serial`` 0 is a free slot."""

    _fields_: ClassVar[Fields] = _u32("serial id shape start size reserved")


class GpuInstance(Structure):
    """A GPU instance; ``profile`` is the index into its GPU's profiles."""

    _fields_: ClassVar[Fields] = [
        *_u32("serial id profile start"),
        ("cis", ComputeInstance * MAX_CIS),
    ]


class GpuState(Structure):
    """A GPU with its instances."""

    _fields_: ClassVar[Fields] = [
        ("memory_mib", c_uint64),
        ("uuid", c_char * 48),
        ("name", c_char * 96),
        ("board", c_char * 32),
        *_u32("pci_device_id pci_subsystem_id pci_bus minor architecture cuda_major cuda_minor"),
        *_u32("mig_capable mig_current mig_pending"),
        *_u32("mode_needs_reset mode_survives_reboot reset_works query_without_mode"),
        *_u32("units mirrored_ids descending lost stuck profile_count"),
        ("limits", Engines),
        ("profiles", ProfileState * MAX_PROFILES),
        ("gis", GpuInstance * MAX_GIS),
        ("mig_uuids", ((c_char * 48) * MAX_CIS) * GI_IDS),
    ]


class Process(Structure):
    """A process on a GPU; ``gi`` and ``ci`` are NOT_A_MIG_ID on a whole GPU.

    ``activity`` is for how much of the time it keeps its GPU instance busy, in percent.
    """

    _fields_: ClassVar[Fields] = [
        ("memory_bytes", c_uint64),
        *_u32("used pid gpu gi ci kind while_alive activity"),
        ("name", c_char * 64),
    ]


class Fault(Structure):
    """A scripted fault for the calls ``first`` to ``last`` (0: no end) of a function."""

    _fields_: ClassVar[Fields] = [
        ("function", c_char * 64),
        *_u64("first last seen"),
        *_u32("active code hang_ms serial"),
    ]


class Counter(Structure):
    """How often a function was called, by all processes."""

    _fields_: ClassVar[Fields] = [("name", c_char * 64), ("calls", c_uint64)]


class Event(Structure):
    """One event in the ring; ``sequence`` orders the events."""

    _fields_: ClassVar[Fields] = [*_u64("sequence type data"), *_u32("gpu gi ci reserved")]


class MachineState(Structure):
    """The whole file."""

    _fields_: ClassVar[Fields] = [
        *_u32("magic version"),
        ("size", c_uint64),
        *_u32("gpu_count serials boot init_code privilege cuda_version persistence reserved"),
        ("event_sequence", c_uint64),
        ("driver_version", c_char * 80),
        ("nvml_version", c_char * 80),
        ("ci_counts", (c_uint32 * CI_SHAPES) * CI_SHAPES),
        ("gpus", GpuState * MAX_GPUS),
        ("processes", Process * MAX_PROCESSES),
        ("faults", Fault * MAX_FAULTS),
        ("counters", Counter * MAX_FUNCTIONS),
        ("events", Event * MAX_EVENTS),
    ]


SHARED: tuple[type[Structure], ...] = (
    Engines, ProfileState, ComputeInstance, GpuInstance, GpuState, Process, Fault, Counter, Event,
    MachineState,
)  # fmt: skip
"""Every structure that C and Python share."""
