"""Which GPU instances fit together on a board, and where: the rules that the C side enforces.

Separate from the C code on purpose: a spec is checked without a compiler, and a test compares the
two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from launcher.errors import UserError
from launcher.fakegpu.boards import BoardData, BoardProfile, compute_instances


@dataclass(frozen=True, slots=True)
class Stands:
    """A GPU instance of ``profile`` at ``start`` (memory units)."""

    profile: BoardProfile
    start: int

    def overlaps(self, other: Stands) -> bool:
        """Whether the two share a memory unit."""
        return (
            self.start < other.start + other.profile.size
            and other.start < self.start + self.profile.size
        )


def fits(board: BoardData, standing: Sequence[Stands], new: Stands) -> bool:
    """Whether ``new`` fits beside ``standing``: placement, instance count, every engine."""
    if new.start not in new.profile.starts or any(new.overlaps(other) for other in standing):
        return False
    same = sum(other.profile == new.profile for other in standing)
    if same >= new.profile.max_instances:
        return False
    taken = [new.profile.engines, *(other.profile.engines for other in standing)]
    sums = [sum(column) for column in zip(*taken, strict=True)]
    return all(used <= limit for used, limit in zip(sums, board.limits, strict=True))


def can_be_divided(profile: BoardProfile, cut: Sequence[int]) -> bool:
    """Whether compute instances of these slices fit side by side in a GPU instance."""
    offered = compute_instances().get(profile.engines[0], {})
    start = 0
    for slices in cut:
        if start % slices or start // slices >= offered.get(slices, 0):
            return False
        start += slices
    return start <= profile.engines[0]


def divide(board: BoardData, names: Sequence[str]) -> list[tuple[str, tuple[int, ...]]]:
    """Return the GPU instances for the named profiles, with their compute slices.

    ``1c.3g.20gb`` fills GPU instances one after the other, largest compute instances first;
    any other name is a GPU instance with one compute instance over all of it, ().
    """
    whole = [name for name in names if "c." not in name]
    parts = [(of, int(size)) for size, _, of in (n.partition("c.") for n in names if "c." in n)]
    divided: list[tuple[str, tuple[int, ...]]] = []
    for of, size in sorted(parts, key=lambda part: -part[1]):
        for number, (name, cut) in enumerate(divided):
            if name == of and can_be_divided(board.profile(of), (*cut, size)):
                divided[number] = (of, (*cut, size))
                break
        else:
            if not can_be_divided(board.profile(of), (size,)):
                raise UserError(
                    f"{of} has no room for a compute instance of {size} slices",
                    fix=f"Write {of} for one over all of it.",
                )
            divided.append((of, (size,)))
    return [*((name, ()) for name in whole), *divided]


def gi_id(board: BoardData, new: Stands) -> int:
    """Return the id that real GPUs assign: a node of a binary tree over the GPU.

    All observed transcripts fit this numbering (A30 1g 3 to 6, 2g 1 and 2; A100 1g 7 to 14). Some
    drivers swap the halves, so an id alone does not determine the placement.
    """
    parts = board.units // new.profile.size
    part = new.start // new.profile.size
    if board.mirrored_ids and parts > 1:
        part ^= parts // 2
    return parts - 1 + part


def solve(board: BoardData, names: Sequence[str]) -> list[Stands]:
    """Return a placement for every named profile; UserError if they do not fit together."""
    wanted = sorted((board.profile(name) for name in names), key=lambda p: -p.size)
    placed = _search(board, [], wanted)
    if placed is None:
        raise UserError(
            f"the layout {'/'.join(names)} does not fit on the board {board.key}",
            fix="Placements, compute slices and engines must all fit; use fewer or smaller "
            "instances.",
        )
    return placed


def _search(
    board: BoardData, standing: list[Stands], rest: list[BoardProfile]
) -> list[Stands] | None:
    if not rest:
        return standing
    for start in rest[0].starts:
        new = Stands(rest[0], start)
        if fits(board, standing, new):
            placed = _search(board, [*standing, new], rest[1:])
            if placed is not None:
                return placed
    return None
