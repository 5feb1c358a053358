"""Machines and queues to draw: views as a daemon sends them."""

from __future__ import annotations

import dataclasses
import threading
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from launcher.cli.live.frame import Look, draw
from launcher.cli.live.spans import plain
from launcher.cli.output.render import columns
from launcher.client.snapshot import Snapshot
from launcher.wire import ArrayView, GpuView, JobView, QueueHead, SliceView
from tests.unit.client.stub_daemon import Asked, Json, Reply, StubDaemon, job_view, slice_view

NOW = datetime(2026, 1, 2, 4, 0, tzinfo=UTC)
STARTED = "2026-01-02T03:30:00.000000Z"
WIDE = "研究室の実験ジョブ"


def gpu(**changes: Any) -> GpuView:
    """An A30 in MIG mode."""
    fields: dict[str, Any] = {
        "index": 0, "uuid": "GPU-1", "name": "NVIDIA A30", "architecture": "Ampere",
        "mig_current": True, "mig_pending": True, "memory_mib": 24000, "units": 4, "instances": [],
    }  # fmt: skip
    return GpuView(**{**fields, **changes})


def quarter(start: int, **changes: Any) -> SliceView:
    """A 1g.6gb slice of the A30."""
    fields = {"uuid": f"MIG-{start}", "placement": {"start": start, "size": 1}}
    return slice_view(**{**fields, **changes})


def leased(start: int, job: int, **changes: Any) -> SliceView:
    """One with a job on it."""
    return quarter(
        start, **{"state": "leased", "job": job, "attempt": 1, "user": "alice"} | changes
    )


def running(job: int, **changes: Any) -> JobView:
    """A job that runs."""
    fields = {"id": job, "state": "RUNNING", "attempt": 1, "started_at": STARTED}
    return job_view(**fields | changes)


def machine(
    *slices: SliceView,
    gpus: list[GpuView] | None = None,
    jobs: list[JobView] | None = None,
    arrays: list[ArrayView] | None = None,
    elements: list[JobView] | None = None,
) -> Snapshot:
    """A snapshot of a machine with these slices and jobs."""
    jobs = jobs or []
    waiting = sum(job.state == "PENDING" for job in jobs)
    head = QueueHead(jobs=jobs, waiting=waiting, running=len(jobs) - waiting, arrays=arrays or [])
    return Snapshot(list(slices), [gpu()] if gpus is None else gpus, head, elements or [])


def drawn(snapshot: Snapshot, width: int = 80, height: int | None = 24, **look: Any) -> list[str]:
    """The lines of a frame, none wider than it may be."""
    lines = plain(draw(snapshot, Look(width, height, **look), NOW).lines)
    assert all(columns(line) <= width for line in lines), lines
    assert height is None or len(lines) == height
    return lines


class LiveMachine:
    """Lets a stub answer as a daemon whose machine changes now and then."""

    def __init__(self, stub: StubDaemon, snapshot: Snapshot) -> None:
        self.stub, self.count = stub, 1
        self._changed = threading.Condition()
        stub.otherwise = self._wait
        self.change(snapshot)

    def change(self, snapshot: Snapshot) -> None:
        """The machine is like this from now on."""
        stub = self.stub
        stub.on("GET", "/v1/slices", _listed(snapshot.slices))
        stub.on("GET", "/v1/layout", _listed(snapshot.gpus))
        stub.on("GET", "/v1/queue/head", Json(dataclasses.asdict(snapshot.head)))
        stub.on("GET", "/v1/jobs", _listed(snapshot.elements))
        stub.on("POST", "/v1/whatif", Json([]))
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def _wait(self, asked: Asked) -> Reply | None:
        if asked.path != "/v1/changes/wait":
            return None
        since = dict(parse_qsl(asked.query)).get("since")
        with self._changed:
            self._changed.wait_for(lambda: since != str(self.count), 20)
            return Json({"count": self.count})


def _listed(values: list[Any]) -> Json:
    return Json([dataclasses.asdict(value) for value in values])
