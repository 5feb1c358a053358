"""Makes the events that users follow out of decisions: of jobs as they happen, of the machine from
what a decision changed."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.core.messages.changes import Changes
from launcher.core.messages.published import EventType, PublishedEvent
from launcher.core.model.arrays import Array
from launcher.core.model.job import Job
from launcher.core.model.layout_change import OpState
from launcher.core.world.world import World

LONGEST_MESSAGE = 500
"""Characters of a job's message in an event; ``launch show`` has all of it."""


def publish_job(world: World, event: EventType, job: Job, at: float) -> None:
    """Add an event of a job to the changes; ``at`` is seconds since 1970."""
    element = job.element
    message = job.message
    data = {
        "id": job.id,
        "name": job.name,
        "image": job.image.reference,
        "array": None if element is None else {"id": element.array, "index": element.index},
        "attempt": job.attempt,
        "slices": list(job.slices),
        "outcome": job.outcome.value if job.outcome else None,
        "reason": job.reason.value if job.reason else None,
        "exit_code": job.exit_code,
        "message": message if message is None else message[:LONGEST_MESSAGE],
    }
    owner = job.owner
    world.changes.events.append(PublishedEvent(at, event, data, owner.uid, owner.name))


def publish_array(world: World, event: EventType, array: Array, at: float) -> None:
    """Add an event of an array to the changes."""
    ends = {outcome.value: count for outcome, count in array.ended.items() if count}
    data = {
        "id": array.id,
        "name": array.name,
        "size": array.size,
        "outcome": array.outcome.value if array.outcome else None,
        "ends": ends,
    }
    owner = array.owner
    world.changes.events.append(PublishedEvent(at, event, data, owner.uid, owner.name))


Faults = tuple[str | None, str | None]
"""Why Docker and NVML do not answer, None if they do."""


def faults_of(world: World) -> Faults:
    """Return why Docker and NVML do not answer."""
    return world.engine_down, world.gpu_down


def machine_events(
    changes: Changes, before: Faults, after: Faults, at: float
) -> Iterator[PublishedEvent]:
    """Yield the events of slices, GPUs, layouts, Docker and NVML that one decision made."""
    types = ((EventType.DOCKER_DOWN, EventType.DOCKER_UP), (EventType.GPU_DOWN, EventType.GPU_UP))
    for (down, up), was, why in zip(types, before, after, strict=True):
        if (was is None) is not (why is None):
            yield PublishedEvent(at, up if why is None else down, _subject(None, why))
    for uuid, quarantine in changes.quarantines.items():
        if quarantine is None:
            yield PublishedEvent(at, EventType.SLICE_CLEARED, _subject(uuid, None))
        else:
            data = _subject(uuid, quarantine.why)
            yield PublishedEvent(at, EventType.SLICE_QUARANTINED, data)
    for uuid, drain in changes.drains.items():
        if drain is None:
            yield PublishedEvent(at, EventType.DRAIN_ENDED, _subject(uuid, None))
        else:
            yield PublishedEvent(at, EventType.DRAIN_STARTED, _subject(uuid, drain.reason))
    for op in changes.layouts.values():
        if op.state is OpState.DONE and op.result is not None and op.wishes:
            detail = f"{op.verb}: {op.result.value}" + (f": {op.message}" if op.message else "")
            yield PublishedEvent(at, EventType.LAYOUT_ENDED, _subject(str(op.id), detail))
    if changes.capacity is not None:
        _, slices = changes.capacity
        detail = ", ".join(f"{n} of {profile}" for profile, (n, _) in sorted(slices.items()))
        data = _subject(None, detail or "no slices")
        yield PublishedEvent(at, EventType.SLICES_CHANGED, data)


def _subject(name: str | None, detail: str | None) -> dict[str, str | None]:
    return {
        "subject": name,
        "detail": detail if detail is None else detail[:LONGEST_MESSAGE],
    }
