"""Slices on which starts fail one after the other: out of use, before they cost every job a try."""

from __future__ import annotations

from collections.abc import Iterable

from launcher.core.messages import events as ev
from launcher.core.messages.changes import Quarantine
from launcher.core.messages.events import StartFailure
from launcher.core.world.world import World

MAX_FAILED_STARTS = 3
"""So many starts in a row may fail on a slice, whichever jobs they are of."""

_OF_THE_SLICE = (StartFailure.INFRA, StartFailure.SLICE_CHANGED)


def failed(world: World, event: ev.StartFailed, now: ev.Now) -> None:
    """Count a failed start against the slice that it names.

    What names none (Docker's disk is full) would take every slice of the machine in turn.
    """
    state = world.slices.get(event.slice or "")
    if state is None or event.failure not in _OF_THE_SLICE:
        return
    state.failed_starts += 1
    if state.failed_starts >= MAX_FAILED_STARTS:
        why = f"{state.failed_starts} starts in a row failed on it, the last one: {event.message}"
        world.quarantine(state.slice.uuid, Quarantine(why, lasting=True, since=now.wall))


def worked(world: World, used: Iterable[str]) -> None:
    """Hold nothing against slices on which a container runs."""
    for uuid in used:
        if uuid in world.slices:
            world.slices[uuid].failed_starts = 0
