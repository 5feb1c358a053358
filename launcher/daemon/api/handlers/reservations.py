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


def _reservation(context: Context, one: Reservation, now: float) -> wire.ReservationView:
    slices = context.world.slices
    labels = [
        f"{s.slice.gpu_index}:{s.slice.profile}" if (s := slices.get(uuid)) else "gone"
        for uuid in one.slices
    ]
    return wire.ReservationView(
        name=one.name,
        user=one.user,
        group=one.group,
        slices=list(one.slices),
        labels=labels,
        start=clock.rfc3339(one.start),
        end=clock.rfc3339(one.end),
        state="coming" if now < one.start else "on",
        by=one.by.name,
    )


async def reserve(
    context: Context, caller: Caller, asked: wire.ReserveRequest
) -> wire.ReservationView:
    """Reserve slices for a user or group."""
    audit_log.about(detail=asked.name)
    if not _NAME.fullmatch(asked.name):
        raise UserError(
            f"{asked.name!r} is not a valid name for a reservation",
            fix="Use letters, digits and ._- only.",
        )
    await context.accounts.run(caller.uid, _check_known, asked)
    await context.event_loop.request(
        ev.ReserveAsked(
            asked.name,
            caller.owner,
            moment(asked.start, "start"),
            moment(asked.end, "end"),
            asked.user,
            asked.group,
            tuple(asked.slices),
            asked.profile,
            asked.count,
        )
    )
    return _reservation(context, context.world.reservations[asked.name], clock.now().wall)


def _check_known(asked: wire.ReserveRequest) -> None:
    """Raise ``UserError`` for a user or group that this machine does not have."""
    try:
        if asked.user is not None:
            pwd.getpwnam(asked.user)
        if asked.group is not None:
            grp.getgrnam(asked.group)
    except KeyError:
        beneficiary = f"user {asked.user}" if asked.user is not None else f"group {asked.group}"
        raise UserError(f"this machine has no {beneficiary}") from None


async def unreserve(context: Context, caller: Caller, name: str) -> list[wire.ReservationView]:
    """Cancel a reservation; return those that are left."""
    audit_log.about(detail=name)
    await context.event_loop.request(ev.UnreserveAsked(name))
    return await show(context, caller)
