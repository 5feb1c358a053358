"""Reservations of slices: lists, creates and cancels them."""

from __future__ import annotations

import grp
import pwd
import re

from launcher import wire
from launcher.core.messages import events as ev
from launcher.core.model.reservation import Reservation
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.loop import audit_log, clock
from launcher.daemon.users.identity import Caller
from launcher.errors import UserError
from launcher.spec.times import moment

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


async def show(context: Context, caller: Caller) -> list[wire.ReservationView]:
    """Return the reservations that are not over, by their start."""
    now = clock.now().wall
    reservations = sorted(context.world.reservations.values(), key=lambda r: (r.start, r.name))
    return [_reservation(context, r, now) for r in reservations if r.end > now]


def _reservation(context: Context, reservation: Reservation, now: float) -> wire.ReservationView:
    slices = context.world.slices
    labels = [
        f"{s.slice.gpu_index}:{s.slice.profile}" if (s := slices.get(uuid)) else "gone"
        for uuid in reservation.slices
    ]
    return wire.ReservationView(
        name=reservation.name,
        user=reservation.user,
        group=reservation.group,
        slices=list(reservation.slices),
        labels=labels,
        start=clock.rfc3339(reservation.start),
        end=clock.rfc3339(reservation.end),
        state="coming" if now < reservation.start else "on",
        by=reservation.by.name,
    )


async def reserve(
    context: Context, caller: Caller, request: wire.ReserveRequest
) -> wire.ReservationView:
    """Reserve slices for a user or group."""
    audit_log.about(detail=request.name)
    if not _NAME.fullmatch(request.name):
        raise UserError(
            f"{request.name!r} is not a valid name for a reservation",
            fix="Use letters, digits and ._- only.",
        )
    await context.accounts.run(caller.uid, _check_known, request)
    await context.event_loop.request(
        ev.ReserveAsked(
            request.name,
            caller.owner,
            moment(request.start, "start"),
            moment(request.end, "end"),
            request.user,
            request.group,
            tuple(request.slices),
            request.profile,
            request.count,
        )
    )
    return _reservation(context, context.world.reservations[request.name], clock.now().wall)


def _check_known(request: wire.ReserveRequest) -> None:
    """Raise ``UserError`` for a user or group that this machine does not have."""
    try:
        if request.user is not None:
            pwd.getpwnam(request.user)
        if request.group is not None:
            grp.getgrnam(request.group)
    except KeyError:
        beneficiary = (
            f"user {request.user}" if request.user is not None else f"group {request.group}"
        )
        raise UserError(f"this machine has no {beneficiary}") from None


async def unreserve(context: Context, caller: Caller, name: str) -> list[wire.ReservationView]:
    """Cancel a reservation; return those that are left."""
    audit_log.about(detail=name)
    await context.event_loop.request(ev.UnreserveAsked(name))
    return await show(context, caller)
