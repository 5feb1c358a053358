"""The meaning of an XID: an error of the program, or an untrustworthy slice."""

from __future__ import annotations

from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action
from launcher.core.messages.changes import Quarantine
from launcher.core.model.gpu import Xid
from launcher.core.model.slice_state import SliceState
from launcher.core.world.world import World

OF_PROGRAMS = frozenset({13, 31, 43, 45, 68, 109})
"""Caused by a faulty program: the XIDs that NVIDIA's k8s-device-plugin ignores."""


def seen(world: World, event: ev.XidSeen, now: ev.Now) -> list[Action]:
    """Quarantine every slice of an XID until an admin clears it; its job continues."""
    xid = event.xid
    struck = [state for state in world.slices.values() if xid.concerns(state.slice)]
    if xid.number in OF_PROGRAMS:
        if len(struck) == 1:  # otherwise the program is unknown
            _note(world, struck[0], now, f"XID {xid.number}: an error of the program")
        return []
    why = f"XID {xid.number} was reported for {_subject(xid)}"
    for state in struck:
        world.quarantine(state.slice.uuid, Quarantine(why, lasting=True, since=now.wall))
        _note(world, state, now, f"{why}; the job continues, its slice takes no further job")
    return []


def _subject(xid: Xid) -> str:
    return "the whole GPU" if xid.gi is None else f"GPU instance {xid.gi} of it"


def _note(world: World, state: SliceState, now: ev.Now, text: str) -> None:
    job = world.jobs.get(state.lease.job) if state.lease is not None else None
    if job is not None:
        world.note(job, now.wall, "Xid", f"{state.slice.uuid}: {text}")
