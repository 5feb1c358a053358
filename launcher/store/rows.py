"""Rows to values and back: the only place that knows both the columns and the core's types."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from launcher.core.gpu import Placement, Slice
from launcher.core.job import (
    After,
    Dependency,
    ImageKey,
    Job,
    Need,
    NeedKind,
    Outcome,
    Owner,
    Reason,
    State,
)
from launcher.core.lease import Attempt, Lease
from launcher.core.world import Drain

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
    }
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
)


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
