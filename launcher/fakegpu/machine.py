"""A machine with fake GPUs: one directory, one state file, any number of processes."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from launcher.errors import LauncherError, UserError
from launcher.fakegpu import state as layout
from launcher.fakegpu.boards import BoardData, compute_instances
from launcher.fakegpu.build import SONAME, build_library
from launcher.fakegpu.instances import add_gi
from launcher.fakegpu.script import Script
from launcher.fakegpu.spec import BoardSpec, format_spec, parse_spec

STATE_FILE = "machine.state"
SPEC_FILE = "spec"
DRIVER_VERSION = "580.95.05"
CUDA_VERSION = 13000

_loaded: ctypes.CDLL | None = None
_load_lock = threading.Lock()


class Machine(Script):
    """A fake machine. Get one with ``create`` or ``open``; script it with the methods of Script.

    All processes that use the library with this machine see the same GPUs. A change of one process
    is visible to the others at their next call.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / STATE_FILE
        self._guard = threading.RLock()
        self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        size = os.fstat(self._fd).st_size
        if size != ctypes.sizeof(layout.MachineState) or os.pread(self._fd, 8, 0) != layout.HEAD:
            os.close(self._fd)
            raise _wrong_file(self.path)
        self._map = mmap.mmap(self._fd, size)
        self._state = layout.MachineState.from_buffer(self._map)

    @classmethod
    def create(cls, directory: Path, spec: str) -> Machine:
        """Create a machine in ``directory``, or open the existing one if it has the same spec.

        GPU UUIDs are random at creation and then constant. UserError: the spec is invalid, or the
        directory contains a machine with another spec.
        """
        specs = parse_spec(spec)
        normal = format_spec(specs)
        directory.mkdir(parents=True, exist_ok=True)
        if (directory / STATE_FILE).exists():
            was = (directory / SPEC_FILE).read_text(encoding="utf-8")
            if was != normal:
                raise UserError(
                    f"{directory} holds a fake machine made from {was}, not from {normal}",
                    fix="Use that spec, or remove the directory to create a new machine.",
                )
            return cls(directory)
        (directory / SPEC_FILE).write_text(normal, encoding="utf-8")
        with tempfile.NamedTemporaryFile(dir=directory) as file:
            file.write(bytes(_first_state(specs)))
            file.flush()
            os.fchmod(file.fileno(), 0o666)  # the mode of real device nodes
            with suppress(FileExistsError):  # another process created it first; use that one
                os.link(file.name, directory / STATE_FILE)
        return cls(directory)

    @classmethod
    def open(cls, directory: Path) -> Machine:
        """Open the machine in ``directory``; UserError if there is none."""
        if not (directory / STATE_FILE).exists():
            raise UserError(
                f"there is no fake machine in {directory}",
                fix="Use a spec such as A30:1g.6gb*4 instead of a path to create one.",
            )
        return cls(directory)

    def load(self, build_directory: Path | None = None) -> Path:
        """Make this process use the machine: loading libnvidia-ml.so.1 yields the fake.

        Call it before the real library is loaded. The library is compiled into ``build_directory``
        (default: ``lib`` in the machine's directory) on first use; its path is returned. Loading
        another machine later redirects the same library.
        """
        global _loaded  # noqa: PLW0603  # a process has one libnvidia-ml.so.1
        library = build_library(build_directory or self.directory / "lib")
        with _load_lock:
            if _loaded is None:
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
                _loaded = ctypes.CDLL(SONAME)
            if not hasattr(_loaded, "fakegpu_use"):
                _loaded = None
                raise LauncherError(
                    "this process already uses the machine's real NVIDIA library",
                    fix="Load the fake GPU before the first NVML call.",
                )
            if _loaded.fakegpu_use(os.fsencode(self.path)) != 0:
                raise _wrong_file(self.path)
        return library

    def environment(self, build_directory: Path | None = None) -> dict[str, str]:
        """Return the environment variables for another process to use the machine."""
        library = build_library(build_directory or self.directory / "lib")
        rest = os.environ.get("LD_LIBRARY_PATH")
        folders = f"{library.parent}:{rest}" if rest else str(library.parent)
        return {"LD_LIBRARY_PATH": folders, "FAKEGPU_STATE": str(self.path)}

    @contextmanager
    def locked(self) -> Iterator[layout.MachineState]:
        """Lock the machine and yield its state, for reading or changes."""
        with self._guard:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                yield self._state
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the state file; the machine stays."""
        with self._guard:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def _wrong_file(path: Path) -> UserError:
    return UserError(
        f"{path} is not a fake machine of this version of the launcher",
        fix="Remove its directory; a new machine is created at the next start.",
    )


def _first_state(specs: list[BoardSpec]) -> layout.MachineState:
    state = layout.MachineState(magic=layout.MAGIC, version=layout.VERSION)
    state.size = ctypes.sizeof(layout.MachineState)
    state.gpu_count = len(specs)
    state.boot = 1
    state.persistence = 1
    state.driver_version = DRIVER_VERSION.encode()
    state.nvml_version = b"13." + DRIVER_VERSION.encode()
    state.cuda_version = CUDA_VERSION
    for slices, row in compute_instances().items():
        for size, count in row.items():
            state.ci_counts[slices][size] = count
    for index, spec in enumerate(specs):
        _fill_gpu(state.gpus[index], index, spec.board)
        state.gpus[index].mig_current = state.gpus[index].mig_pending = int(spec.mig)
        for stands, cut in zip(spec.instances, spec.cuts, strict=True):
            add_gi(state, index, spec.board, stands, cut)
    return state


def _fill_gpu(gpu: layout.GpuState, index: int, board: BoardData) -> None:
    gpu.uuid = f"GPU-{uuid.uuid4()}".encode()
    gpu.name = board.name.encode()
    gpu.board = board.key.encode()
    gpu.memory_mib = board.memory_mib
    gpu.pci_device_id = board.pci_device_id
    gpu.pci_subsystem_id = board.pci_subsystem_id
    gpu.pci_bus = 0x17 + 8 * index
    gpu.minor = index
    gpu.architecture = board.architecture
    gpu.cuda_major, gpu.cuda_minor = board.cuda
    gpu.mig_capable = bool(board.profiles)
    gpu.mode_needs_reset = board.mode_needs_reset
    gpu.mode_survives_reboot = board.mode_survives_reboot
    gpu.reset_works = True
    gpu.query_without_mode = board.query_without_mode
    gpu.mirrored_ids = board.mirrored_ids
    gpu.descending = board.descending
    gpu.units = board.units
    gpu.limits = layout.Engines(*board.limits)
    gpu.profile_count = len(board.profiles)
    for slot, profile in enumerate(board.profiles):
        shape = gpu.profiles[slot]
        shape.name = profile.name.encode()
        for name in ("id", "shape", "max_instances", "memory_mib", "sm", "size"):
            setattr(shape, name, getattr(profile, name))
        shape.start_count = len(profile.starts)
        for place, start in enumerate(profile.starts):
            shape.starts[place] = start
        shape.engines = layout.Engines(*profile.engines)
    for gi in range(layout.GI_IDS):
        for ci in range(layout.MAX_CIS):
            gpu.mig_uuids[gi][ci].value = mig_uuid(gpu.uuid.decode(), gi, ci).encode()


def mig_uuid(gpu_uuid: str, gi: int, ci: int) -> str:
    """Return a MIG device's UUID: RFC 4122 version 5, only of GPU, GI id and CI id.

    So it recurs when the ids do, whatever the profile and placement.
    """
    return f"MIG-{uuid.uuid5(uuid.NAMESPACE_OID, f'{gpu_uuid}/{gi}/{ci}')}"
