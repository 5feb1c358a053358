"""A submit: all of its jobs are checked, then all are queued, or none is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from launcher.core.jobs import admission, dependencies, interactive
from launcher.core.jobs.dependencies import missed_of
from launcher.core.jobs.stored_size import sizes_of
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action
from launcher.core.messages.published import EventType
from launcher.core.model.arrays import Array
from launcher.core.model.job import ALONE, After, Dependency, Element, Job, Reason
from launcher.core.model.need import need_of
from launcher.core.model.pieces import PIECE, Pieces, whole
from launcher.core.policy import policy, validate
from launcher.core.scheduling import quota
from launcher.core.scheduling.feasibility import check_possible
from launcher.core.scheduling.memory_share import memory_for
from launcher.core.world.pending_queue import Lane, lane_for
from launcher.core.world.publishing import publish_array, publish_job
from launcher.core.world.world import World
from launcher.errors import LauncherError, NotAllowed
from launcher.indices import element
from launcher.spec.job_spec import JobSpec
from launcher.spec.times import moment


def submit(world: World, event: ev.Submitted, now: ev.Now) -> tuple[list[Job], list[Action]]:
    """Run ``submit_in_pieces`` at once."""
    return whole(submit_in_pieces(world, event, now))


def submit_in_pieces(
    world: World, event: ev.Submitted, now: ev.Now
) -> Pieces[tuple[list[Job], list[Action]]]:
    """Queue all jobs of a submit or none; returns them with the actions.

    With ``dry_run`` everything is checked and the jobs, with id 0, are not stored. All checks come
    before the first change.
    """
    sizes: list[int] = []
    for size in sizes_of(event):
        sizes.append(size)
        if len(sizes) % PIECE == 0:
            yield
    yield from _check(world, event, sum(sizes))
    if event.dry_run:
        planned: list[Job] = []
        for new in event.jobs:
            planned.append(_planned(world, new, event, now))
            if len(planned) % PIECE == 0:
                yield
        return planned, []
    world.groups[event.owner.uid] = event.groups
    queued = yield from _queue(world, event, sizes, now)
    actions: list[Action] = []
    for number, (job, new) in enumerate(zip(queued, event.jobs, strict=True), start=1):
        missed = missed_of(world, new.after, others=bool(new.beside))
        if missed is not None:
            actions += dependencies.never(world, job, *missed, now)
        else:
            actions += admission.admit(world, job, now)
        if number % PIECE == 0:
            yield
    return queued, actions


def _queue(
    world: World, event: ev.Submitted, sizes: Sequence[int], now: ev.Now
) -> Pieces[list[Job]]:
    """Add the jobs of a submit, with their sizes, to the world; none is admitted yet."""
    arrays = _new_arrays(world, event)
    first = world.next_id
    queued: list[Job] = []
    for new, size in zip(event.jobs, sizes, strict=True):
        job = _job(world, world.next_id, new, event, now)
        job.kept_bytes = size
        job.depends_on = _depends_on(event, new, first, arrays)
        dependencies.take_up(world, job, new.after, now)
        if new.element is not None:
            place = new.element
            job.element = Element(arrays[place.array].id, place.index, place.values)
        world.next_id += 1
        world.add(job)
        world.changes.new_jobs.append((job, new.document))
        world.note(job, now.wall, "submitted", f"by {event.owner.name}")
        if job.element is None:
            publish_job(world, EventType.JOB_SUBMITTED, job, now.wall)
        queued.append(job)
        if len(queued) % PIECE == 0:
            yield
    for array in arrays:
        publish_array(world, EventType.ARRAY_SUBMITTED, array, now.wall)
    return queued


def _check(world: World, event: ev.Submitted, stored_bytes: int) -> Pieces[None]:
    """Refuse the whole submit if one job is not allowed or could never run.

    ``stored_bytes`` is the size of the whole submit in the database, in bytes.
    """
    person = policy.Person(event.owner, event.groups, trusted=event.trusted, admin=event.admin)
    checked: JobSpec | None = None
    waits = 0
    for number, new in enumerate(event.jobs):
        if number % PIECE == 0:
            yield
        waits += len(new.beside) + len(new.after) + new.spec.singleton
        try:
            if new.spec is not checked:  # array elements often share a spec
                _check_spec(world, new.spec, person)
                checked = new.spec
            check_limit(
                world,
                new.spec.time_limit,
                admin=event.admin,
                interactive=new.spec.stdin_open,
            )
            policy.check_stop_grace(world.rules.policy, event.owner, new.spec.stop_grace_period)
            check_possible(world, need_of(new.spec))
            missed_of(world, new.after)  # raises if a dependency has just ended
        except LauncherError as refused:
            if len(event.jobs) > 1:
                refused.message = f"{new.spec.name}: {refused.message}"
            raise
    yield from dependencies.check_cycles(event.jobs)
    interactive.check_number(world, event)
    more = quota.SubmitSize(len(event.jobs), (yield from _lanes(world, event)), stored_bytes, waits)
    quota.check_submit(world, event.owner, event.groups, more, admin=event.admin)


def _lanes(world: World, event: ev.Submitted) -> Pieces[frozenset[Lane]]:
    """Return the lanes of the jobs of a submit."""
    lanes: set[Lane] = set()
    last: JobSpec | None = None
    for number, spec in enumerate(new.spec for new in event.jobs):
        if number % PIECE == 0:
            yield
        if spec is last:  # array elements often share a spec
            continue
        last = spec
        limit = spec.time_limit or limit_without(
            world, admin=event.admin, interactive=spec.stdin_open
        )
        uid, grace = event.owner.uid, spec.stop_grace_period
        kind = {"on_host": spec.on_host, "interactive": spec.stdin_open}
        lanes.add(lane_for(need_of(spec), uid, limit, grace, **kind))
    return frozenset(lanes)


def _check_spec(world: World, spec: JobSpec, person: policy.Person) -> None:
    validate.check(spec)
    interactive.check_loopback(world, spec)
    memory = memory_for(world, need_of(spec), spec.cpus)
    policy.check(policy.PolicyInput(spec, person, world.rules.policy, memory))


def limit_without(world: World, *, admin: bool, interactive: bool) -> float | None:
    """Return the time limit of a job without one; an ordinary user's job always gets one."""
    most, default = _most_time(world, interactive=interactive), world.rules.default_time_limit
    if default is None or admin:
        return default or (None if admin else most)
    return default if most is None else min(default, most)


