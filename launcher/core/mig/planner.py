"""The instances to destroy and create for a layout, with the fewest changes.

A request is the total for one GPU. Matching instances are kept, so that repeating a request changes
nothing. Other instances stay, unless the request is exact.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from launcher.core.model.compute_instances import (
    WHOLE,
    DeviceKind,
    DeviceRequest,
    Division,
    StandingInstance,
    can_hold,
    devices_in,
    divide,
    sizes_in,
)
from launcher.core.model.gpu import Gpu, split_of
from launcher.core.model.layout_change import Want
from launcher.core.model.packing import Board, Place, arrange, board_of, largest
from launcher.errors import ImpossibleLayout

MOST_INSTANCES = 64
"""More than any GPU has room for: a greater number is refused before it is processed."""


@dataclass(frozen=True, slots=True)
class GpuPlan:
    """The plan for one GPU.

    ``complete`` has the instances in ``keep`` that lack compute instances, in their final form.
    """

    gpu_uuid: str
    keep: tuple[StandingInstance, ...]
    destroy: tuple[StandingInstance, ...]
    create: tuple[Place, ...]
    complete: tuple[StandingInstance, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.destroy or self.create or self.complete)

    @property
    def touches_busy(self) -> tuple[str, ...]:
        """The users of the instances to destroy."""
        return tuple(s.busy for s in self.destroy if s.busy)


def plan(
    gpu: Gpu, standing: Sequence[StandingInstance], wants: Sequence[Want], *, exact: bool = False
) -> GpuPlan:
    """Return the plan with the fewest changes, sparing busy instances first.

    Raises ``ImpossibleLayout``, with the largest part that fits, if the whole does not.
    """
    board = board_of(gpu.profiles)
    if board is None:
        raise ImpossibleLayout(
            f"GPU {gpu.index}: NVML does not report the placements of its profiles",
            fix="MIG mode must be on (`launch layout enable`), and the daemon must run as root.",
        )
    request = _device_request(gpu, board, wants)
    for staying in _sets_to_keep(standing, exact):
        division = divide(board, staying, request, exact=exact)
        placed = None if division is None else _placed(board, staying, division)
        if division is not None and placed is not None:
            gone = tuple(s for s in standing if s not in staying)
            return GpuPlan(gpu.uuid, staying, gone, placed, division.complete)
    raise _impossible(gpu, board, standing, wants, exact)


def _device_request(gpu: Gpu, board: Board, wants: Sequence[Want]) -> DeviceRequest:
    fixed: dict[Place, Counter[int]] = {}
    free: Counter[DeviceKind] = Counter()
    for want in wants:
        wanted = device_of(gpu, want.profile)
        if want.start is None:
            free[wanted] += want.count
            _must_be_few(gpu, free.total())
            continue
        starts = board.shape(wanted.profile_id).starts
        if want.start not in starts:
            raise ImpossibleLayout(
                f"GPU {gpu.index}: {device_name(gpu, wanted)} does not fit at {want.start}",
                fix=f"It fits at {', '.join(map(str, starts))}.",
            )
        devices = fixed.setdefault(Place(wanted.profile_id, want.start), Counter())
        devices[wanted.compute] += want.count
        _must_fit(gpu, board, wanted, want.start, devices)
    return DeviceRequest(fixed, free)


def _must_fit(
    gpu: Gpu, board: Board, wanted: DeviceKind, start: int, devices: Counter[int]
) -> None:
    if can_hold(board, wanted.profile_id, devices):
        return
    if devices == Counter({WHOLE: devices.total()}):
        raise ImpossibleLayout(
            f"GPU {gpu.index}: {device_name(gpu, wanted)}@{start} is requested twice",
            fix="Use each place once.",
        )
    name, slices = name_of(gpu, wanted.profile_id), board.shape(wanted.profile_id).costs[0]
    raise ImpossibleLayout(
        f"GPU {gpu.index}: the request at {start} does not fit in one {name}",
        fix=f"It has {slices} compute slices.",
    )


def _must_be_few(gpu: Gpu, count: int) -> None:
    if count > MOST_INSTANCES:
        raise ImpossibleLayout(
            f"GPU {gpu.index}: {count} GPU instances fit on no GPU",
            fix="`launch layout profiles` shows the available profiles.",
        )


def profile_id(gpu: Gpu, text: str) -> int:
    """Return the profile id of a profile's name or number; the error lists the profiles."""
    names = {p.name.lower(): p.profile_id for p in gpu.profiles}
    if text.lower() in names:
        return names[text.lower()]
    numbers = {str(number): number for number in names.values()}
    if text in numbers:
        return numbers[text]
    near = difflib.get_close_matches(text[:80].lower(), names, 1)
    raise ImpossibleLayout(
        f"GPU {gpu.index} ({gpu.name}) has no profile {text!r}",
        fix=(f"Did you mean {near[0]}? " if near else "") + f"It has: {' '.join(names)}.",
    )


