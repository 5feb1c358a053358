"""Rows to values and back: the only place that knows both the columns and the core's types."""

from __future__ import annotations

import functools
import json
import sqlite3
from typing import Any

from launcher.core.arrays import Array
from launcher.core.changes import Drain
from launcher.core.fairshare import Use
from launcher.core.gpu import Placement, Slice
from launcher.core.job import (
    After,
    Dependency,
    Element,
    ImageKey,
    Job,
    Need,
    NeedKind,
    Outcome,
    Owner,
    Reason,
    Retries,
    State,
    Warn,
)
from launcher.core.lease import Attempt, Lease
from launcher.core.reservations import Reservation

Row = dict[str, Any]


def need_text(need: Need) -> str:
    """Return a need as the JSON that its column holds; only what differs from the default."""
    fields: dict[str, Any] = {"kind": need.kind.value, "count": need.count}
    for name in ("profile", "memory_gb", "memory_mib"):
        if (value := getattr(need, name)) is not None:
            fields[name] = value
    if need.uuids:
        fields["uuids"] = need.uuids
    return json.dumps(fields)


def need_from(text: str, seen: dict[str, Need]) -> Need:
    """Return the need of a column; equal texts share one value, as many jobs ask the same."""
    if text not in seen:
        fields = json.loads(text)
        fields["kind"] = NeedKind(fields["kind"])
        fields["uuids"] = tuple(fields.get("uuids", ()))
        seen[text] = Need(**fields)
    return seen[text]


def job_row(job: Job, spec: str | None = None) -> Row:
    """Return a job's columns; ``spec`` only for the insert, it never changes."""
    row: Row = {
        "id": job.id,
        "uid": job.owner.uid,
        "gid": job.owner.gid,
        "user": job.owner.name,
        "name": job.name,
        "image": job.image.reference,
        "pull_policy": job.image.policy,
        "credentials_uid": job.image.credentials_uid,
        "need": need_text(job.need),
        "state": job.state.value,
        "outcome": job.outcome.value if job.outcome else None,
        "reason": job.reason.value if job.reason else None,
        "slices": json.dumps(job.slices),
        "timed_out": int(job.timed_out),
        "held": job.held.value if job.held else None,
        "begin_at": job.begin,
        "waits_for": json.dumps([[d.job, d.after.value] for d in job.waits_for]),
        "retries": _retries_text(job.retries),
        "warn": json.dumps([job.warn.name, job.warn.before]) if job.warn else None,
        "preemptible": int(job.preemptible),
    }
    row |= _element_columns(job.element)
    row |= {name: getattr(job, name) for name in _PLAIN_JOB}
    return row | {"spec": spec} if spec is not None else row


_PLAIN_JOB = (
    "priority",
    "submitted_at",
    "time_limit",
    "stop_grace",
    "message",
    "attempt",
    "image_id",
    "container_id",
    "exit_code",
    "started_at",
    "ended_at",
    "started_wall",
    "cancelled_by",
    "never_started",
    "idle_timeout",
    "again",
    "stop_asked",
    "retried",
    "pulls_failed",
)


def _element_columns(element: Element | None) -> Row:
    if element is None:
        return {"array_id": None, "array_index": None, "params": None}
    values = json.dumps(dict(element.values)) if element.values else None
    return {"array_id": element.array, "array_index": element.index, "params": values}


def _element(row: sqlite3.Row) -> Element | None:
    if row["array_id"] is None:
        return None
    values = json.loads(row["params"]) if row["params"] else {}
    return Element(row["array_id"], row["array_index"], tuple(values.items()))


def _retries_text(retries: Retries | None) -> str | None:
    if retries is None:
        return None
    return json.dumps([retries.max, retries.on, retries.backoff, retries.max_backoff])


@functools.lru_cache(256)
def _retries(text: str | None) -> Retries | None:
    """Return the retries of a column; equal texts share one value."""
    if text is None:
        return None
    most, on, backoff, max_backoff = json.loads(text)
    return Retries(most, tuple(on), backoff, max_backoff)


def _warn(text: str | None) -> Warn | None:
    return Warn(*json.loads(text)) if text else None


def job_from(row: sqlite3.Row, needs: dict[str, Need]) -> Job:
    """Return the job of a row."""
    return Job(
        id=row["id"],
        owner=Owner(row["uid"], row["gid"], row["user"]),
        name=row["name"],
        need=need_from(row["need"], needs),
        image=ImageKey(row["image"], row["pull_policy"], row["credentials_uid"]),
        state=State(row["state"]),
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        reason=Reason(row["reason"]) if row["reason"] else None,
        slices=tuple(json.loads(row["slices"])),
        timed_out=bool(row["timed_out"]),
        held=Reason(row["held"]) if row["held"] else None,
        begin=row["begin_at"],
        waits_for=tuple(Dependency(job, After(how)) for job, how in json.loads(row["waits_for"])),
        element=_element(row),
        retries=_retries(row["retries"]),
        warn=_warn(row["warn"]),
        preemptible=bool(row["preemptible"]),
        **{name: row[name] for name in _PLAIN_JOB},
    )


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
)


def attempt_row(attempt: Attempt) -> Row:
    """Return an attempt's columns."""
    row: Row = {name: getattr(attempt, name) for name in _ATTEMPT}
    return row | {"slices": json.dumps(attempt.slices), "oom": int(attempt.oom)}


def attempt_from(row: sqlite3.Row) -> Attempt:
    """Return the attempt of a row."""
    plain = {name: row[name] for name in _ATTEMPT}
    return Attempt(**plain, slices=tuple(json.loads(row["slices"])), oom=bool(row["oom"]))


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
    what = Slice(uuid=row["slice_uuid"], placement=place, **{name: row[name] for name in _SLICE})
    return Lease(
        row["job"],
        row["attempt"],
        what,
        row["granted_at"],
        row["released_at"],
        row["quarantine"],
    )


def drain_row(drain: Drain) -> tuple[Any, ...]:
    """Return a drain's columns, in order."""
    owner = drain.owner
    return (drain.uuid, drain.reason, owner.uid, owner.gid, owner.name, drain.at)


def drain_from(row: sqlite3.Row) -> Drain:
    """Return the drain of a row."""
    owner = Owner(row["uid"], row["gid"], row["user"])
    return Drain(row["uuid"], row["reason"], owner, row["at"])


def array_row(array: Array) -> tuple[Any, ...]:
    """Return an array's columns, in order."""
    owner = array.owner
    return (
        array.id, owner.uid, owner.gid, owner.name, array.name, array.size, array.max_parallel,
        array.indices,
    )  # fmt: skip


def array_from(row: sqlite3.Row, ended: dict[str, int]) -> Array:
    """Return the array of a row, with how many of its elements ended how."""
    owner = Owner(row["uid"], row["gid"], row["user"])
    array = Array(row["id"], owner, row["name"], row["size"], row["max_parallel"], row["indices"])
    array.ended.update({Outcome(word): count for word, count in ended.items()})
    return array


def use_from(row: sqlite3.Row) -> Use:
    """Return a user's use."""
    return Use(row["user"], row["amount"], row["at"])


def reservation_row(one: Reservation) -> tuple[Any, ...]:
    """Return a reservation's columns, in order."""
    by = one.by
    return (
        one.name, json.dumps(one.slices), one.user, one.group, one.start, one.end,
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
