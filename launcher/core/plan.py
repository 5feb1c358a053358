"""What must be destroyed and created so that a layout stands: the least that does it.

A request is the total wanted on one GPU: what fits it already is kept, so that asking twice changes
nothing. What is not in it stays, unless the request is exact.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from launcher.core.gpu import Gpu
from launcher.core.layout import Board, Place, board_of, largest, solve
from launcher.errors import ImpossibleLayout

MOST_INSTANCES = 64
"""More than any GPU has room for: a greater number is refused before anything is made of it."""


@dataclass(frozen=True, slots=True)
class Want:
    """So many instances of a profile, by name or profile id, at one place or anywhere."""

    profile: str
    count: int = 1
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A GPU instance that stands. ``busy`` says who uses it; ``bare``: no compute instance."""

    place: Place
    gi: int
    busy: str | None = None
    bare: bool = False


@dataclass(frozen=True, slots=True)
class GpuPlan:
    """What becomes of one GPU. ``complete`` are those of ``keep`` that are asked for and bare."""

    gpu_uuid: str
    keep: tuple[Standing, ...]
    destroy: tuple[Standing, ...]
    create: tuple[Place, ...]
    complete: tuple[Standing, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.destroy or self.create or self.complete)

    @property
    def touches_busy(self) -> tuple[str, ...]:
        """Who uses what would be destroyed."""
        return tuple(s.busy for s in self.destroy if s.busy)


def plan(
    gpu: Gpu, standing: Sequence[Standing], wants: Sequence[Want], *, exact: bool = False
) -> GpuPlan:
    """Return the plan with the fewest changes, sparing what is busy first of all.

    Raises ``ImpossibleLayout``, with the largest part that would fit, where it cannot stand.
    """
    board = board_of(gpu.profiles)
    if board is None:
        raise ImpossibleLayout(
            f"GPU {gpu.index}: NVML does not tell which placements its profiles have",
            fix="MIG mode must be on (`launch layout enable`), and the daemon must run as root.",
        )
    asked = _asked(gpu, board, wants)
    for kept in _kept(standing, asked, exact):
        made = _completed(board, kept, asked)
        if made is not None:
            gone = tuple(s for s in standing if s not in kept)
            return GpuPlan(gpu.uuid, kept, gone, made, _lacking(kept, asked))
    raise _impossible(gpu, board, standing, wants, exact)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request by profile ids: these places, and so many of each profile anywhere else."""

    fixed: tuple[Place, ...]
    free: Counter[int]


def _asked(gpu: Gpu, board: Board, wants: Sequence[Want]) -> _Asked:
    fixed: list[Place] = []
    free: Counter[int] = Counter()
    for want in wants:
        wanted = profile_id(gpu, want.profile)
        if want.start is None:
            free[wanted] += want.count
            _must_be_few(gpu, free.total())
            continue
        starts = board.shape(wanted).starts
        if want.start not in starts:
            raise ImpossibleLayout(
                f"GPU {gpu.index}: {name_of(gpu, wanted)} cannot stand at {want.start}",
                fix=f"It can stand at {', '.join(map(str, starts))}.",
            )
        place = Place(wanted, want.start)
        if place in fixed:
            raise ImpossibleLayout(
                f"GPU {gpu.index}: {words(gpu, [place], Counter())} is asked for twice",
                fix="Name each place once.",
            )
        fixed.append(place)
    return _Asked(tuple(fixed), free)


def _must_be_few(gpu: Gpu, count: int) -> None:
    if count > MOST_INSTANCES:
        raise ImpossibleLayout(
            f"GPU {gpu.index}: {count} GPU instances cannot stand on any GPU",
            fix="`launch layout profiles` shows what there is.",
        )


def profile_id(gpu: Gpu, text: str) -> int:
    """Return the profile id of a profile's name or number; the error names those there are."""
    names = {p.name.lower(): p.profile_id for p in gpu.profiles}
    if text.lower() in names:
        return names[text.lower()]
    numbers = {str(number): number for number in names.values()}
    if text in numbers:
        return numbers[text]
    near = difflib.get_close_matches(text[:80].lower(), names, 1)
    raise ImpossibleLayout(
        f"GPU {gpu.index} ({gpu.name}) has no profile {text!r}",
        fix=(f"Do you mean {near[0]}? " if near else "") + f"It has: {' '.join(names)}.",
    )


