"""The syntax of fake machines: ``A30:1g.6gb*4,H100-80GB:3g.40gb/1g.10gb*2,T4``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from launcher.errors import UserError
from launcher.fakegpu.boards import BoardData, find_board
from launcher.fakegpu.layout import Stands, divide, solve
from launcher.fakegpu.state import MAX_GPUS


@dataclass(frozen=True, slots=True)
class BoardSpec:
    """One GPU of a machine: its board, whether MIG mode is on, and its instances.

    ``cuts`` has the compute slices of each instance, () for one compute instance over all.
    """

    board: BoardData
    mig: bool
    instances: tuple[Stands, ...] = ()
    cuts: tuple[tuple[int, ...], ...] = ()


def parse_spec(text: str) -> list[BoardSpec]:
    """Parse a machine's spec.

    A comma separates GPUs. After ``:`` comes a layout: profile names joined by ``/``, each with
    ``*n`` for n of them. A board without ``:`` has MIG mode off (or no MIG support); with a bare
    ``:`` MIG mode is on and the board is empty. ``1c.3g.20gb*3`` is one 3g.20gb in three parts.
    UserError reports unknown boards and profiles, and layouts that do not fit, with alternatives.

    >>> [spec.board.key for spec in parse_spec("A30:1g.6gb*4,T4")]
    ['A30', 'T4']
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UserError(
            f"the fake GPU spec {text!r} has an empty entry",
            fix="Write boards separated by commas, such as A30:1g.6gb*4,T4.",
        )
    if len(parts) > MAX_GPUS:
        raise UserError(f"the fake GPU spec has {len(parts)} GPUs", fix=f"At most {MAX_GPUS}.")
    return [_parse_gpu(part) for part in parts]


def _parse_gpu(text: str) -> BoardSpec:
    name, colon, layout = text.partition(":")
    board = find_board(name)
    if not colon:
        return BoardSpec(board, mig=False)
    if not board.profiles:
        raise UserError(
            f"the board {board.key} does not support MIG, so it takes no layout",
            fix=f"Write {board.key} alone.",
        )
    names: list[str] = []
    for item in layout.split("/") if layout.strip() else []:
        names.extend(_parse_item(board, item.strip(), text))
    divided = divide(board, names)
    stands = solve(board, [name for name, _ in divided])
    return BoardSpec(board, mig=True, instances=tuple(stands), cuts=tuple(_cuts(stands, divided)))


def _cuts(
    stands: list[Stands], divided: list[tuple[str, tuple[int, ...]]]
) -> Iterator[tuple[int, ...]]:
    """Yield for each instance, in order, its compute slices."""
    left = list(divided)
    for stand in stands:
        result = next(item for item in left if item[0] == stand.profile.name)
        left.remove(result)
        yield result[1]


def _parse_item(board: BoardData, item: str, text: str) -> list[str]:
    name, star, times = item.partition("*")
    if star and not (times.isascii() and times.isdigit() and int(times) > 0):
        raise UserError(
            f"{item!r} in the fake GPU spec {text!r} is not a profile and a count",
            fix=f"Write it as {name}*2.",
        )
    count = int(times) if star else 1
    part, dot, of = name.partition("c.")
    whole = board.profile(of if dot and part.isdecimal() else name).name
    return [f"{part}c.{whole}" if whole != name else name] * min(count, board.units + 1)


def format_spec(specs: list[BoardSpec]) -> str:
    """Return the spec in its normal form, for comparisons."""
    parts = []
    for spec in specs:
        names = sorted(
            f"{size}c.{stands.profile.name}" if size else stands.profile.name
            for stands, cut in zip(spec.instances, spec.cuts, strict=True)
            for size in cut or (0,)
        )
        parts.append(spec.board.key + (":" + "/".join(names) if spec.mig else ""))
    return ",".join(parts)
