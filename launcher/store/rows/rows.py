"""Rows to values and back: the only place that knows both the columns and the core's types."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from launcher.core.messages.changes import Drain
from launcher.core.model.arrays import Array, ArrayTemplate
from launcher.core.model.gpu import Placement, Slice
from launcher.core.model.job import Outcome, Owner
from launcher.core.model.lease import Attempt, Lease
from launcher.core.model.measurement import Measurement, PastRun
from launcher.core.model.reservation import Reservation
from launcher.core.model.use import Use

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """A job's request in its stored form.

    ``document`` is JSON; of an element of an array it is the one of its array, in which each
    ``${key}`` of ``keys`` stands for one of ``values``.
    """

    document: str = field(repr=False)
    keys: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict, repr=False)


_ATTEMPT = (
    "job",
    "number",
    "container_name",
    "image_id",
    "granted_at",
    "container_id",
    "started_at",
    "ended_at",
    "exit_code",
    "cause",
    "boot",
)


_MEASURED = tuple(field.name for field in fields(Measurement))


def values_from(params: str | None, job_id: int) -> dict[str, str]:
    """Return the values of an element in its matrix; raises ``ValueError`` for anything else."""
    values = json.loads(params) if params else {}
    if not isinstance(values, dict):
        raise ValueError(f"the values of job {job_id} in its matrix are not a mapping")  # noqa: TRY004
    return values


def keys_from(keys: str | None) -> tuple[str, ...]:
    """Return the keys of an array's matrix; raises ``ValueError`` if they are damaged."""
    return tuple(json.loads(keys)) if keys else ()


def attempt_row(attempt: Attempt) -> Row:
    """Return an attempt's columns."""
    row: Row = {name: getattr(attempt, name) for name in _ATTEMPT}
    row |= {name: getattr(attempt.measured, name) for name in _MEASURED}
    return row | {"slices": json.dumps(attempt.slices), "oom": int(attempt.oom)}


def attempt_from(row: sqlite3.Row) -> Attempt:
    """Return the attempt of a row."""
    plain = {name: row[name] for name in _ATTEMPT}
    measured = Measurement(*(row[name] for name in _MEASURED))
    slices = tuple(json.loads(row["slices"]))
    return Attempt(**plain, slices=slices, oom=bool(row["oom"]), measured=measured)


_SLICE = ("gpu_uuid", "gpu_index", "profile", "profile_id", "memory_mib", "gi", "ci")


def lease_row(lease: Lease) -> Row:
    """Return a lease's columns."""
    s, place = lease.slice, lease.slice.placement
    row: Row = {name: getattr(s, name) for name in _SLICE}
    return row | {
        "job": lease.job,
        "attempt": lease.attempt,
        "slice_uuid": s.uuid,
        "placement_start": place.start if place else None,
        "placement_size": place.size if place else None,
        "granted_at": lease.granted_at,
        "released_at": lease.released_at,
        "quarantine": lease.quarantine,
    }


def lease_from(row: sqlite3.Row) -> Lease:
    """Return the lease of a row, with the slice as it was when it was granted."""
    start, size = row["placement_start"], row["placement_size"]
    place = Placement(start, size) if start is not None else None
    slice_ = Slice(uuid=row["slice_uuid"], placement=place, **{name: row[name] for name in _SLICE})
    return Lease(
        row["job"],
        row["attempt"],
        slice_,
        row["granted_at"],
        row["released_at"],
        row["quarantine"],
    )


def past_run_from(row: sqlite3.Row) -> PastRun:
    """Return the run of a row."""
    plain = {field.name: row[field.name] for field in fields(PastRun)}
    return PastRun(**plain | {"outcome": Outcome(row["outcome"])})


def drain_row(drain: Drain) -> tuple[Any, ...]:
    """Return a drain's columns, in order."""
    owner = drain.owner
    return (drain.uuid, drain.reason, owner.uid, owner.gid, owner.name, drain.at)


def drain_from(row: sqlite3.Row) -> Drain:
    """Return the drain of a row."""
    owner = Owner(row["uid"], row["gid"], row["user"])
    return Drain(row["uuid"], row["reason"], owner, row["at"])


def array_row(array: Array, template: ArrayTemplate) -> tuple[Any, ...]:
    """Return an array's columns, in order."""
    owner = array.owner
    return (
        array.id, owner.uid, owner.gid, owner.name, array.name, array.size, array.max_parallel,
        array.indices, template.document, json.dumps(template.keys),
    )  # fmt: skip


def array_from(row: sqlite3.Row, ended: dict[str, int]) -> Array:
    """Return the array of a row, with the counts of its ended elements by outcome."""
    owner = Owner(row["uid"], row["gid"], row["user"])
    array = Array(row["id"], owner, row["name"], row["size"], row["max_parallel"], row["indices"])
    array.ended.update({Outcome(word): count for word, count in ended.items()})
    return array


def use_from(row: sqlite3.Row) -> Use:
    """Return a user's use."""
    return Use(row["user"], row["amount"], row["at"])


def reservation_row(reservation: Reservation) -> tuple[Any, ...]:
    """Return a reservation's columns, in order."""
    by = reservation.by
    return (
        reservation.name, json.dumps(reservation.slices), reservation.user, reservation.group,
        reservation.start, reservation.end,
        by.uid, by.gid, by.name,
    )  # fmt: skip


def reservation_from(row: sqlite3.Row) -> Reservation:
    """Return the reservation of a row."""
    return Reservation(
        row["name"],
        tuple(json.loads(row["slices"])),
        row["for_user"],
        row["for_group"],
        row["start_at"],
        row["end_at"],
        Owner(row["uid"], row["gid"], row["user"]),
    )
