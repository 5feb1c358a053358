"""GPU and compute instances in a machine's state, changed as by another admin's nvidia-smi."""

from __future__ import annotations

from dataclasses import dataclass, replace

from launcher.errors import LauncherError, UserError
from launcher.fakegpu.boards import BoardData, boards
from launcher.fakegpu.layout import Stands, can_be_divided, fits, gi_id
from launcher.fakegpu.state import NOT_A_MIG_ID, GpuInstance, GpuState, MachineState

CI_SHAPE_OF_SLICES = {1: 0, 2: 1, 3: 2, 4: 3, 7: 4, 8: 5, 6: 6}
"""NVML_COMPUTE_INSTANCE_PROFILE_* by compute slices."""


@dataclass(frozen=True, slots=True)
class FakeInstance:
    """A GPU instance; ``uuids`` are those of its MIG devices (empty if it is bare)."""

    gpu_uuid: str
    gi: int
    profile: str
    start: int
    size: int
    uuids: tuple[str, ...]


def board_of(gpu: GpuState) -> BoardData:
    """Return the GPU's board with its driver's current numbering."""
    return replace(boards()[gpu.board.decode()], mirrored_ids=bool(gpu.mirrored_ids))


def standing(gpu: GpuState) -> list[Stands]:
    """Return the instances on the GPU."""
    profiles = boards()[gpu.board.decode()].profiles
    return [Stands(profiles[gi.profile], gi.start) for gi in gpu.gis if gi.serial]


def add_gi(
    state: MachineState,
    index: int,
    board: BoardData,
    stands: Stands,
    cut: tuple[int, ...] | None = (),
) -> FakeInstance:
    """Create a GPU instance on GPU ``index`` with adjacent compute instances of these slices.

    () is one compute instance over all of it; with None there is none.
    """
    gpu = state.gpus[index]
    if cut and not can_be_divided(stands.profile, cut):
        raise UserError(f"{stands.profile.name} cannot hold compute instances of {cut} slices")
    if not fits(board, standing(gpu), stands):
        raise UserError(
            f"{stands.profile.name} does not fit at {stands.start} on GPU {index} ({board.key})"
        )
    gi = next(slot for slot in gpu.gis if not slot.serial)
    gi.id = gi_id(board, stands)
    gi.profile = board.profiles.index(stands.profile)
    gi.start = stands.start
    for ci in gi.cis:
        ci.serial = 0
    state.serials += 1
    gi.serial = state.serials
    sizes = () if cut is None else cut or (stands.profile.engines[0],)
    start = 0
    for number, slices in enumerate(sizes):
        ci = gi.cis[number]
        ci.id, ci.shape, ci.start, ci.size = number, CI_SHAPE_OF_SLICES[slices], start, slices
        start += slices
        state.serials += 1
        ci.serial = state.serials
    return view(gpu, gi)


def remove_gi(state: MachineState, index: int, gi: GpuInstance) -> None:
    """Destroy a GPU instance; refused while a process is on it."""
    for process in state.processes:
        if process.used and (process.gpu, process.gi) == (index, gi.id):
            raise LauncherError(f"GPU instance {gi.id} has a process on it: pid {process.pid}")
    for ci in gi.cis:
        ci.serial = 0
    gi.serial = 0


def view(gpu: GpuState, gi: GpuInstance) -> FakeInstance:
    """Return a GPU instance as a value."""
    profile = gpu.profiles[gi.profile]
    uuids = tuple(gpu.mig_uuids[gi.id][ci.id].value.decode() for ci in gi.cis if ci.serial)
    return FakeInstance(
        gpu.uuid.decode(), gi.id, profile.name.decode(), gi.start, profile.size, uuids
    )


def locate(state: MachineState, uuid: str) -> tuple[int, int, int]:
    """Return (GPU index, GI id, CI id) of a UUID; whole GPUs have NOT_A_MIG_ID twice."""
    for index in range(state.gpu_count):
        gpu = state.gpus[index]
        if gpu.uuid.decode() == uuid:
            return index, NOT_A_MIG_ID, NOT_A_MIG_ID
        for gi in gpu.gis:
            for ci in gi.cis:
                if gi.serial and ci.serial and gpu.mig_uuids[gi.id][ci.id].value.decode() == uuid:
                    return index, gi.id, ci.id
    raise UserError(f"the fake machine has no device {uuid}")
