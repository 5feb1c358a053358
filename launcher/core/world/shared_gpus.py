"""A GPU and its parts are never used at the same time (I15)."""

from __future__ import annotations

from collections.abc import Callable, Collection

from launcher.core.model.gpu import FULL
from launcher.core.model.lease import Lease
from launcher.core.model.slice_state import SliceState


def mark_beside(states: Collection[SliceState], ref: Callable[[int], str]) -> None:
    """Keep a GPU whole while a part of it is leased, and its parts while the GPU is.

    Both exist only if MIG mode was switched during a lease. ``ref`` returns the name by which
    people know a job.
    """
    held: dict[tuple[str, bool], Lease] = {}
    for state in states:
        if state.lease is not None:
            held[state.slice.gpu_uuid, state.slice.profile == FULL] = state.lease
    for state in states:
        result = held.get((state.slice.gpu_uuid, state.slice.profile != FULL))
        state.beside = None
        if result is not None:
            state.beside = (
                f"cannot be used while job {ref(result.job)} has {result.slice.uuid} "
                f"({result.slice.profile}) of the same GPU"
            )
