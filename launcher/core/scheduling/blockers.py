"""What blocks a job, as values with text: holds, dependencies, its turn in an array, its image."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from launcher.core.messages.events import Now
from launcher.core.model.job import MOST_TOLD, After, Dependency, Job, Reason
from launcher.core.model.slice_state import Having
from launcher.core.world.namesakes import in_front_alone
from launcher.core.world.world import World
from launcher.imageref import registry_of
from launcher.spec.gpus import GpuRequest


@dataclass(frozen=True, slots=True)
class Blocker:
    """One unmet need: its reason, what is needed, what exists, and the blocking jobs."""

    reason: Reason
    need: str
    have: str
    jobs: tuple[int, ...] = ()


def behind(world: World, need: GpuRequest, ahead: tuple[int, ...]) -> Blocker:
    """Return the blocker that jobs in front need the same slices."""
    jobs = ", ".join(map(world.ref, ahead[:3])) + (" and more" if len(ahead) > 3 else "")
    return Blocker(Reason.PRIORITY, str(need), f"in front: job {jobs}", ahead)


def gate_reason(world: World) -> Reason:
    """Return the reason while no job with slices may start."""
    if world.reconciling:
        return Reason.RECONCILING
    if world.draining:
        return Reason.DRAINING
    unknown = world.gpu_down and not world.engine_down
    return Reason.GPU_UNAVAILABLE if unknown else Reason.ENGINE_UNAVAILABLE


def need_with_limit(job: Job) -> str:
    """Return what a job needs, with its time limit."""
    limit = "no time limit" if job.time_limit is None else f"a time limit of {job.time_limit:g} s"
    return f"{job.need} (with {limit})"


def utc_text(at: float) -> str:
    """Return a moment as RFC 3339 text."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def own_blockers(world: World, job: Job, now: Now) -> Iterator[Blocker]:
    """Yield the job's own reasons that keep it out of the queue."""
    release = f"`launch release {job.ref}`"
    if job.held is Reason.NEVER_STARTED:
        tried = f"{job.never_started} starts failed before the container ran: {job.message}"
        yield Blocker(job.held, f"a start that works, and {release}", tried)
    elif job.held is Reason.IMAGE_PULL_FAILED:
        tried = f"{job.pulls_failed} pulls failed: {job.message}"
        yield Blocker(job.held, f"a registry that answers, and {release}", tried)
    elif job.held is not None:
        yield Blocker(job.held, release, job.message or "it is held")
    if job.begin is not None and job.begin > now.wall:
        have = job.message or "the time has not come"
        yield Blocker(Reason.BEGIN_TIME, f"the time {utc_text(job.begin)}", have)
    for dependency in itertools.islice(job.waits_for, MOST_TOLD):
        yield _dependency_blocker(world, job, dependency)
    if (more := len(job.waits_for) - MOST_TOLD) > 0:
        yield Blocker(Reason.DEPENDENCY, f"{more} other jobs", "they have not ended")


def _dependency_blocker(world: World, job: Job, dependency: Dependency) -> Blocker:
    number, name = dependency.job, dependency.name
    need = f"{dependency.after.value} of job {name}"
    if dependency.after is After.SINGLETON:
        number = in_front_alone(world, job) or job.id
        name = world.ref(number)
        need = f"singleton: the end of earlier jobs {job.name} of {job.owner.name}"
    elif dependency.delay:
        need = f"after, {dependency.delay / 60:g} minutes since the start of job {name}"
    elif dependency.after is After.START:
        need = f"after, the start of job {name}"
    if dependency.either:
        need += " (one of several suffices)"
    other, array = world.jobs.get(number), world.arrays.get(number)
    have = other.state.value if other else "over"
    if array is not None:
        have = f"{len(array.live)} of {array.size} have not ended"
    if dependency.after is After.SINGLETON:
        have = f"job {name}: {have}"
    return Blocker(Reason.DEPENDENCY, need, have, (number,))


def turn_blocker(world: World, job: Job) -> Blocker | None:
    """Return the blocker of an array element whose turn has not come."""
    array = world.arrays[job.element.array] if job.element is not None else None
    if array is None or array.max_parallel is None or job.id in array.taken:
        return None
    need = f"a turn in array {array.id}: {array.max_parallel} of it run at once"
    return Blocker(Reason.ARRAY_LIMIT, need, f"{len(array.waiting)} wait for theirs")


def image_blocker(world: World, job: Job) -> Blocker:
    """Return the state of the pull of a job's image, as a blocker."""
    state = world.images.get(job.image)
    have = {
        None: "not looked for yet",
        Having.FINDING: "being looked for",
        Having.WANTED: "waits for other pulls",
        Having.PULLING: "being pulled",
        Having.LOGIN: (
            f"{job.owner.name}'s credentials for {registry_of(job.image.reference)} were lost "
            f"when the daemon was restarted: `launch login {registry_of(job.image.reference)}`"
        ),
    }[state.having if state else None]
    return Blocker(Reason.IMAGE_PULL, f"image {job.image.reference}", have)
