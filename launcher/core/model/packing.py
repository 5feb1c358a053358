"""Which GPU instances can stand together on a GPU, and where: exact search over placements.

A layout can stand if no two placements share a memory unit, compute slices and each engine's sum
stay within the full profile's, and no profile exceeds its instance count (NVML 13, nvml.h
"MIG Management"; the driver refuses anything else with INSUFFICIENT_RESOURCES). Never slice sums
alone: a 3g takes 4 of an A100's 8 units. A GPU has at most twelve units, so every search is small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from launcher.core.model.gpu import Placement, Profile


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A GPU instance as a place: it may stand there, or shall. ``start`` is in memory units.

    ``cut`` are the compute slices of its compute instances, largest first; () is one over all.
    """

    profile_id: int
    start: int
    cut: tuple[int, ...] = ()

    @property
    def whole(self) -> Place:
        """The same place, however it is divided."""
        return Place(self.profile_id, self.start) if self.cut else self


@dataclass(frozen=True, slots=True)
class Shape:
    """A profile as the search sees it. ``costs``: compute slices, then the engines."""

    profile_id: int
    memory_mib: int
    most: int
    size: int
    starts: tuple[int, ...]
    costs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """What a GPU offers, for the search; equal boards share what was found out."""

    shapes: tuple[Shape, ...]
    limits: tuple[int, ...]

    def shape(self, profile_id: int) -> Shape:
        """Return the shape of a profile that the board has."""
        return next(s for s in self.shapes if s.profile_id == profile_id)

    def offers(self, profile_id: int) -> bool:
        """Whether the board has the profile."""
        return any(s.profile_id == profile_id for s in self.shapes)

    def can_stand(self, standing: Sequence[Place], new: Place) -> bool:
        """Whether ``new`` can stand beside what stands."""
        shape = self.shape(new.profile_id)
        if new.start not in shape.starts:
            return False
        if sum(p.profile_id == new.profile_id for p in standing) >= shape.most:
            return False
        sums = list(shape.costs)
        for place in standing:
            other = self.shape(place.profile_id)
            if new.start < place.start + other.size and place.start < new.start + shape.size:
                return False
            sums = [a + b for a, b in zip(sums, other.costs, strict=True)]
        return all(used <= limit for used, limit in zip(sums, self.limits, strict=True))


@lru_cache(maxsize=64)
def board_of(profiles: tuple[Profile, ...]) -> Board | None:
    """Return the board of a GPU's profiles; None where NVML does not tell their placements."""
    if not profiles or any(p.placements is None for p in profiles):
        return None
    shapes = tuple(_shape(p, p.placements or ()) for p in profiles if p.placements)
    most = max(p.slice_count for p in profiles)
    full = [p for p in profiles if p.slice_count == most]
    rows = [(p.slice_count, *p.engines) for p in full]
    return Board(shapes, tuple(max(column) for column in zip(*rows, strict=True)))


def _shape(profile: Profile, placements: tuple[Placement, ...]) -> Shape:
    return Shape(
        profile.profile_id,
        profile.memory_mib,
        profile.max_instances,
        placements[0].size,
        tuple(sorted(p.start for p in placements)),
        (profile.slice_count, *profile.engines),
    )


def solve(
    board: Board, standing: Sequence[Place], wanted: Sequence[int]
) -> tuple[Place, ...] | None:
    """Return a place for every wanted profile id beside what stands, None where there is none."""
    largest_first = sorted(wanted, key=lambda i: (-board.shape(i).size, i))
    return _search(board, tuple(sorted(standing)), tuple(largest_first))


@lru_cache(maxsize=1 << 16)
def _search(
    board: Board, standing: tuple[Place, ...], wanted: tuple[int, ...]
) -> tuple[Place, ...] | None:
    if not wanted:
        return ()
    for start in board.shape(wanted[0]).starts:
        new = Place(wanted[0], start)
        if board.can_stand(standing, new):
            rest = _search(board, tuple(sorted((*standing, new))), wanted[1:])
            if rest is not None:
                return (new, *rest)
    return None


