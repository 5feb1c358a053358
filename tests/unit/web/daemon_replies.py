"""What a daemon says to pages, with texts that a test chooses."""

from __future__ import annotations

import dataclasses
from typing import Any

from launcher import wire
from tests.unit.client.stub_daemon import Json, StubDaemon, head, job_view, slice_view, status_view

SESSION = "s" * 43
COOKIE = f"Cookie: launcher_session={SESSION}"


def gpu_view(**changes: Any) -> wire.GpuView:
    """A GPU as a daemon shows it."""
    fields: dict[str, Any] = {
        "index": 0, "uuid": "GPU-1", "name": "A30", "architecture": "ampere", "mig_current": True,
        "mig_pending": True, "memory_mib": 24576, "units": 4, "instances": [],
    }  # fmt: skip
    return wire.GpuView(**{**fields, **changes})


def detail_of(job: wire.JobView, **changes: Any) -> dict[str, Any]:
    """A job's details as a daemon shows them."""
    fields: dict[str, Any] = {
        "job": dataclasses.asdict(job), "spec": None, "image_id": None, "blockers": [],
        "position": None, "attempts": [], "events": [],
    }  # fmt: skip
    return fields | changes


def answer_overview(daemon: StubDaemon, text: str = "train") -> None:
    """Answer all that the overview asks for; ``text`` is in every text of it."""
    running = job_view(
        id=7, state="RUNNING", user=text, name=text, started_at="2026-01-02T03:04:05Z"
    )
    waiting = job_view(id=8, user=text, name=text, reason=text, message=text)
    daemon.on("GET", "/v1/status", Json(status_view(problems=[text], state="degraded")))
    daemon.on(
        "GET", "/v1/slices", Json([slice_view(job=7, user=text, state="leased", profile=text)])
    )
    daemon.on("GET", "/v1/layout", Json([gpu_view(name=text)]))
    daemon.on("GET", "/v1/queue/head", head(running, waiting))
    daemon.on("GET", "/v1/queue/starts", Json({"at": "2026-01-02T03:04:05Z", "starts": {}}))
    daemon.on("GET", "/v1/reservations", Json([]))
    daemon.on("GET", "/v1/jobs", Json([]))
    daemon.on("GET", "/v1/events", Json({"events": [], "next": 1, "missed": False}))
    daemon.on("GET", "/v1/jobs/8/why", Json({"kind": "error", "message": "no"}, 500))
    daemon.on("GET", "/v1/changes/wait", Json({"count": 1}))


def answer_login(daemon: StubDaemon, user: str = "alice", role: str = "user") -> None:
    """Answer a login, and who it was."""
    daemon.on("POST", "/v1/web/session", Json({"session": SESSION, "user": user}))
    daemon.on("GET", "/v1/web/session", Json({"user": user, "uid": 7, "role": role}))
    daemon.on("POST", "/v1/web/logout", Json({"user": user, "uid": 7, "role": role}))


def answer_array(
    daemon: StubDaemon,
    *elements: wire.JobView,
    counts: dict[str, int],
    user: str = "alice",
    text: str = "train",
    more: bool = False,
) -> None:
    """Answer what the page of the array 12 asks for; ``text`` is in every text of it."""
    array = wire.ArrayView(
        id=12, name=text, user=user, profile=text, count=1, indices=text, counts=counts,
        submitted_at="2026-01-02T03:04:05Z", image=text, reason=text,
    )  # fmt: skip
    failure = wire.NotifyFailureView(at=array.submitted_at, job=12, target=text, detail=text)
    page = wire.ArrayPage(array=array, elements=[*elements], more=more, not_sent=[failure])
    daemon.on("GET", "/v1/jobs/12/array", Json(page))
    told = {"kind": "several-jobs", "message": "12 is an array of 100000 jobs"}
    daemon.on("GET", "/v1/jobs/12", Json(told, 400))


def element_view(index: int, **changes: Any) -> wire.JobView:
    """An element of the array 12."""
    place = {"id": 12, "index": index, "matrix": None}
    return job_view(**{"id": 13 + index, "array": place} | changes)
