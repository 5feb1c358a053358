"""Dependencies: what other jobs must do before a job may start, and what their ends mean for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from launcher.core.jobs import admission, pulled_images
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action
from launcher.core.messages.published import EventType
from launcher.core.model.job import (
    ALONE,
    MOST_TOLD,
    After,
    Dependency,
    Job,
    Outcome,
    Reason,
    State,
)
from launcher.core.model.pieces import PIECE, Pieces
from launcher.core.world import lifecycle
from launcher.core.world.namesakes import wait_alone
from launcher.core.world.publishing import publish_array, publish_job
from launcher.core.world.transitions import finish, move
from launcher.core.world.world import World
from launcher.errors import StaleRequest, UserError

Recorded = tuple[tuple[Dependency, Outcome | None], ...]
"""Dependencies with the stored outcomes of the other jobs, None for those that have not ended."""


def take_up(world: World, job: Job, recorded: Recorded, now: ev.Now) -> None:
    """Set what a job waits for, and since when it may start, by what the others have done."""
    outcomes = dict(recorded)
    waits: dict[Dependency, None] = {}
    moments: list[float] = []
    for dependency in job.depends_on:
        if dependency not in outcomes:  # of the same submit, or of no certain job
            waits[dependency] = None
            continue
        outcome = end_of(world, dependency, outcomes[dependency])
        started = _started(world, dependency, outcome)
        if started is not None:
            moments.append(started)
        elif outcome is None:
            waits[dependency] = None
    either = _one_suffices(job)
    if either and moments:
        waits = {ALONE: None} if ALONE in waits else {}
    job.waits_for = waits
    begin = (min if either else max)(moments, default=0.0)
    if begin > now.wall:
        job.begin = max(job.begin or 0.0, begin)


def _started(world: World, dependency: Dependency, outcome: Outcome | None) -> float | None:
    """Return since when a dependency is fulfilled (0: at once), None if it is not."""
    if dependency.after is not After.START:
        return None if outcome is None or not dependency.after.holds(outcome) else 0.0
    live = world.jobs.get(dependency.job)
    since = dependency.since if live is None else live.started_wall
    if since is None:
        return None if outcome is None else 0.0
    return since + dependency.delay


def end_of(world: World, dependency: Dependency, outcome: Outcome | None) -> Outcome | None:
    """Return the outcome of a job or array, None if it has not ended.

    ``outcome`` is the stored outcome. Raises ``StaleRequest`` if that is too old.
    """
    live = world.jobs.get(dependency.job)
    if live is not None:
        return live.outcome
    if dependency.job in world.arrays:
        return None
    if outcome is None:
        raise StaleRequest(
            f"job {dependency.name} has just ended", fix="Try again: its end is known then."
        )
    return outcome


def missed_of(
    world: World, recorded: Recorded, *, others: bool = False
) -> tuple[Dependency, Outcome] | None:
    """Return a dependency that has already ended with another outcome than required.

    Of several of which one suffices only if all have; not if there are ``others``.
    """
    missed: list[tuple[Dependency, Outcome]] = []
    for dependency, stored in recorded:
        outcome = end_of(world, dependency, stored)
        if outcome is None or dependency.after.holds(outcome):
            others = True
        elif not dependency.either:
            return dependency, outcome
        else:
            missed.append((dependency, outcome))
    return missed[0] if missed and not others else None


def settle(world: World, now: ev.Now) -> list[Action]:
    """Pass new starts and ends on to the dependents; ends may cause ends."""
    actions: list[Action] = []
    while world.started:
        started = world.started.pop(0)
        publish_job(world, EventType.JOB_STARTED, world.jobs[started], now.wall)
        pulled_images.used(world, world.jobs[started], now)
        for job in _waiting(world, world.dependents.get(started, ())):
            actions += _pass_start(world, job, started, now)
    while world.ended:
        ended, outcome = world.ended.pop(0)
        if (array := world.changes.closed.get(ended)) is not None:
            publish_array(world, EventType.ARRAY_ENDED, array, now.wall)
        elif (ended_job := world.changes.jobs.get(ended)) is not None:
            publish_job(world, EventType.JOB_ENDED, ended_job, now.wall)
            pulled_images.used(world, ended_job, now)
        for job in _waiting(world, world.dependents.pop(ended, ())):
            actions += _pass_on(world, job, ended, outcome, now)
    return actions + admission.make_room(world, now)


def _waiting(world: World, ids: Iterable[int]) -> list[Job]:
    jobs = (world.jobs.get(job_id) for job_id in sorted(ids))
    return [job for job in jobs if job is not None and job.state is State.PENDING]


def _pass_start(world: World, job: Job, started: int, now: ev.Now) -> list[Action]:
    if Dependency(started, After.START) not in job.waits_for:
        return []
    dependency = _found(job, Dependency(started, After.START))
    _fulfil(job, dependency, now)
    if _is_quiet(world, job):
        return []
    move(world, job, lifecycle.Settled, State.PENDING, now, f"job {dependency.name} has started")
    return admission.admit(world, job, now)


def _pass_on(world: World, job: Job, ended: int, outcome: Outcome, now: ev.Now) -> list[Action]:
    matching = [d for d in (Dependency(ended, after) for after in After) if d in job.waits_for]
    name = str(ended)
    for dependency in matching:
        if _is_told(job) or dependency.after is After.START:
            dependency = _found(job, dependency)  # noqa: PLW2901
            name = dependency.name
        if dependency.after.holds(outcome):
            _fulfil(job, dependency, now)
        elif not _one_suffices(job) or len(job.waits_for) - (ALONE in job.waits_for) < 2:
            return never(world, job, dependency, outcome, now)
        else:
            del job.waits_for[dependency]
    alone = ALONE in job.waits_for
    if alone and not wait_alone(world, job):
        del job.waits_for[ALONE]
    elif not matching:
        return []
    if _is_quiet(world, job):
        return []
    move(world, job, lifecycle.Settled, State.PENDING, now, f"job {name} is {outcome.value}")
    return admission.admit(world, job, now)


def _fulfil(job: Job, dependency: Dependency, now: ev.Now) -> None:
    """Take a fulfilled dependency out; where one suffices, the others too."""
    if dependency.delay:
        job.begin = max(job.begin or 0.0, now.wall + dependency.delay)
    if _one_suffices(job):
        job.waits_for = {ALONE: None} if ALONE in job.waits_for else {}
    else:
        job.waits_for.pop(dependency, None)


def _one_suffices(job: Job) -> bool:
    return bool(job.depends_on) and job.depends_on[0].either


def _is_told(job: Job) -> bool:
    return len(job.depends_on) <= MOST_TOLD


def _is_quiet(world: World, job: Job) -> bool:
    """Whether a change of a job has no line in its history: thousands would be too many."""
    if job.waits_for and not _is_told(job):
        world.changes.jobs[job.id] = job
        return True
    return False


def _found(job: Job, dependency: Dependency) -> Dependency:
    """Return the job's own dependency, which has the delay and the name."""
    return next((own for own in job.depends_on if own == dependency), dependency)


