"""Slices that an admin reserves for a user, a group or interactive jobs in a time window."""

from __future__ import annotations

from launcher.core.messages.actions import Action
from launcher.core.messages.events import Now, ReserveAsked, UnreserveAsked
from launcher.core.model.job import Job
from launcher.core.model.reservation import Reservation
from launcher.core.scheduling.holdback import runs_for
from launcher.core.world.world import World
from launcher.errors import StaleRequest, UserError


def admits(world: World, reservation: Reservation, job: Job) -> bool:
    """Whether a job may use the reserved slices in the window."""
    owner = job.owner
    if reservation.user is None and reservation.group is None:
        return job.interactive
    return owner.name == reservation.user or reservation.group in world.groups.get(owner.uid, ())


def barring(world: World, job: Job, uuid: str, now: Now) -> Reservation | None:
    """Return the reservation that blocks a job on a slice: active, or due before the job would end.

    A job without a time limit counts with the limit that the rules assume.
    """
    for reservation in world.reservations.values():
        if uuid not in reservation.slices or now.wall >= reservation.end:
            continue
        if admits(world, reservation, job):
            continue
        seconds = runs_for(job) or world.rules.assumed_time_limit
        if now.wall + seconds > reservation.start:
            return reservation
    return None


def reserve(world: World, event: ReserveAsked, now: Now) -> list[Action]:
    """Reserve slices; raises ``UserError`` if that is impossible."""
    before = world.reservations.get(event.name)
    if before is not None and before.end > now.wall:
        raise StaleRequest(f"reservation {event.name} already exists", fix="Choose another name.")
    if event.end <= max(event.start, now.wall):
        raise UserError("the window must end after its start and in the future")
    if event.user is not None and event.group is not None:
        raise UserError("a reservation is for one user or one group")
    slices = tuple(event.slices) or _of_profile(world, event, now)
    for uuid in slices:
        if uuid not in world.slices:
            raise UserError(f"slice {uuid} does not exist", fix="`launch slices` lists them.")
        if (other := _taken(world, uuid, event, now)) is not None:
            raise UserError(f"{uuid} is reserved as {other.name} in that time")
    for name in [n for n, r in world.reservations.items() if r.end <= now.wall]:
        _drop(world, name)
    reservation = Reservation(
        event.name, slices, event.user, event.group, event.start, event.end, event.by
    )
    world.reservations[event.name] = world.changes.reservations[event.name] = reservation
    return []


def _taken(world: World, uuid: str, event: ReserveAsked, now: Now) -> Reservation | None:
    """Return a reservation of the slice that is not over and overlaps with the new one."""
    start = max(event.start, now.wall)
    overlapping = (
        r
        for r in world.reservations.values()
        if uuid in r.slices and r.start < event.end and start < r.end
    )
    return next(overlapping, None)


def _of_profile(world: World, event: ReserveAsked, now: Now) -> tuple[str, ...]:
    """Choose slices of a profile that have no other reservation in that time, free ones first."""
    of_profile = [s for s in world.slices.values() if s.slice.profile == event.profile]
    open_ = [s for s in of_profile if _taken(world, s.slice.uuid, event, now) is None]
    if event.count < 1 or len(open_) < event.count:
        raise UserError(
            f"{event.count} x {event.profile} requested, {len(open_)} of {len(of_profile)} can be "
            "reserved in that time",
            fix="`launch slices` lists the slices, `launch reserve` the reservations.",
        )
    result = sorted(open_, key=lambda s: (not s.free, s.slice.gpu_index, s.slice.uuid))
    return tuple(s.slice.uuid for s in result[: event.count])


def unreserve(world: World, event: UnreserveAsked, now: Now) -> list[Action]:
    """Cancel a reservation."""
    if event.name not in world.reservations:
        raise StaleRequest(
            f"reservation {event.name} does not exist", fix="`launch reserve` lists them."
        )
    _drop(world, event.name)
    return []


def _drop(world: World, name: str) -> None:
    del world.reservations[name]
    world.changes.reservations[name] = None
