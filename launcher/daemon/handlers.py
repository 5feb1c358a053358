"""The handlers of the API, one per route: read the request, ask the brain, show the result."""

from __future__ import annotations

import heapq
import os
import signal as signals
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from launcher import __version__, wire
from launcher.core import event as ev
from launcher.core.explain import blockers
from launcher.core.job import After, Dependency, ImageKey, Job, Outcome, State
from launcher.daemon import clock, convert, views
from launcher.daemon.context import Context
from launcher.daemon.identity import Caller
from launcher.errors import NoSuchJob, StaleRequest, UserError
from launcher.store import Reader

MAX_JOBS = 100_000


async def submit(context: Context, caller: Caller, asked: wire.SubmitRequest) -> list[wire.JobView]:
    """Queue all of the jobs, or none; with ``dry_run`` only say what would be queued."""
    if not 0 < len(asked.jobs) <= MAX_JOBS:
        raise UserError(f"{len(asked.jobs)} jobs in one submit; 1 to {MAX_JOBS} can be")
    context.credentials.keep(caller.uid, asked.credentials)
    names = _by_name(asked.jobs)
    new = tuple([await _new_job(context, job, caller.uid, names) for job in asked.jobs])
    jobs = await context.brain.ask(ev.Submitted(caller.owner, new, asked.dry_run))
    context.remember((job.id, one.spec) for job, one in zip(jobs, new, strict=True) if job.id)
    return [
        views.job_view(context.world, job, caller, request.command)
        for job, request in zip(jobs, asked.jobs, strict=True)
    ]


def _by_name(jobs: Sequence[wire.JobRequest]) -> dict[str, list[int]]:
    """Return the places in a submit by the jobs' names: two may share one."""
    found: dict[str, list[int]] = {}
    for index, job in enumerate(jobs):
        found.setdefault(job.name, []).append(index)
    return found


async def _new_job(
    context: Context, request: wire.JobRequest, uid: int, names: Mapping[str, list[int]]
) -> ev.NewJob:
    owner = context.credentials.owner(uid, request.image)
    key = ImageKey(request.image, request.pull_policy, owner)
    beside: list[tuple[int, After]] = []
    others: list[tuple[Dependency, Outcome | None]] = []
    for name, how in request.depends_on.items():
        if name in names:
            beside += [(index, After(how)) for index in names[name]]
        else:
            others.append(await _other_job(context, request, name, After(how)))
    return ev.NewJob(
        convert.core_spec(request), convert.document(request), key, tuple(beside), tuple(others)
    )


async def _other_job(
    context: Context, request: wire.JobRequest, name: str, after: After
) -> tuple[Dependency, Outcome | None]:
    """Return a dependency on a job of an earlier submit, with how that ended if it did."""
    found = await context.find(int(name)) if name.isdecimal() and len(name) < 16 else None
    if found is None:
        raise UserError(
            f"{request.name}: depends_on: there is no job {name!r} in this submit or by that id",
            fix="Name a job of the same file, or an earlier one by its id.",
        )
    return Dependency(found.id, after), found.outcome


async def list_jobs(
    context: Context, caller: Caller, refs: Sequence[str], everything: bool
) -> list[wire.JobView]:
    """Return the jobs that ``ps`` lists: the live ones, the named ones, or all."""
    if refs:
        found = {job.id: job for ref in refs for job in await context.resolve(ref, caller)}
        jobs = [found[i] for i in sorted(found)]
    elif everything:
        stored = await context.committer.read(Reader.jobs)
        jobs = [context.world.jobs.get(job.id, job) for job in stored]
    else:
        live = (j for j in context.world.jobs.values() if j.state is not State.COMPLETING)
        jobs = sorted(live, key=lambda j: j.id)
    return await job_views(context, caller, jobs)


async def head(context: Context, caller: Caller, most: int) -> wire.QueueHead:
    """Return what runs and the first of what waits, in the order in which it will be served."""
    world = context.world
    begun = [world.jobs[i] for i in sorted(world.attempts)]  # every other job is pending
    running = [j for j in begun if j.state in (State.STARTING, State.RUNNING)]
    waiting = len(world.jobs) - sum(j.state is not State.PENDING for j in begun)
    first = [world.jobs[i] for i in world.queue.first(most)]
    if len(first) < most:  # the rest waits for something of its own, or for its image
        others = (
            j for j in world.jobs.values() if j.state is State.PENDING and j.id not in world.queue
        )
        first += heapq.nsmallest(most - len(first), others, key=lambda j: j.order)
    shown = await job_views(context, caller, [*running[:most], *first])
    return wire.QueueHead(jobs=shown, waiting=waiting, running=len(running))


async def job_views(context: Context, caller: Caller, jobs: Sequence[Job]) -> list[wire.JobView]:
    """Return jobs as they are shown, with the commands that the caller may see."""
    mine = [job.id for job in jobs if caller.may_see(job.owner)]
    commands = await context.committer.read(Reader.commands, mine)
    return [views.job_view(context.world, job, caller, commands.get(job.id)) for job in jobs]


