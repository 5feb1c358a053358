"""Slices that an admin keeps for a user or group in a window of time."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.core.event import Now
from launcher.core.holdback import runs_for
from launcher.core.job import Job, Owner
from launcher.core.world import World


@dataclass(frozen=True, slots=True)
class Reservation:
    """Slices for ``user`` or the members of ``group``, from ``start`` to ``end`` (since 1970)."""

    name: str
    slices: tuple[str, ...]
    user: str | None
    group: str | None
    start: float
    end: float
    by: Owner


def admits(world: World, reservation: Reservation, owner: Owner) -> bool:
    """Whether a user may use the reserved slices in the window."""
    return owner.name == reservation.user or reservation.group in world.groups.get(owner.uid, ())


def barring(world: World, job: Job, uuid: str, now: Now) -> Reservation | None:
    """Return the reservation that keeps a job off a slice: it is on, or the job would run into it.

    A job without a time limit counts as long as the rules assume.
    """
    for reservation in world.reservations.values():
        if uuid not in reservation.slices or now.wall >= reservation.end:
            continue
        if admits(world, reservation, job.owner):
            continue
        seconds = runs_for(world, job) or world.rules.assumed_time_limit
        if now.wall + seconds > reservation.start:
            return reservation
    return None
