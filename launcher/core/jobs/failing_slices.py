"""Slices on which starts keep failing: taken out of use before every job loses a try on them."""

from __future__ import annotations

from collections.abc import Iterable

from launcher.core.messages import events as ev
from launcher.core.messages.changes import Quarantine
from launcher.core.messages.events import StartFailure
from launcher.core.world.world import World

MAX_FAILED_STARTS = 3
"""The maximum of successive failed starts on a slice, by any jobs."""

_OF_THE_SLICE = (StartFailure.INFRA, StartFailure.SLICE_CHANGED)


def failed(world: World, event: ev.StartFailed, now: ev.Now) -> None:
    """Count a failed start against the slice that it names.

    A failure without a slice (Docker's disk is full) must not disable every slice of the machine.
    """
    state = world.slices.get(event.slice or "")
    if state is None or event.failure not in _OF_THE_SLICE:
        return
    state.failed_starts += 1
    if state.failed_starts >= MAX_FAILED_STARTS:
        why = f"{state.failed_starts} starts in a row failed on it, the last one: {event.message}"
        world.quarantine(state.slice.uuid, Quarantine(why, lasting=True, since=now.wall))


def worked(world: World, used: Iterable[str]) -> None:
    """Reset the count of slices on which a container runs."""
    for uuid in used:
        if uuid in world.slices:
            world.slices[uuid].failed_starts = 0
