"""Operations of a test or a demo on a fake machine, from any process."""

from __future__ import annotations

from contextlib import AbstractContextManager

from launcher.errors import UserError
from launcher.fakegpu.boards import BoardData
from launcher.fakegpu.instances import (
    FakeInstance,
    add_gi,
    board_of,
    locate,
    remove_gi,
    standing,
    view,
)
from launcher.fakegpu.layout import Stands, fits
from launcher.fakegpu.state import (
    MAX_EVENTS,
    MEMORY_UNKNOWN,
    NOT_A_MIG_ID,
    Fault,
    GpuState,
    MachineState,
)

KINDS = {"compute": 0, "graphics": 1, "mps": 2}
PRIVILEGES = {"everyone": 0, "root": 1, "nobody": 2}
DRIVER_STATES = {"loaded": 0, "not-loaded": 9, "mismatch": 18}
CODES = {
    "UNINITIALIZED": 1, "INVALID_ARGUMENT": 2, "NOT_SUPPORTED": 3, "NO_PERMISSION": 4,
    "NOT_FOUND": 6, "INSUFFICIENT_SIZE": 7, "DRIVER_NOT_LOADED": 9, "TIMEOUT": 10,
    "FUNCTION_NOT_FOUND": 13, "GPU_IS_LOST": 15, "RESET_REQUIRED": 16, "OPERATING_SYSTEM": 17,
    "LIB_RM_VERSION_MISMATCH": 18, "IN_USE": 19, "INSUFFICIENT_RESOURCES": 23, "UNKNOWN": 999,
}  # fmt: skip
"""NVML's return codes by name, for ``fail``."""

XID_EVENT = 0x8
MIB = 1024 * 1024


