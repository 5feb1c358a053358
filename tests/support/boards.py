"""The boards of the fake GPU as the core knows a GPU, without any library in between."""

from __future__ import annotations

from launcher.core.model.gpu import Gpu, Placement, Profile
from launcher.core.model.packing import Board, board_of
from launcher.fakegpu import boards as fake

ALL_MIG_BOARDS = [key for key, board in fake.boards().items() if board.profiles]
MIG_BOARDS = [
    "A30", "A100-40GB", "A100-80GB", "H100-80GB", "H100-NVL", "RTX-PRO-6000", "RTX-PRO-5000",
]  # fmt: skip
"""One board of every grid and set of engines: searches over all layouts take these alone."""


def profiles(key: str) -> tuple[Profile, ...]:
    """Return what a board offers."""
    return tuple(
        Profile(
            p.id,
            p.name,
            p.memory_mib,
            p.engines[0],
            p.max_instances,
            p.sm,
            p.engines[1:],
            tuple(Placement(start, p.size) for start in p.starts),
        )
        for p in fake.boards()[key].profiles
    )


def gpu(key: str, uuid: str = "GPU-a", *, mig: bool = True) -> Gpu:
    """Return a GPU of that board."""
    board = fake.boards()[key]
    return Gpu(uuid, 0, board.name, board.memory_mib, mig, mig, profiles(key))


def board(key: str) -> Board:
    """Return the board as the search sees it."""
    found = board_of(profiles(key))
    assert found is not None
    return found
