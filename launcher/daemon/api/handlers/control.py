"""Changes existing jobs: cancel, hold, release, requeue, retry, edit, signal."""

from __future__ import annotations

import asyncio
import dataclasses
import signal as signals
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from launcher import wire
from launcher.core.messages import events as ev
from launcher.core.model.arrays import Array
from launcher.core.model.job import ALONE, After, Dependency, Job, Outcome, State
from launcher.core.model.need import needed
from launcher.daemon.api.handlers.context import Context, must_own
from launcher.daemon.api.handlers.jobs import job_views
from launcher.daemon.loop import audit_log
from launcher.daemon.mounts.secret_store import Key
from launcher.daemon.requests.selection import selection
from launcher.daemon.users.identity import Caller
from launcher.errors import NoSuchJob, NotAllowed, StaleRequest, UserError
from launcher.spec.job_spec import secrets_key_of
from launcher.store import Reader


async def cancel(
    context: Context, caller: Caller, ref: str, *, at_once: bool = False
) -> list[wire.JobView]:
    """Cancel every live job that a reference means; ended ones stay as they are."""
    jobs = await context.resolve(ref, caller)
    for job in jobs:
        must_own(job, caller)
    live = [job for job in jobs if job.state is not State.DONE]
    audit_log.about(live)
    await _cancel(context, caller, live, at_once=at_once)
    return await _now(context, caller, jobs if len(jobs) == 1 else live)


async def _cancel(context: Context, caller: Caller, jobs: Iterable[Job], *, at_once: bool) -> None:
    """Cancel jobs, except those that have ended meanwhile.

    If an admin cancels another user's job, it gets no grace period.
    """
    cancels = [
        context.event_loop.request(
            ev.CancelAsked(job.id, caller.uid, kill=at_once or caller.uid != job.owner.uid)
        )
        for job in jobs
    ]
    for outcome in await asyncio.gather(*cancels, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, NoSuchJob):
            raise outcome


async def cancel_all(
    context: Context, caller: Caller, request: wire.SelectRequest
) -> list[wire.JobView]:
    """Cancel the matching live jobs of the caller; for an admin, those of all users."""
    if request.refs:
        jobs = await context.resolve_all(request.refs, caller, own=True)
    else:
        jobs = list(context.world.jobs.values())
    passing = await selection(caller, request.user, request.state, request.name).of(jobs)
    selected = [j for j in passing if j.state is not State.DONE and caller.may_see(j.owner)]
    audit_log.about(selected)
    await _cancel(context, caller, selected, at_once=request.now)
    return await _now(context, caller, selected)


async def hold(context: Context, caller: Caller, ref: str) -> list[wire.JobView]:
    """Prevent the pending jobs that a reference means from starting."""

    def event(job: Job) -> ev.Event:
        return ev.HoldAsked(job.id, caller.uid, admin=caller.uid != job.owner.uid)

    return await _post_each(context, caller, ref, event)


async def release(context: Context, caller: Caller, ref: str) -> list[wire.JobView]:
    """Release the held jobs that a reference means."""

    def event(job: Job) -> ev.Event:
        return ev.ReleaseAsked(job.id, caller.uid, caller.admin)

    return await _post_each(context, caller, ref, event)


async def requeue(context: Context, caller: Caller, ref: str) -> list[wire.JobView]:
    """Stop the running jobs that a reference means, and queue them again."""
    return await _post_each(context, caller, ref, lambda job: ev.RequeueAsked(job.id, caller.uid))


async def edit(
    context: Context, caller: Caller, ref: str, request: wire.EditRequest
) -> list[wire.JobView]:
    """Change the pending jobs that a reference means, or the time limit of running ones."""
    changed = [name for name, value in dataclasses.asdict(request).items() if value is not None]
    if caller.web_session is not None and changed != ["time_limit"]:
        raise NotAllowed("a page may change the time limit alone", fix="Use `launch edit`.")
    gpus = request.gpus
    cores: dict[int, float | None] = {}
    if gpus is not None and gpus.is_open:
        raise UserError(
            "gpus: `memory: auto` is chosen when a job is submitted",
            fix="Write a size such as 10g; `launch advice` says what earlier jobs used.",
        )
    if gpus is not None and gpus.kind == "none":
        for job in await context.resolve(ref, caller):
            spec = await context.spec(job.id) if job.state is State.PENDING else None
            cores[job.id] = None if spec is None else spec.cpus

    def event(job: Job) -> ev.Event:
        wants = None if gpus is None else needed(gpus, cores.get(job.id))
        return ev.EditAsked(
            job.id,
            caller.owner,
            caller.admin,
            request.priority,
            request.time_limit,
            wants,
            request.hold,
        )

    return await _post_each(context, caller, ref, event, ", ".join(changed))


async def _post_each(
    context: Context, caller: Caller, ref: str, event: Callable[[Job], ev.Event], detail: str = ""
) -> list[wire.JobView]:
    """Post one event per job of a reference; unsuitable jobs are skipped, unless all are."""
    jobs = await context.resolve(ref, caller)
    for job in jobs:
        must_own(job, caller)
    context.limiter.changes(caller, len(jobs))
    audit_log.about(jobs, detail)
    await context.event_loop.request_all([event(job) for job in jobs], StaleRequest, NoSuchJob)
    return await _now(context, caller, jobs)


async def _now(context: Context, caller: Caller, jobs: list[Job]) -> list[wire.JobView]:
    return await job_views(context, caller, await context.now(jobs))


