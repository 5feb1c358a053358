"""Known versions as data: drivers that boards need, fixes of known escapes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from launcher.core.model.gpu import Gpu

OLDEST_DRIVER = "460"
OLDEST_DOCKER_API = "1.41"

_VERSION = re.compile(r"(\d+(?:\.\d+)*)(?:[-~.]?rc\.?(\d+))?")
_FINAL = 10**6
"""Sorts a release after all of its candidates."""

Key = tuple[tuple[int, ...], int]


def key(text: str) -> Key | None:
    """Return the sort key of a version, None if the text does not start with one.

    >>> key("1.4.0-rc.3") < key("1.4") < key("1.4.1+ds1-2")
    True
    """
    match = _VERSION.match(text.strip().removeprefix("v"))
    if match is None:
        return None
    numbers = tuple(int(number) for number in match[1].split("."))
    return (numbers + (0,) * 4)[:4], int(match[2]) if match[2] else _FINAL


def older(text: str, than: str) -> bool:
    """Whether a version is older than another; False if one cannot be parsed."""
    left, right = key(text), key(than)
    return left is not None and right is not None and left < right


@dataclass(frozen=True, slots=True)
class BoardSupport:
    """The first driver that supports MIG on a board, and how to recognise the board.

    ``name`` is a word in the product's name; ``devices`` are PCI device numbers.
    """

    name: str
    driver: str
    devices: frozenset[int] = frozenset()


BOARDS = (
    BoardSupport("A100", "450", frozenset({
        0x20B0, 0x20B1, 0x20B2, 0x20B5, 0x20F1, 0x20F3, 0x20F5, 0x20F6,
    })),
    BoardSupport("A30", "460.73.01", frozenset({0x20B7})),
    BoardSupport("H100", "525.85.12", frozenset({0x2321, 0x2322, 0x2324, 0x2330, 0x2331})),
    BoardSupport("H20", "535", frozenset({0x2329})),
    BoardSupport("GH200", "535", frozenset({0x2342, 0x233D, 0x2348})),
    BoardSupport("H200", "550.90.07", frozenset({0x2335, 0x233B})),
    BoardSupport("B200", "570.133.20", frozenset({0x2901})),
    BoardSupport("GB200", "570.133.20", frozenset({0x2941})),
    BoardSupport("B300", "580.82.07", frozenset({0x3182})),
    BoardSupport("GB300", "580.82.07", frozenset({0x31C2})),
    BoardSupport("RTX PRO 6000", "575.51.03", frozenset({0x2BB1, 0x2BB4, 0x2BB5})),
    BoardSupport("RTX PRO 5000", "575.57.08", frozenset({0x2BB3})),
    BoardSupport("RTX PRO 4500", "575.64", frozenset({0x2C31})),
)  # fmt: skip


def board_of(gpu: Gpu) -> BoardSupport | None:
    """Return the entry of a GPU's board: by its PCI number, else by its name."""
    device = None if gpu.pci_device_id is None else gpu.pci_device_id >> 16
    by_number = (board for board in BOARDS if device in board.devices)
    by_name = (board for board in BOARDS if re.search(rf"\b{board.name}\b", gpu.name))
    return next(by_number, None) or next(by_name, None)


@dataclass(frozen=True, slots=True)
class Escape:
    """A container escape, and the first fixed version of each release line that got a fix.

    Not ``published``: the fixed version was not announced; ours is an assumption.
    """

    name: str
    fixed: tuple[str, ...]
    published: bool = True


TOOLKIT = (
    Escape("CVE-2024-0132", ("1.16.2",)),
    Escape("CVE-2025-23359", ("1.17.4",)),
    Escape("CVE-2025-23266", ("1.17.8",)),
    Escape("CVE-2026-24260", ("1.20.0",), published=False),
)
RUNC_WORKING_DIR = "CVE-2024-21626"
RUNC = (
    Escape(RUNC_WORKING_DIR, ("1.1.12",)),
    Escape("CVE-2025-31133", ("1.2.8", "1.3.3", "1.4.0-rc.3")),
    Escape("CVE-2025-52565", ("1.2.8", "1.3.3", "1.4.0-rc.3")),
    Escape("CVE-2025-52881", ("1.2.8", "1.3.3", "1.4.0-rc.3")),
)


def escapes_of(version: str, known: Sequence[Escape]) -> list[Escape]:
    """Return the known escapes that a version still has.

    >>> [e.name for e in escapes_of("1.2.8", RUNC)], len(escapes_of("1.3.0", RUNC))
    ([], 3)
    """
    return [escape for escape in known if not _has_fix(version, escape.fixed)]


def _has_fix(version: str, fixed: tuple[str, ...]) -> bool:
    """Whether a version has the fix: each release line has its own; later lines have it."""
    same_line = (fix for fix in fixed if _line(fix) == _line(version))
    return not older(version, next(same_line, fixed[-1]))


def _line(version: str) -> tuple[int, ...]:
    result = key(version)
    return () if result is None else result[0][:2]
