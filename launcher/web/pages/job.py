"""The page of a job: where it is, its attempts, its history, its specification."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from markupsafe import Markup

from launcher import wire
from launcher.text.job_format import attempt_use
from launcher.text.moments import duration
from launcher.text.safe_text import safe
from launcher.web.bounds import MOST_EVENTS_SHOWN, MOST_TEXT
from launcher.web.pages.templates import render
from launcher.web.pages.viewer import Viewer

NO_LIMIT = "none"
"""What a user writes for a job without a time limit."""


def title(detail: wire.JobDetail) -> str:
    """Return the title of a job's page."""
    name = f" {detail.job.name}" if detail.job.name else ""
    return f"Job {detail.job.ref}{name}"


def parts(detail: wire.JobDetail, viewer: Viewer, start: str | None) -> dict[str, Markup]:
    """Return the fragments of a job's page; ``start`` is when it is likely to start."""
    attempts = detail.attempts[-MOST_EVENTS_SHOWN:]
    uses = {each.attempt: attempt_use(each, None) for each in attempts}
    return {
        "job-state": render("fragments/job_state.html", detail=detail, job=detail.job, start=start),
        "job-actions": render(
            "fragments/job_actions.html",
            id="job-actions",
            ref=detail.job.ref,
            path=detail.job.id,
            what="job",
            actions=possible(detail, viewer),
            limit=changeable_limit(detail.job, viewer),
            form=viewer.form,
        ),
        "job-attempts": render("fragments/job_attempts.html", attempts=attempts, uses=uses),
        "job-history": render(
            "fragments/job_history.html",
            events=detail.events[-MOST_EVENTS_SHOWN:],
            total=len(detail.events),
        ),
    }


def possible(detail: wire.JobDetail, viewer: Viewer) -> list[str]:
    """Return the actions that the viewer may take now."""
    job = detail.job
    if not _owns(viewer, job):
        return []
    if job.outcome is not None:
        return ["retry"] if job.runtime == "docker" else []
    if job.state != "PENDING":
        return ["cancel", "requeue"] if job.runtime == "docker" else ["cancel"]
    held = (job.reason or "").startswith("JobHeld")
    return ["cancel", "release" if held else "hold"]


def changeable_limit(job: wire.JobView, viewer: Viewer) -> str | None:
    """Return the time limit as a form shows it, None if the viewer cannot change it now."""
    if job.outcome is not None or not _owns(viewer, job):
        return None
    return NO_LIMIT if job.time_limit is None else duration(job.time_limit)


def _owns(viewer: Viewer, job: wire.JobView) -> bool:
    return viewer.user is not None and (viewer.admin or viewer.user == job.user)


def spec_text(spec: wire.JobSpec) -> str:
    """Return a specification as readable JSON, without what is as in every job."""
    values = _set(spec)
    text = json.dumps(values, indent=2, ensure_ascii=False, default=str)
    return safe(text[:MOST_TEXT], newlines=True)


def _set(value: Any) -> Any:
    """Return the fields of a dataclass that differ from their defaults."""
    if not dataclasses.is_dataclass(value):
        if isinstance(value, list | tuple):
            return [_set(each) for each in value]
        return value
    result = {}
    for field in dataclasses.fields(value):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        here = getattr(value, field.name)
        if here is not None and here != default:
            result[field.name] = _set(here)
    return result
