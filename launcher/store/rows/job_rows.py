"""Jobs to rows and back. A start reads a hundred thousand of them, so this has to be quick."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from launcher.core.model.job import (
    After,
    Dependency,
    Element,
    ImageKey,
    Job,
    Outcome,
    Owner,
    Reason,
    State,
)
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import Retries, SignalBefore
from launcher.store.rows.rows import values_from

Row = dict[str, Any]


def need_text(need: GpuRequest) -> str:
    """Return a need as JSON for its column; only what differs from the default."""
    fields: dict[str, Any] = {"kind": need.kind, "count": need.count}
    for name in ("profile", "memory_gb", "memory_mib"):
        if (value := getattr(need, name)) is not None:
            fields[name] = value
    if need.uuids:
        fields["uuids"] = need.uuids
    return json.dumps(fields)


def job_row(job: Job, spec: str | None = None) -> Row:
    """Return a job's columns; ``spec`` only for the insert, because it never changes."""
    row: Row = {
        "uid": job.owner.uid,
        "gid": job.owner.gid,
        "user": job.owner.name,
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
        "waits_for": _dependencies_text(job.waits_for),
        "depends_on": _dependencies_text(job.depends_on),
        "retries": _retries_text(job.retries),
        "warn": json.dumps([job.warn.name, job.warn.before]) if job.warn else None,
        "preemptible": int(job.preemptible),
        "interactive": int(job.interactive),
        "has_ports": int(job.has_ports),
        "kill_now": int(job.kill_now),
        "kept_bytes": job.kept_bytes,
    }
    row |= _element_columns(job.element)
    row |= {name: getattr(job, name) for name in _PLAIN_JOB}
    return row | {"spec": spec} if spec is not None else row


_PLAIN_JOB = (
    "id",
    "name",
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
    "policy_version",
)


def _element_columns(element: Element | None) -> Row:
    if element is None:
        return {"array_id": None, "array_index": None, "params": None}
    values = json.dumps(dict(element.values)) if element.values else None
    return {"array_id": element.array, "array_index": element.index, "params": values}


def _retries_text(retries: Retries | None) -> str | None:
    if retries is None:
        return None
    return json.dumps([retries.max, retries.on, retries.backoff, retries.max_backoff])


def _dependencies_text(dependencies: Iterable[Dependency]) -> str:
    if not dependencies:
        return "[]"
    return json.dumps([_dependency_values(d) for d in dependencies])


def _dependency_values(d: Dependency) -> list[Any]:
    """Return a dependency as a list; what most do not have is left out."""
    values = [d.job, d.after.value]
    return [*values, int(d.either), d.delay, d.ref] if d.either or d.delay or d.ref else values


class JobReader:
    """Returns the jobs of rows; equal needs, owners, images and retries share one value."""

    def __init__(self) -> None:
        self._columns: tuple[str, ...] = ()
        self._needs: dict[str, GpuRequest] = {}
        self._owners: dict[tuple[Any, ...], Owner] = {}
        self._images: dict[tuple[Any, ...], ImageKey] = {}
        self._retries: dict[str, Retries] = {}

    def job(self, row: sqlite3.Row) -> Job:
        """Return the job of a row with all columns of the table."""
        if not self._columns:
            self._columns = tuple(row.keys())
        v = dict(zip(self._columns, row, strict=True))  # a Row searches the names of all columns
        return Job(
            owner=self._owner((v["uid"], v["gid"], v["user"])),
            need=self._need(v["need"]),
            image=self._image((v["image"], v["pull_policy"], v["credentials_uid"])),
            state=State(v["state"]),
            outcome=Outcome(v["outcome"]) if v["outcome"] else None,
            reason=Reason(v["reason"]) if v["reason"] else None,
            slices=() if v["slices"] == "[]" else tuple(json.loads(v["slices"])),
            timed_out=bool(v["timed_out"]),
            held=Reason(v["held"]) if v["held"] else None,
            begin=v["begin_at"],
            waits_for=dict.fromkeys(_dependencies(v["waits_for"])),
            depends_on=_dependencies(v["depends_on"]),
            element=None if v["array_id"] is None else _element(v),
            retries=None if v["retries"] is None else self._retried(v["retries"]),
            warn=SignalBefore(*json.loads(v["warn"])) if v["warn"] else None,
            preemptible=bool(v["preemptible"]),
            interactive=bool(v["interactive"]),
            has_ports=bool(v["has_ports"]),
            kill_now=bool(v["kill_now"]),
            kept_bytes=v["kept_bytes"] or 0,
            **{name: v[name] for name in _PLAIN_JOB},
        )

    def _owner(self, key: tuple[Any, ...]) -> Owner:
        if key not in self._owners:
            self._owners[key] = Owner(*key)
        return self._owners[key]

    def _image(self, key: tuple[Any, ...]) -> ImageKey:
        if key not in self._images:
            self._images[key] = ImageKey(*key)
        return self._images[key]

    def _need(self, text: str) -> GpuRequest:
        if text not in self._needs:
            fields = json.loads(text)
            fields["uuids"] = tuple(fields.get("uuids", ()))
            self._needs[text] = GpuRequest(**fields)
        return self._needs[text]

    def _retried(self, text: str) -> Retries:
        if text not in self._retries:
            most, on, backoff, max_backoff = json.loads(text)
            self._retries[text] = Retries(most, tuple(on), backoff, max_backoff)
        return self._retries[text]


def _dependencies(text: str) -> tuple[Dependency, ...]:
    if text == "[]":
        return ()
    return tuple(_dependency(*values) for values in json.loads(text))


def _dependency(
    job: int, how: str, either: int = 0, delay: float = 0.0, ref: str = ""
) -> Dependency:
    return Dependency(job, After(how), either=bool(either), delay=delay, ref=ref)


def _element(v: Row) -> Element:
    values = values_from(v["params"], v["id"])
    return Element(v["array_id"], v["array_index"], tuple(values.items()))