class Script:
    """The scripting part of Machine: processes, faults, layout, driver, power."""

    def locked(self) -> AbstractContextManager[MachineState]:
        """Lock the machine (see Machine)."""
        raise NotImplementedError

    # queries

    def gpu_uuids(self) -> list[str]:
        """Return the GPUs' UUIDs, in index order."""
        with self.locked() as state:
            return [state.gpus[i].uuid.decode() for i in range(state.gpu_count)]

    def instances(self) -> list[FakeInstance]:
        """Return every GPU instance, including bare ones."""
        with self.locked() as state:
            gpus = [state.gpus[i] for i in range(state.gpu_count)]
            return [view(gpu, gi) for gpu in gpus for gi in gpu.gis if gi.serial]

    def mig_uuids(self) -> list[str]:
        """Return the UUIDs of all MIG devices."""
        return [uuid for instance in self.instances() for uuid in instance.uuids]

    def mig_mode(self, gpu_uuid: str) -> tuple[bool, bool]:
        """Return (current, pending) of a GPU's MIG mode."""
        with self.locked() as state:
            gpu = _gpu(state, gpu_uuid)
            return bool(gpu.mig_current), bool(gpu.mig_pending)

    def calls(self, function: str) -> int:
        """Return how often the named NVML function was called, by all processes."""
        with self.locked() as state:
            names = ((row.name.decode(), row.calls) for row in state.counters)
            return next((int(calls) for name, calls in names if name == function), 0)

    # processes

    def add_process(
        self,
        uuid: str,
        pid: int,
        memory_mib: int | None = 100,
        *,
        kind: str = "compute",
        name: str = "python",
        while_alive: bool = False,
        activity: int = 0,
    ) -> None:
        """Put a process on a MIG device or a GPU.

        ``memory_mib`` None is "not available". With ``while_alive`` the entry exists only while
        a real process of that pid runs. ``activity`` is for how much of the time it keeps its GPU
        instance busy, in percent: boards before Hopper do not report it.
        """
        with self.locked() as state:
            gpu, gi, ci = locate(state, uuid)
            slot = next(row for row in state.processes if not row.used)
            slot.pid, slot.gpu, slot.gi, slot.ci, slot.kind = pid, gpu, gi, ci, KINDS[kind]
            slot.memory_bytes = MEMORY_UNKNOWN if memory_mib is None else memory_mib * MIB
            slot.name = name.encode()
            slot.while_alive, slot.activity = while_alive, activity
            slot.used = 1

    def remove_process(self, pid: int) -> None:
        """Remove every entry of the pid; UserError if there is none."""
        with self.locked() as state:
            rows = [row for row in state.processes if row.used and row.pid == pid]
            if not rows:
                raise UserError(f"the fake machine has no process {pid}")
            for row in rows:
                row.used = 0

    # faults

    def fail(self, function: str, code: str | int, *, at: int = 1, times: int | None = 1) -> None:
        """Make calls of ``function`` return ``code`` ("IN_USE" or a number).

        Applies from the ``at``-th call from now on, ``times`` times, or always with None. ``"*"``
        means every function.
        """
        self._fault(function, CODES[code] if isinstance(code, str) else code, 0, at, times)

    def absent(self, function: str) -> None:
        """Make the library behave like that of an older driver without this function."""
        self.fail(function, "FUNCTION_NOT_FOUND", times=None)

    def hang(self, function: str, seconds: float, *, at: int = 1, times: int | None = 1) -> None:
        """Make calls of ``function`` take that long; ``clear_faults`` ends them."""
        self._fault(function, 0, max(1, round(seconds * 1000)), at, times)

    def _fault(self, function: str, code: int, hang_ms: int, at: int, times: int | None) -> None:
        with self.locked() as state:
            slot: Fault = next(row for row in state.faults if not row.active)
            slot.function = function.encode()
            slot.first, slot.last, slot.seen = at, 0 if times is None else at + times - 1, 0
            slot.code, slot.hang_ms = code, hang_ms
            slot.serial += 1
            slot.active = 1

    def clear_faults(self) -> None:
        """Clear every scripted fault; hanging GPUs respond again."""
        with self.locked() as state:
            for row in state.faults:
                row.active = 0
            for index in range(state.gpu_count):
                state.gpus[index].stuck = 0

    def hang_gpu(self, gpu_uuid: str, *, hangs: bool = True) -> None:
        """Make every call for a GPU hang until it is cleared with ``hangs=False``."""
        with self.locked() as state:
            _gpu(state, gpu_uuid).stuck = hangs

    def lose_gpu(self, gpu_uuid: str, *, lost: bool = True) -> None:
        """Make a GPU fall off the bus, or (``lost=False``) bring it back."""
        with self.locked() as state:
            _gpu(state, gpu_uuid).lost = lost

    def set_privilege(self, privilege: str) -> None:
        """Set who may make privileged calls: ``everyone`` (the default), ``root`` or ``nobody``."""
        with self.locked() as state:
            state.privilege = PRIVILEGES[privilege]

    def set_driver(self, *, version: str | None = None, state: str | None = None) -> None:
        """Change the driver: its version, or its state (``loaded not-loaded mismatch``).

        A process with NVML open is unaffected, as on a real machine: only nvmlInit checks.
        """
        with self.locked() as machine:
            if version is not None:
                machine.driver_version = version.encode()
                machine.nvml_version = b"13." + version.encode()
            if state is not None:
                machine.init_code = DRIVER_STATES[state]

    def xid(self, uuid: str, number: int) -> None:
        """Raise a critical XID on a GPU or on a MIG device."""
        with self.locked() as state:
            gpu, gi, ci = locate(state, uuid)
            state.event_sequence += 1
            event = state.events[state.event_sequence % MAX_EVENTS]
            event.type, event.data, event.gpu, event.gi, event.ci = XID_EVENT, number, gpu, gi, ci
            event.sequence = state.event_sequence

    # layout and power

    def add_instance(
        self,
        gpu_uuid: str,
        profile: str,
        start: int | None = None,
        *,
        bare: bool = False,
        cut: tuple[int, ...] = (),
    ) -> FakeInstance:
        """Create a GPU instance as another administrator would.

        ``cut``: compute instances of these compute slices instead of one over all; ``bare``: none.
        """
        with self.locked() as state:
            index, _, _ = locate(state, gpu_uuid)
            gpu = state.gpus[index]
            if not gpu.mig_current:
                raise UserError(f"MIG mode is off on {gpu_uuid}")
            board = board_of(gpu)
            where = _choose(board, gpu, profile, start)
            return add_gi(state, index, board, where, None if bare else cut)

    def remove_instance(self, gpu_uuid: str, gi: int) -> None:
        """Destroy a GPU instance and its compute instances as another administrator would."""
        with self.locked() as state:
            index, _, _ = locate(state, gpu_uuid)
            for row in state.gpus[index].gis:
                if row.serial and row.id == gi:
                    remove_gi(state, index, row)
                    return
            raise UserError(f"{gpu_uuid} has no GPU instance {gi}")

    def set_mig_mode(self, gpu_uuid: str, *, on: bool, pending_only: bool = False) -> None:
        """Force MIG mode, or only the pending mode; a change of the mode removes the instances."""
        with self.locked() as state:
            gpu = _gpu(state, gpu_uuid)
            gpu.mig_pending = on
            if not pending_only:
                _reset(gpu)

    def set_persistence(self, *, on: bool) -> None:
        """Switch persistence mode on or off, on every GPU."""
        with self.locked() as state:
            state.persistence = on

    def set_reset_works(self, gpu_uuid: str, *, works: bool) -> None:
        """Set whether the GPU can be reset: a pass-through VM often cannot."""
        with self.locked() as state:
            _gpu(state, gpu_uuid).reset_works = works

    def mirror_ids(self, gpu_uuid: str, *, mirrored: bool) -> None:
        """Make the driver swap the halves of the GPU in its numbering from now on."""
        with self.locked() as state:
            _gpu(state, gpu_uuid).mirrored_ids = mirrored

    def reset_gpu(self, gpu_uuid: str) -> None:
        """Reset a GPU: the pending mode becomes current, instances and processes are gone."""
        with self.locked() as state:
            index, _, _ = locate(state, gpu_uuid)
            _reset(state.gpus[index])
            for row in state.processes:
                row.used = row.used and row.gpu != index

    def reboot(self) -> None:
        """Reboot: instances and processes are removed; only some boards keep their MIG mode.

        Processes with NVML open find it uninitialised.
        """
        with self.locked() as state:
            state.boot += 1
            for index in range(state.gpu_count):
                gpu = state.gpus[index]
                if not gpu.mode_survives_reboot:
                    gpu.mig_pending = 0
                gpu.lost = gpu.stuck = 0
                _reset(gpu)
            for row in state.processes:
                row.used = 0


def _gpu(state: MachineState, uuid: str) -> GpuState:
    gpu: GpuState = state.gpus[locate(state, uuid)[0]]
    return gpu


def _reset(gpu: GpuState) -> None:
    gpu.mig_current = gpu.mig_pending
    for gi in gpu.gis:
        gi.serial = 0
        for ci in gi.cis:
            ci.serial = 0


def _choose(board: BoardData, gpu: GpuState, profile: str, start: int | None) -> Stands:
    shape = board.profile(profile)
    starts = shape.starts if start is None else (start,)
    for place in starts:
        if fits(board, standing(gpu), Stands(shape, place)):
            return Stands(shape, place)
    raise UserError(f"no room for {profile} on {gpu.uuid.decode()}")


__all__ = ["CODES", "NOT_A_MIG_ID", "Script"]
