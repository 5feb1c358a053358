"""Published events as a caller may see them."""

from __future__ import annotations

from launcher import wire
from launcher.core.messages.changes import NotifyFailed
from launcher.core.messages.published import PublishedEvent
from launcher.core.model.job import Owner
from launcher.daemon.loop import clock
from launcher.daemon.users.identity import Caller

VERSION = 1
_ARRAY = "array."
_JOB = "job."


def event_view(seq: int, event: PublishedEvent, caller: Caller) -> wire.EventLine:
    """Return an event; names, images and messages of jobs only for their owner and admins."""
    owner = None if event.uid is None else Owner(event.uid, 0, event.user or "")
    mine = owner is None or caller.may_see(owner)
    job = _job(event, mine=mine) if event.type.startswith(_JOB) else None
    array = _array(event, mine=mine) if event.type.startswith(_ARRAY) else None
    subject, detail = event.data.get("subject"), event.data.get("detail")
    return wire.EventLine(
        version=VERSION,
        seq=seq,
        at=clock.rfc3339(event.at),
        type=event.type.value,
        user=event.user,
        job=job,
        array=array,
        subject=subject,
        detail=detail,
        text=_text(event, job, array),
    )


def failure_view(failure: NotifyFailed) -> wire.NotifyFailureView:
    """Return a notification that could not be sent."""
    at, job, target = clock.rfc3339(failure.at), failure.job, failure.target
    return wire.NotifyFailureView(at=at, job=job, target=target, detail=failure.detail)


def _job(event: PublishedEvent, *, mine: bool) -> wire.PublishedJob:
    hidden = {} if mine else dict.fromkeys(("name", "image", "message"))
    return wire.PublishedJob(**{**event.data, **hidden})


def _array(event: PublishedEvent, *, mine: bool) -> wire.PublishedArray:
    return wire.PublishedArray(**{**event.data, **({} if mine else {"name": None})})


def _text(
    event: PublishedEvent, job: wire.PublishedJob | None, array: wire.PublishedArray | None
) -> str:
    """Return a sentence: "job 12 (train) of alice: FAILED, exit code 3"."""
    word = event.type.value.partition(".")[2]
    if job is not None:
        ref = str(job.id) if job.array is None else f"{job.array['id']}[{job.array['index']}]"
        name = f" ({job.name})" if job.name else ""
        said = [job.outcome or word]
        said += [f"exit code {job.exit_code}"] if job.outcome and job.exit_code else []
        said += [job.reason] if job.reason else []
        said += [job.message] if job.message and job.outcome != "COMPLETED" else []
        return f"job {ref}{name} of {event.user}: {', '.join(said)}"
    if array is not None:
        name = f" ({array.name})" if array.name else ""
        ends = ", ".join(f"{count} {outcome}" for outcome, count in sorted(array.ends.items()))
        said_of_array = ends or f"{word}, {array.size} jobs"
        return f"array {array.id}{name} of {event.user}: {said_of_array}"
    subject, detail = event.data.get("subject"), event.data.get("detail")
    what = f"{event.type.value} {subject}" if subject else event.type.value
    return f"{what}: {detail}" if detail else what
