"""The boards of fake machines, from ``boards.json``: the code never depends on a board's name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from launcher.errors import UserError

ARCHITECTURES = {"turing": 6, "ampere": 7, "hopper": 9, "blackwell": 10}
"""NVML_DEVICE_ARCH_* by name."""

ENGINES = ("slices", "copy", "decoders", "encoders", "jpeg", "ofa")


@dataclass(frozen=True, slots=True)
class BoardProfile:
    """A GPU-instance shape of a board. ``size`` and ``starts`` are in memory units."""

    name: str
    id: int
    shape: int
    max_instances: int
    memory_mib: int
    sm: int
    size: int
    starts: tuple[int, ...]
    engines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BoardData:
    """The data of a GPU; ``profiles`` is empty if it does not support MIG."""

    key: str
    name: str
    architecture: int
    cuda: tuple[int, int]
    pci_device_id: int
    memory_mib: int
    pci_subsystem_id: int = 0
    units: int = 0
    mode_needs_reset: bool = False
    mode_survives_reboot: bool = False
    query_without_mode: bool = False
    mirrored_ids: bool = False
    descending: bool = False
    limits: tuple[int, ...] = (0,) * len(ENGINES)
    profiles: tuple[BoardProfile, ...] = ()

    def profile(self, name: str) -> BoardProfile:
        """Return the profile called ``name``; UserError lists the available ones."""
        for profile in self.profiles:
            if profile.name == name:
                return profile
        names = " ".join(profile.name for profile in self.profiles)
        raise UserError(
            f"the board {self.key} has no profile {name!r}",
            fix=f"It has: {names}"
            if names
            else f"{self.key} does not support MIG: omit the layout.",
        )


@cache
def _data() -> dict[str, dict[str, dict[str, object]]]:
    text = files("launcher.fakegpu").joinpath("boards.json").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, dict[str, object]]] = json.loads(text)
    return loaded


def _profile(row: dict[str, object]) -> BoardProfile:
    plain = {key: value for key, value in row.items() if key not in ("starts", "engines")}
    engines: dict[str, int] = row["engines"]  # type: ignore[assignment]
    starts: list[int] = row["starts"]  # type: ignore[assignment]
    return BoardProfile(
        **plain,  # type: ignore[arg-type]
        starts=tuple(starts),
        engines=tuple(engines[name] for name in ENGINES),
    )


@cache
def boards() -> dict[str, BoardData]:
    """Return every board by its key, the name used in a spec."""
    return {key: _board(key, row) for key, row in _data()["boards"].items()}


def _board(key: str, row: dict[str, object]) -> BoardData:
    cuda: list[int] = row["cuda"]  # type: ignore[assignment]
    plain = BoardData(
        key=key,
        name=str(row["name"]),
        architecture=ARCHITECTURES[str(row["architecture"])],
        cuda=(cuda[0], cuda[1]),
        pci_device_id=int(str(row["pci_device_id"]), 16),
        memory_mib=int(str(row["memory_mib"])),
        pci_subsystem_id=int(str(row["pci_subsystem_id"]), 16),
    )
    mig: dict[str, object] | None = row["mig"]  # type: ignore[assignment]
    return plain if mig is None else _with_mig(plain, dict(mig))


def _with_mig(board: BoardData, mig: dict[str, object]) -> BoardData:
    rows: list[dict[str, object]] = mig.pop("profiles")  # type: ignore[assignment]
    profiles = tuple(_profile(row) for row in rows)
    full = mig.pop("full")
    limits = next(profile.engines for profile in profiles if profile.name == full)
    plain = {name: getattr(board, name) for name in BoardData.__slots__ if name not in mig}
    return BoardData(**{**plain, **mig, "limits": limits, "profiles": profiles})


def compute_instances() -> dict[int, dict[int, int]]:
    """Return how many compute instances of n slices fit in a GPU instance of m slices: [m][n]."""
    table = _data()["compute_instances"]
    return {int(m): {int(n): int(str(c)) for n, c in row.items()} for m, row in table.items()}


def find_board(name: str) -> BoardData:
    """Return the board called ``name`` (ignores case and spaces); UserError lists the boards."""
    wanted = "-".join(name.replace("_", " ").replace("-", " ").upper().split())
    for key, board in boards().items():
        if key.upper() == wanted:
            return board
    raise UserError(f"unknown board {name!r}", fix=f"Known: {' '.join(boards())}")