def never(
    world: World, job: Job, missed: Dependency, outcome: Outcome, now: ev.Now
) -> list[Action]:
    """End, or hold, a job whose dependency can never be satisfied."""
    message = f"job {missed.name} is {outcome.value}, {missed.after.value} was required"
    reason = Reason.DEPENDENCY_NEVER_SATISFIED
    if world.rules.unsatisfied_dependency == "hold":
        job.waits_for.pop(missed, None)
        held_by_admin = job.held is Reason.JOB_HELD_ADMIN
        job.held, job.message = job.held if held_by_admin else reason, message
        move(world, job, lifecycle.Settled, State.PENDING, now, message)
        return []
    finish(world, job, lifecycle.Settled, Outcome.CANCELLED, now, reason, message)
    return []


def check_cycles(jobs: Sequence[ev.NewJob]) -> Pieces[None]:
    """In steps: raise ``UserError`` naming the cycle if jobs wait for each other."""
    done: set[int] = set()
    for start in range(len(jobs)):
        if start % PIECE == 0:
            yield
        path: list[int] = []
        todo = [(start, iter(jobs[start].beside))]
        on_path = {start}
        path.append(start)
        while todo:
            index, left = todo[-1]
            step = next(left, None)
            if step is None:
                todo.pop()
                on_path.discard(path.pop())
                done.add(index)
            elif step.job in on_path:
                names = [jobs[i].spec.name for i in (*path[path.index(step.job) :], step.job)]
                raise UserError(f"depends_on: {' -> '.join(names)} is a cycle")
            elif step.job not in done:
                todo.append((step.job, iter(jobs[step.job].beside)))
                path.append(step.job)
                on_path.add(step.job)
