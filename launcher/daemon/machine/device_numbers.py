"""The meaning that MIG device numbers had when containers were started with them.

MIG device 0:1 may be another slice after a change of the layout. The meaning is known for a
container that was absent in one observation and present in the next, if its GPU's layout was the
same in both. It is remembered while the container runs, also by later daemons.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from launcher.core.model.gpu import Inventory, Slice
from launcher.daemon.loop import clock

KEPT = "foreign_numbers"
"""The store's key of the numbers' meanings."""
MOST_KEPT = 1000
"""At most this many starts of containers are remembered; the devices of others are unknown."""
LONGEST_GAP_S = 30.0
"""Between observations further apart, a layout may have changed and changed back."""
_NUMBER = re.compile(r"(?:mig)?(\d{1,4}):(\d{1,4})")

Number = tuple[int, int]
"""(GPU's index, MIG device's index on it), as in ``--gpus device=0:1``."""
Standing = tuple[Slice, int | None]
Layouts = Mapping[int, tuple[Standing, ...]]
"""By GPU index: its slices with their MIG indexes."""


def number_of(name: str) -> Number | None:
    """Return the number that a device's name stands for, None for a name of another kind.

    >>> number_of("mig0:1"), number_of("MIG-0")
    ((0, 1), None)
    """
    match = _NUMBER.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


def identity(s: Slice) -> frozenset[str]:
    """Return the names that identify a slice: its UUID, and its name before R470.

    The latter is its place, where its device nodes stay valid under another UUID.
    """
    return frozenset((s.uuid, f"MIG-{s.gpu_uuid}/{s.gi}/{s.ci}"))


@dataclass(frozen=True, slots=True)
class _Look:
    boot: float
    layouts: Layouts
    starts: frozenset[str]
    moves: int


class DeviceNumbers:
    """Meanings by start of a container: its id and Docker's time of the start."""

    def __init__(self) -> None:
        self._meant: dict[str, dict[Number, frozenset[str]]] = {}
        self._last: _Look | None = None
        self._moves = 0

    def meant(self, start: str, number: Number) -> frozenset[str] | None:
        """Return the names of the slice that a number meant at a start, None if unknown."""
        return self._meant.get(start, {}).get(number)

    def moved(self) -> None:
        """Record that the layout is being changed: numbers move, and may move back."""
        self._moves += 1

    def forget_last(self) -> None:
        """Record a failed observation: containers may have come and gone."""
        self._last = None

    def look(
        self,
        inventory: Inventory,
        starts: Mapping[str, Iterable[Number]],
        read: Callable[[], Inventory],
    ) -> bool:
        """Learn from a complete observation; returns whether a meaning became known.

        ``starts``: of all containers that run now and were given numbers. ``inventory`` was read
        before they were listed; ``read`` reads it again, and is called only if there is
        something to learn. Raises as ``read`` does.
        """
        moves, before, now = self._moves, self._last, layouts_of(inventory)
        self._last = None
        fresh = {}
        if before is not None and clock.now().boot - before.boot <= LONGEST_GAP_S:
            fresh = {start: given for start, given in starts.items() if start not in before.starts}
        meanings = {start: meant for start, meant in self._meant.items() if start in starts}
        learnt = False
        if before is not None and fresh:
            after = layouts_of(read())
            if before.moves == self._moves == moves:
                same = {
                    g: on for g, on in now.items() if before.layouts.get(g) == on == after.get(g)
                }
                meant = {start: _meanings(given, same) for start, given in fresh.items()}
                learnt = any(meant.values())
                meanings |= {start: item for start, item in meant.items() if item}
        self._meant = dict(list(meanings.items())[:MOST_KEPT])
        self._last = _Look(clock.now().boot, now, frozenset(starts), moves)
        return learnt

    def text(self) -> str:
        """Return the meanings to store, as one line."""
        rows = [
            [start, [[*number, sorted(names)] for number, names in meant.items()]]
            for start, meant in sorted(self._meant.items())
        ]
        return json.dumps(rows)

    def recall(self, text: str | None) -> None:
        """Load the meanings that an earlier daemon stored; unreadable ones are dropped."""
        try:
            rows = json.loads(text or "[]")
            self._meant = {
                str(start): {(int(g), int(i)): frozenset(names) for g, i, names in meant}
                for start, meant in rows
            }
        except (ValueError, TypeError):
            self._meant = {}


def layouts_of(inventory: Inventory) -> Layouts:
    """Return the slices of each GPU that answers, by the GPU's index."""
    silent, indexes = {uuid for uuid, _ in inventory.silent}, dict(inventory.indexes)
    layouts: dict[int, tuple[Standing, ...]] = {}
    for s in inventory.slices:
        if s.gpu_uuid not in silent:
            layouts[s.gpu_index] = (*layouts.get(s.gpu_index, ()), (s, indexes.get(s.uuid)))
    return layouts


def _meanings(given: Iterable[Number], layouts: Layouts) -> dict[Number, frozenset[str]]:
    """Return the meanings of the numbers on the GPUs whose layout is known.

    If NVML's indexes have gaps, tools differ in whether they count them: both are included.
    """
    result: dict[Number, frozenset[str]] = {}
    for gpu, index in given:
        numbered = sorted((i, s.uuid, s) for s, i in layouts.get(gpu, ()) if i is not None)
        both = [s for at, (i, _, s) in enumerate(numbered) if index in (i, at)]
        if both:
            result[gpu, index] = frozenset().union(*map(identity, both))
    return result