def _most_time(world: World, *, interactive: bool) -> float | None:
    """Return the longest time limit of a user's job."""
    rules = world.rules
    limits = [rules.max_time_limit, rules.interactive.max_time_limit if interactive else None]
    return min((limit for limit in limits if limit is not None), default=None)


def check_limit(
    world: World, seconds: float | None, *, admin: bool, interactive: bool = False
) -> None:
    """Raise ``NotAllowed`` for a time limit above the one that the rules allow."""
    most = _most_time(world, interactive=interactive)
    if most is not None and seconds is not None and seconds > most and not admin:
        raise NotAllowed(
            f"time_limit: {seconds:g} s is above {most:g} s, the maximum of a user",
            fix="Request less, or have an admin extend the job while it runs (`launch edit`).",
        )


def _new_arrays(world: World, event: ev.Submitted) -> list[Array]:
    """Give every array of a submit its id, from the same counter as the jobs."""
    sizes = [0] * len(event.arrays)
    for new in event.jobs:
        if new.element is not None:
            sizes[new.element.array] += 1
    arrays: list[Array] = []
    for new_array, size in zip(event.arrays, sizes, strict=True):
        most, indices = new_array.max_parallel, new_array.indices
        array = Array(world.next_id, event.owner, new_array.name, size, most, indices)
        world.next_id += 1
        world.arrays[array.id] = array
        world.changes.arrays[array.id] = (array, new_array.template)
        arrays.append(array)
    return arrays


def _depends_on(
    event: ev.Submitted, new: ev.NewJob, first: int, arrays: list[Array]
) -> tuple[Dependency, ...]:
    """Return all dependencies of a new job.

    An element of an array means all of them, but for those that mean the element itself.
    """
    result: list[Dependency] = []
    for beside in new.beside:
        place = event.jobs[beside.job].element
        if place is None:
            result.append(replace(beside, job=first + beside.job))
        elif beside.after in (After.CORR, After.START):
            ref = element(arrays[place.array].id, place.index)
            result.append(replace(beside, job=first + beside.job, ref=ref))
        else:
            result.append(replace(beside, job=arrays[place.array].id))
    alone = [ALONE] if new.spec.singleton else []
    return tuple(dict.fromkeys([*result, *(dependency for dependency, _ in new.after), *alone]))


def _planned(world: World, new: ev.NewJob, event: ev.Submitted, now: ev.Now) -> Job:
    """Return a job that is not stored; it and its array have id 0."""
    job = _job(world, 0, new, event, now)
    if new.element is not None:
        job.element = Element(0, new.element.index, new.element.values)
    return job


def _job(world: World, job_id: int, new: ev.NewJob, event: ev.Submitted, now: ev.Now) -> Job:
    spec = new.spec
    limit = spec.time_limit or limit_without(world, admin=event.admin, interactive=spec.stdin_open)
    return Job(
        id=job_id,
        owner=event.owner,
        name=spec.name,
        need=need_of(spec),
        image=new.image,
        priority=spec.priority,
        submitted_at=now.wall,
        time_limit=limit,
        stop_grace=spec.stop_grace_period,
        begin=None if spec.begin is None else moment(spec.begin),
        held=Reason.JOB_HELD_USER if spec.hold else None,
        retries=spec.retries,
        warn=spec.signal,
        idle_timeout=spec.idle_timeout,
        preemptible=spec.preemptible,
        interactive=spec.stdin_open,
        has_ports=bool(spec.ports),
        policy_version=policy.VERSION,
    )