def arrange(
    board: Board, standing: Sequence[Place], wanted: Sequence[int]
) -> tuple[Place, ...] | None:
    """Return a place for every wanted profile id, where it costs the remaining layouts least.

    The largest come first; each takes the place that leaves room for most of the largest other
    instances, then of the next smaller ones, and so on. None where there is no room for all.
    """
    left = sorted(wanted, key=lambda i: (-board.shape(i).size, i))
    places: list[Place] = []
    while left:
        profile_id = left.pop(0)
        beside = (*standing, *places)
        options = [Place(profile_id, start) for start in board.shape(profile_id).starts]
        can = [p for p in options if board.can_stand(beside, p)]
        can = [p for p in can if solve(board, (*beside, p), left) is not None]
        if not can:
            return None
        places.append(max(can, key=lambda p: (_room(board, (*beside, p)), -p.start)))
    return tuple(places)


def _room(board: Board, standing: tuple[Place, ...]) -> tuple[int, ...]:
    """Return how many instances of each profile still fit, the largest profile first.

    Profiles of one size and one set of starts differ in engines alone: the first stands for all.
    """
    kinds = {(s.size, s.starts): s for s in reversed(board.shapes)}
    largest_first = sorted(kinds.values(), key=lambda s: (-s.size, -s.costs[0]))
    return tuple(_how_many(board, standing, shape) for shape in largest_first)


def _how_many(board: Board, standing: tuple[Place, ...], shape: Shape) -> int:
    """Return how many instances of one profile fit beside what stands: they are of one size."""
    places, start = list(standing), -1
    for new in (Place(shape.profile_id, at) for at in shape.starts):
        if new.start >= start and board.can_stand(places, new):
            places.append(new)
            start = new.start + shape.size
    return len(places) - len(standing)


def stands(board: Board, places: Sequence[Place]) -> bool:
    """Whether all of these places can stand together."""
    return all(board.can_stand(places[:i], place) for i, place in enumerate(places))


def largest(
    board: Board, standing: Sequence[Place], places: Sequence[Place], wanted: Sequence[int]
) -> tuple[tuple[Place, ...], tuple[int, ...]]:
    """Return the part of a request that fits beside what stands: most memory, then most instances.

    ``places`` are asked for at their place, ``wanted`` anywhere.
    """
    best: tuple[tuple[int, int], tuple[Place, ...], tuple[int, ...]] = ((0, 0), (), ())
    for subset in _parts(board, standing, places):
        beside = (*standing, *subset)
        for counts in _sub_multisets(board, beside, Counter(wanted)):
            chosen = tuple(counts.elements())
            ids = (*(p.profile_id for p in subset), *chosen)
            score = (sum(board.shape(i).memory_mib for i in ids), -len(ids))
            if score > best[0] and ids:
                best = (score, subset, chosen)
    return best[1], best[2]


def _parts(
    board: Board, standing: Sequence[Place], places: Sequence[Place]
) -> Iterator[tuple[Place, ...]]:
    """Yield every part of ``places`` that can stand."""
    if not places:
        yield ()
        return
    for rest in _parts(board, standing, places[1:]):
        yield rest
        if board.can_stand((*standing, *rest), places[0]):
            yield (places[0], *rest)


def _sub_multisets(
    board: Board, standing: Sequence[Place], wanted: Counter[int]
) -> Iterator[Counter[int]]:
    """Yield every part of a multiset of profiles that can stand; what cannot is not grown."""
    ids = sorted(wanted)

    def grow(index: int, chosen: Counter[int]) -> Iterator[Counter[int]]:
        yield chosen
        for i in range(index, len(ids)):
            more = chosen + Counter({ids[i]: 1})
            if more[ids[i]] <= wanted[ids[i]] and solve(board, standing, [*more.elements()]):
                yield from grow(i, more)

    return grow(0, Counter())