def _kept(
    standing: Sequence[Standing], asked: _Asked, exact: bool
) -> Iterator[tuple[Standing, ...]]:
    """Yield what might be kept: whatever spares most of what is busy, then the most, first."""
    if not exact:
        yield tuple(standing)
        return
    parts = [part for count in range(len(standing) + 1) for part in combinations(standing, count)]
    parts.sort(key=lambda part: (-sum(s.busy is not None for s in part), -len(part)))
    for part in parts:
        if _within(part, asked):
            yield part


def _within(part: Sequence[Standing], asked: _Asked) -> bool:
    """Whether each of these is asked for."""
    extra = Counter(s.place for s in part) - Counter(asked.fixed)
    return not Counter(place.profile_id for place in extra.elements()) - asked.free


def _completed(board: Board, kept: Sequence[Standing], asked: _Asked) -> tuple[Place, ...] | None:
    """Return what is to be created beside what is kept, None where it has no room."""
    places = [s.place for s in kept]
    missing: list[Place] = []
    for place in asked.fixed:
        if place not in places:
            if not board.can_stand([*places, *missing], place):
                return None
            missing.append(place)
    others = Counter(p.profile_id for p in (Counter(places) - Counter(asked.fixed)).elements())
    rest = solve(board, (*places, *missing), [*(asked.free - others).elements()])
    return None if rest is None else (*missing, *rest)


def _lacking(kept: Sequence[Standing], asked: _Asked) -> tuple[Standing, ...]:
    """Return the bare instances that the request counts on; what it does not is left alone."""
    left = Counter(asked.free)
    for s in kept:
        if not s.bare and s.place not in asked.fixed:
            left[s.place.profile_id] -= 1
    found = []
    for s in kept:
        if s.bare and s.place not in asked.fixed:
            left[s.place.profile_id] -= 1
        if s.bare and (s.place in asked.fixed or left[s.place.profile_id] >= 0):
            found.append(s)
    return tuple(found)


def name_of(gpu: Gpu, profile_id: int) -> str:
    """Return the name of a GPU's profile."""
    return next((p.name for p in gpu.profiles if p.profile_id == profile_id), str(profile_id))


def _impossible(
    gpu: Gpu, board: Board, standing: Sequence[Standing], wants: Sequence[Want], exact: bool
) -> ImpossibleLayout:
    request = _asked(gpu, board, wants)
    fixed, free = request.fixed, request.free
    beside = [] if exact else [s.place for s in standing]
    missing = [place for place in fixed if place not in beside]
    used = Counter(p.profile_id for p in (Counter(beside) - Counter(fixed)).elements())
    places, ids = largest(board, beside, missing, [*(free - used).elements()])
    all_of_it = words(gpu, fixed, free)
    best = words(gpu, places, Counter(ids)) or "nothing more"
    if beside and _could_alone(gpu, standing, wants):
        return ImpossibleLayout(
            f"GPU {gpu.index}: {all_of_it} cannot stand beside what is there",
            fix=f"Beside it would fit: {best}. With --exact, what is not asked for is removed.",
        )
    return ImpossibleLayout(
        f"GPU {gpu.index}: {all_of_it} cannot stand together",
        fix=f"The largest part that fits: {best}. `launch layout profiles` shows what there is.",
    )


def _could_alone(gpu: Gpu, standing: Sequence[Standing], wants: Sequence[Want]) -> bool:
    """Whether the request could stand if everything else went."""
    try:
        plan(gpu, standing, wants, exact=True)
    except ImpossibleLayout:
        return False
    return True


def words(gpu: Gpu, fixed: Sequence[Place], free: Counter[int]) -> str:
    """Return a request as people write it: ``1g.6gb:2 2g.12gb@2``."""
    parts = [f"{name_of(gpu, i)}:{n}" if n > 1 else name_of(gpu, i) for i, n in free.items() if n]
    return " ".join([*parts, *(f"{name_of(gpu, p.profile_id)}@{p.start}" for p in fixed)])