async def retry(context: Context, caller: Caller, request: wire.RetryJobs) -> list[wire.JobView]:
    """Queue the ended jobs that references mean again, together."""
    read_at = context.world.recent.count
    result = await context.resolve_all(request.refs, caller)
    jobs = [job for job in result if job.state is State.DONE]
    if request.failed:
        jobs = [job for job in jobs if job.outcome is not Outcome.COMPLETED]
    for job in jobs:
        must_own(job, caller)
    if not jobs:
        kind = "failed" if request.failed else "ended"
        named = ", ".join(request.refs)
        raise StaleRequest(f"none of {named} has {kind}: there is nothing to retry")
    context.limiter.jobs(caller, len(jobs))
    audit_log.about(jobs)
    secrets = await _secrets_of(context, jobs)
    retriable = [
        job for job in jobs if job.id not in secrets or context.secrets.has(secrets[job.id])
    ]
    if not retriable:
        raise StaleRequest(
            f"job {jobs[0].ref} cannot run again: its secrets were deleted when it ended",
            fix="Submit it again.",
        )
    with context.secrets.held(secrets[job.id] for job in retriable if job.id in secrets):
        await _retry(context, caller, retriable, read_at)
        for job in retriable:
            if job.id in secrets and job.id in context.world.jobs:
                context.secrets.use(job.id, secrets[job.id])
    return await _now(context, caller, jobs)


async def _secrets_of(context: Context, jobs: Iterable[Job]) -> dict[int, Key]:
    """Return the stored secrets' locations of these jobs, for those that have any, by id."""
    owners = {job.id: job.owner.uid for job in jobs}
    result = await context.committer.read(Reader.secrets_of, owners)
    return {job: (owners[job], secrets_key_of(at)) for job, at in result.items()}


async def _retry(context: Context, caller: Caller, jobs: list[Job], read_at: int) -> None:
    ends = await _ends(context, {d.job for job in jobs for d in _certain(job)})
    pruned = await _pruned(context, [number for number, end in ends.items() if end is None])
    retried = tuple(
        ev.Retried(  # a copy: others may be reading this one
            dataclasses.replace(job),
            tuple((d, _end(d, ends, pruned)) for d in _certain(job)),
        )
        for job in _without(jobs, pruned)
    )
    owners = {job.owner.uid: job.owner for job in jobs}
    event = ev.RetryAsked(
        retried,
        caller.uid,
        caller.admin,
        await _arrays(context, jobs),
        tuple((await context.accounts.groups(caller.uid, owners.values())).items()),
        read_at,
    )
    await context.event_loop.request(event)


def _certain(job: Job) -> list[Dependency]:
    """Return a job's dependencies on certain jobs."""
    return [d for d in job.depends_on if d != ALONE]


async def _arrays(context: Context, jobs: Iterable[Job]) -> tuple[Array, ...]:
    """Return the arrays of these jobs that have ended, as the store has them."""
    ids = {job.element.array for job in jobs if job.element is not None}
    arrays = [
        await context.committer.read(Reader.array, i) for i in ids - context.world.arrays.keys()
    ]
    return tuple(array for array in arrays if array is not None)


async def _ends(context: Context, ids: Iterable[int]) -> dict[int, Outcome | None]:
    """Return how jobs and arrays ended."""
    ends: dict[int, Outcome | None] = {}
    for number in ids:
        result = await context.find(number)
        if result is None:
            array = await context.committer.read(Reader.array, number)
            ends[number] = None if array is None else array.outcome
        else:
            ends[number] = result.outcome
    return ends


async def _pruned(context: Context, ids: Iterable[int]) -> set[int]:
    """Return which of these jobs and arrays were deleted, so that their outcomes are unknown."""
    deleted = {
        number: await context.committer.read(Reader.pruned_at, number)
        for number in ids
        if number not in context.world.jobs and number not in context.world.arrays
    }
    return {number for number, at in deleted.items() if at is not None}


def _end(
    dependency: Dependency, ends: Mapping[int, Outcome | None], pruned: Set[int]
) -> Outcome | None:
    """Return a job's outcome; for a deleted job it only matters that it has ended."""
    return Outcome.COMPLETED if dependency.job in pruned else ends[dependency.job]


def _without(jobs: Sequence[Job], pruned: Set[int]) -> list[Job]:
    """Return the jobs that need no certain outcome of a deleted one; raises if none is left."""
    refused: StaleRequest | None = None
    left: list[Job] = []
    for job in jobs:
        needed = [
            d for d in job.depends_on if d.job in pruned and d.after not in (After.ANY, After.START)
        ]
        if not needed:
            left.append(job)
            continue
        refused = StaleRequest(
            f"job {job.id} cannot run again: job {needed[0].name}, on which it depends, was pruned",
            fix="Submit it again without the dependency.",
        )
    if refused is not None and not left:
        raise refused
    return left


async def send_signal(
    context: Context, caller: Caller, ref: str, request: wire.SignalRequest
) -> wire.JobView:
    """Send a running job's container a signal."""
    name = request.signal if request.signal.startswith("SIG") else f"SIG{request.signal}"
    if name not in signals.Signals.__members__:
        raise UserError(f"{request.signal!r} is not a signal")
    job = await context.one_job(ref, caller)
    must_own(job, caller)
    audit_log.about([job], name)
    try:
        await context.event_loop.request(ev.SignalAsked(job.id, name))
    except NoSuchJob:
        raise StaleRequest(f"job {job.ref} has ended; it cannot be signalled") from None
    return (await job_views(context, caller, [job]))[0]