async def show(context: Context, caller: Caller, ref: str) -> wire.JobDetail:
    """Return a job with its spec, attempts, history and what it waits for."""
    job = await context.one(ref, caller)
    mine = caller.may_see(job.owner)
    spec = await context.spec(job.id) if mine else None
    attempts = await context.committer.read(Reader.attempts, job.id) if mine else []
    history = await context.committer.read(Reader.history, job.id) if mine else []
    why = blockers(context.world, job, clock.now()) if job.id in context.world.jobs else []
    position = None
    if job.id in context.world.queue:
        others = (context.world.jobs[i] for i in context.world.queue.ids())
        position = 1 + sum(other.order < job.order for other in others)
    return wire.JobDetail(
        job=views.job_view(context.world, job, caller, spec.command if spec else None),
        spec=spec,
        image_id=job.image_id if mine else None,
        blockers=[views.blocker_view(b) for b in why],
        position=position,
        attempts=[views.attempt_view(a) for a in attempts],
        events=[wire.EventView(at=clock.rfc3339(at), event=e, detail=d) for at, e, d in history],
    )


async def cancel(context: Context, caller: Caller, ref: str) -> list[wire.JobView]:
    """Cancel every live job that a reference means; ended ones stay as they are."""
    jobs = await context.resolve(ref, caller)
    for job in jobs:
        if job.state is not State.DONE:
            try:
                await context.brain.ask(ev.CancelAsked(job.id, caller.uid))
            except NoSuchJob:
                continue  # it ended in between
    now = [await context.find(job.id) or job for job in jobs]
    return await job_views(context, caller, now)


async def hold(context: Context, caller: Caller, ref: str) -> list[wire.JobView]:
    """Keep the pending jobs that a reference means from starting."""
    return await _each(context, caller, ref, lambda job: ev.HoldAsked(job, caller.uid))


async def release(context: Context, caller: Caller, ref: str) -> list[wire.JobView]:
    """Let the held jobs that a reference means go."""
    return await _each(context, caller, ref, lambda job: ev.ReleaseAsked(job, caller.uid))


async def _each(
    context: Context, caller: Caller, ref: str, event: Callable[[int], ev.Event]
) -> list[wire.JobView]:
    """Ask one event of each job that a reference means; of several, those that cannot are left."""
    jobs = await context.resolve(ref, caller)
    for job in jobs:
        try:
            await context.brain.ask(event(job.id))
        except StaleRequest:
            if len(jobs) == 1:
                raise
    return await job_views(context, caller, [await context.find(j.id) or j for j in jobs])


async def send_signal(
    context: Context, caller: Caller, ref: str, asked: wire.SignalRequest
) -> wire.JobView:
    """Send a running job's container a signal."""
    name = asked.signal if asked.signal.startswith("SIG") else f"SIG{asked.signal}"
    if name not in signals.Signals.__members__:
        raise UserError(f"{asked.signal!r} is not a signal")
    job = await context.one(ref, caller)
    try:
        await context.brain.ask(ev.SignalAsked(job.id, name))
    except NoSuchJob:
        raise StaleRequest(f"job {job.id} has ended, it gets no signals") from None
    return (await job_views(context, caller, [job]))[0]


async def slices(context: Context, caller: Caller) -> list[wire.SliceView]:
    """Return every slice and who has it."""
    return views.slice_views(context.world)


async def status(context: Context, caller: Caller) -> wire.Status:
    """Return how the daemon is, and why it is not well."""
    world, health = context.world, context.health
    gates = (context.brain.read_only, world.reconciling, world.gpu_support)
    problems = [*health.problems(), *(text for text in gates if text)]
    words: dict[str, int] = {}
    for state in world.slices.values():
        word = views.slice_word(world, state)
        words[word] = words.get(word, 0) + 1
        if state.quarantine:
            problems.append(f"{state.slice.uuid} is quarantined: {state.quarantine}")
    return wire.Status(
        state="degraded" if problems else "healthy",
        problems=problems,
        version=__version__,
        api_version=wire.API_VERSION,
        pid=os.getpid(),
        store=world.store,
        socket=str(context.config.socket),
        state_dir=str(context.config.state_dir),
        docker=health.docker_version,
        driver=health.driver_version,
        gpus=len(world.gpus),
        slices=words,
        jobs=await context.committer.read(Reader.counts),
        started_at=context.started_at,
    )


def wait_timeout(text: str | None) -> float:
    """Return the seconds that a long poll may take, 30 at most."""
    try:
        return min(30.0, max(0.0, float(text if text is not None else 30.0)))
    except ValueError:
        raise UserError(f"timeout={text}: that is not a number of seconds") from None


def whole_number(query: Any, name: str) -> int | None:
    """Return a whole number of the query string, None where it is not there."""
    text = query.get(name)
    if text is None:
        return None
    if not text.isdigit() or len(text) > 20:
        raise UserError(f"{name}={text}: that is not a whole number")
    return int(text)