def device_of(gpu: Gpu, text: str) -> DeviceKind:
    """Return the kind of device that a profile names: ``3g.20gb``, ``1c.3g.20gb``, a profile id."""
    compute, of = split_of(text.lower())
    device_kind = profile_id(gpu, of)
    slices = next(p.slice_count for p in gpu.profiles if p.profile_id == device_kind)
    if compute in (WHOLE, slices):
        return DeviceKind(device_kind)
    sizes = sizes_in(slices)
    if compute not in sizes:
        raise ImpossibleLayout(
            f"GPU {gpu.index}: {of} cannot be divided into {text!r}",
            fix="It can hold: " + " ".join([of, *(f"{size}c.{of}" for size in sizes)]) + ".",
        )
    return DeviceKind(device_kind, compute)


def _sets_to_keep(
    standing: Sequence[StandingInstance], exact: bool
) -> Iterator[tuple[StandingInstance, ...]]:
    """Yield sets of instances to keep: those that spare most busy ones first, then the largest."""
    if not exact:
        yield tuple(standing)
        return
    parts = [part for count in range(len(standing) + 1) for part in combinations(standing, count)]
    yield from sorted(parts, key=lambda part: (-sum(s.busy is not None for s in part), -len(part)))


def _placed(
    board: Board, staying: Sequence[StandingInstance], division: Division
) -> tuple[Place, ...] | None:
    """Return the instances to create beside the kept ones, None if they do not fit."""
    places = [s.place for s in staying]
    for place in division.places:
        if not board.can_stand(places, place):
            return None
        places.append(place)
    rest = arrange(board, places, [profile for profile, _ in division.new])
    return None if rest is None else (*division.places, *division.cut(rest))


def name_of(gpu: Gpu, profile_id: int) -> str:
    """Return the name of a GPU's profile."""
    return next((p.name for p in gpu.profiles if p.profile_id == profile_id), str(profile_id))


def device_name(gpu: Gpu, device: DeviceKind) -> str:
    """Return the name of a kind of device, as in NVML."""
    name = name_of(gpu, device.profile_id)
    return name if device.compute == WHOLE else f"{device.compute}c.{name}"


def _impossible(
    gpu: Gpu, board: Board, standing: Sequence[StandingInstance], wants: Sequence[Want], exact: bool
) -> ImpossibleLayout:
    request = _device_request(gpu, board, wants)
    beside = [] if exact else standing
    division = divide(board, beside, request, exact=exact) or Division()
    ids = [profile for profile, _ in division.new]
    places, chosen = largest(board, [s.place for s in beside], division.places, ids)
    part: Counter[DeviceKind] = Counter()
    for place in division.cut(Place(profile, 0) for profile in chosen):
        part += _devices_of(place)
    all_of_it = request_text(gpu, request.places, request.free)
    best = request_text(gpu, places, part) or "nothing more"
    if beside and _could_alone(gpu, standing, wants):
        return ImpossibleLayout(
            f"GPU {gpu.index}: {all_of_it} does not fit beside the present instances",
            fix=f"This would fit: {best}. With --exact, all other instances are removed.",
        )
    return ImpossibleLayout(
        f"GPU {gpu.index}: {all_of_it} do not fit together",
        fix=f"The largest part that fits: {best}. `launch layout profiles` lists all profiles.",
    )


def _could_alone(gpu: Gpu, standing: Sequence[StandingInstance], wants: Sequence[Want]) -> bool:
    """Whether the request would fit if all other instances were destroyed."""
    try:
        plan(gpu, standing, wants, exact=True)
    except ImpossibleLayout:
        return False
    return True


def _devices_of(place: Place) -> Counter[DeviceKind]:
    counted = devices_in(place).items()
    return Counter({DeviceKind(place.profile_id, compute): count for compute, count in counted})


def request_text(gpu: Gpu, fixed: Sequence[Place], free: Counter[DeviceKind]) -> str:
    """Return a request in the users' notation: ``1g.6gb:2 2g.12gb@2``."""
    parts = [_counted(device_name(gpu, device), n) for device, n in free.items() if n]
    for place in fixed:
        devices = _devices_of(place).items()
        parts += [f"{_counted(device_name(gpu, d), n)}@{place.start}" for d, n in devices]
    return " ".join(parts)


def _counted(name: str, count: int) -> str:
    return f"{name}:{count}" if count > 1 else name
