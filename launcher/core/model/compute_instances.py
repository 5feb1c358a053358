"""GPU instances divided into compute instances: what is asked for, what is there, what is missing.

Devices that do not span their GPU instance fill GPU instances of their profile one after the other,
the largest first. That is what NVIDIA mig-parted makes of the same request
(github.com/NVIDIA/mig-parted, pkg/mig/config/config.go, ``SetMigConfig``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from launcher.core.model.packing import Board, Place

WHOLE = 0
"""Stands for the compute slices of a compute instance that spans its GPU instance."""

_SIZES = (1, 2, 3, 4, 6, 7, 8)
"""The compute slices of NVML's profiles (nvml.h, ``NVML_COMPUTE_INSTANCE_PROFILE_*``)."""

_NOT_OFFERED = ((3, 4), (6, 7))


def sizes_in(slices: int) -> tuple[int, ...]:
    """Return the compute slices of the parts that a GPU instance of so many can be divided into.

    NVML tells it of GPU instances that stand only. A 4g offers no part of 3 and a 7g none of 6
    (github.com/NVIDIA/go-nvml, pkg/nvml/mock).

    >>> sizes_in(4), sizes_in(7)
    ((1, 2), (1, 2, 3, 4))
    """
    return tuple(size for size in _SIZES if size < slices and (size, slices) not in _NOT_OFFERED)


class DeviceKind(NamedTuple):
    """A kind of MIG device: a GPU instance's profile id, and its compute slices or ``WHOLE``."""

    profile_id: int
    compute: int = WHOLE


@dataclass(frozen=True, slots=True)
class StandingInstance:
    """A GPU instance that stands. ``busy`` says who uses it; ``bare``: no compute instance."""

    place: Place
    gi: int
    busy: str | None = None
    bare: bool = False

    @property
    def devices(self) -> Counter[int]:
        """How many compute instances of each size it has."""
        return Counter() if self.bare else devices_in(self.place)


def devices_in(place: Place) -> Counter[int]:
    """Return the compute instances of a place, by their compute slices."""
    return Counter(place.cut or (WHOLE,))


def cut_of(devices: Counter[int]) -> tuple[int, ...]:
    """Return compute instances as the cut of a place: largest first, () for one over all."""
    return tuple(sorted((c for c in devices.elements() if c != WHOLE), reverse=True))


def counted(profile: str, cut: tuple[int, ...]) -> list[tuple[str, int]]:
    """Return the devices of a GPU instance as (profile, how many).

    >>> counted("3g.20gb", (2, 1)), counted("3g.20gb", ())
    ([('2c.3g.20gb', 1), ('1c.3g.20gb', 1)], [('3g.20gb', 1)])
    """
    sizes = Counter(cut).items()
    return [(f"{size}c.{profile}", count) for size, count in sizes] or [(profile, 1)]


def specs(profile: str, cut: tuple[int, ...], start: int | None) -> list[str]:
    """Return a GPU instance as the SPECs that ask for it.

    >>> specs("3g.20gb", (1, 1, 1), 4)
    ['1c.3g.20gb:3@4']
    """
    at = "" if start is None else f"@{start}"
    return [f"{name}:{n}{at}" if n > 1 else f"{name}{at}" for name, n in counted(profile, cut)]


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A request: compute instances at these places, and so many devices anywhere else."""

    fixed: dict[Place, Counter[int]]
    free: Counter[DeviceKind]

    @property
    def places(self) -> tuple[Place, ...]:
        """The places that it names, with their cuts."""
        return _with_cuts(self.fixed)


def _with_cuts(fixed: dict[Place, Counter[int]]) -> tuple[Place, ...]:
    return tuple(replace(at, cut=cut_of(devices)) for at, devices in fixed.items())


@dataclass(slots=True)
class Division:
    """What is made of a request: the kept with what they shall hold, and what is to be created."""

    kept: list[tuple[StandingInstance, Counter[int]]] = field(default_factory=list)
    fixed: dict[Place, Counter[int]] = field(default_factory=dict)
    new: list[tuple[int, Counter[int]]] = field(default_factory=list)

    @property
    def complete(self) -> tuple[StandingInstance, ...]:
        """The kept that lack something, each with the cut that it shall have."""
        return tuple(
            replace(s, place=replace(s.place, cut=cut_of(total)))
            for s, total in self.kept
            if total != s.devices
        )

    @property
    def places(self) -> tuple[Place, ...]:
        """The places at which something is to be created, with their cuts."""
        return _with_cuts(self.fixed)

    def cut(self, places: Iterable[Place]) -> tuple[Place, ...]:
        """Return places that were found for ``new`` with their cuts."""
        left = list(self.new)
        result = []
        for place in places:
            one = next(each for each in left if each[0] == place.profile_id)
            left.remove(one)
            result.append(replace(place, cut=cut_of(one[1])))
        return tuple(result)


def can_hold(board: Board, profile_id: int, devices: Counter[int]) -> bool:
    """Whether a GPU instance has the compute slices for all of these; one that spans it, alone."""
    if devices[WHOLE]:
        return devices.total() == 1
    used = sum(compute * count for compute, count in devices.items())
    return used <= board.shape(profile_id).costs[0]


def can_become(board: Board, s: StandingInstance, total: Counter[int]) -> bool:
    """Whether a GPU instance that stands can be filled up to these.

    Where its compute instances are is not known: only another of one slice surely finds a place.
    """
    more = total - s.devices
    sure = not s.devices or set(more) <= {1}
    return sure and can_hold(board, s.place.profile_id, total)


def divide(
    board: Board, staying: Sequence[StandingInstance], asked: DeviceRequest, *, exact: bool
) -> Division | None:
    """Return how a request is met with these kept; None where it is not.

    ``exact``: nothing may be kept that is not asked for.
    """
    left = Counter(asked.free)
    made = Division(fixed={at: Counter(devices) for at, devices in asked.fixed.items()})
    for s in staying:
        has = s.devices
        at = made.fixed.pop(s.place.whole, Counter())
        made.kept.append((s, has | at))
        for compute, count in (has - at).items():
            device = DeviceKind(s.place.profile_id, compute)
            if exact and left[device] < count:
                return None
            left[device] = max(0, left[device] - count)
    for device in sorted((+left).elements(), key=lambda d: (d.profile_id, d.compute or 99))[::-1]:
        _add(board, made, device)
    if exact and not all(total for _, total in made.kept):
        return None
    held = all(can_become(board, s, total) for s, total in made.kept)
    return made if held else None


def _add(board: Board, made: Division, device: DeviceKind) -> None:
    """Put a device where there is room: divided instances first, then bare ones, then new ones."""
    wanted, one = device.profile_id, Counter([device.compute])
    there = [total for s, total in made.kept if s.place.profile_id == wanted
             and can_become(board, s, total + one)]  # fmt: skip
    coming = [(at.profile_id, total) for at, total in made.fixed.items()] + made.new
    new = [total for profile_id, total in coming if profile_id == wanted
           and can_hold(board, wanted, total + one)]  # fmt: skip
    result = next(iter([*sorted(there, key=lambda total: not total), *new]), None)
    if result is None:
        made.new.append((wanted, one))
    else:
        result[device.compute] += 1
