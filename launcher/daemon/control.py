"""Changing jobs that exist: cancel, hold, release, requeue, retry, edit, signal."""

from __future__ import annotations

import fnmatch
import signal as signals
from collections.abc import Callable

from launcher import wire
from launcher.core import event as ev
from launcher.core.job import Dependency, Job, Outcome, State
from launcher.daemon import convert
from launcher.daemon.context import Context
from launcher.daemon.handlers import job_views
from launcher.daemon.identity import Caller
from launcher.errors import NoSuchJob, StaleRequest, UserError
from launcher.store import Reader


async def cancel(context: Context, caller: Caller, ref: str) -> list[wire.JobView]:
    """Cancel every live job that a reference means; ended ones stay as they are."""
    jobs = await context.resolve(ref, caller)
    live = [job for job in jobs if job.state is not State.DONE]
    await context.brain.ask_each([ev.CancelAsked(job.id, caller.uid) for job in live], NoSuchJob)
    return await _now(context, caller, jobs)


async def cancel_all(
    context: Context, caller: Caller, asked: wire.SelectRequest
) -> list[wire.JobView]:
    """Cancel the caller's live jobs that are meant; an admin's word is for everybody's."""
    if asked.refs:
        jobs = [job for ref in asked.refs for job in await context.resolve(ref, caller)]
    else:
        jobs = list(context.world.jobs.values())
    user = caller.owner.name if asked.user == "me" else asked.user
    state = (asked.state or "").upper()
    meant = [
        job
        for job in {job.id: job for job in jobs}.values()
        if caller.may_see(job.owner)
        and job.state is not State.DONE
        and user in (None, job.owner.name)
        and state in ("", job.state.value)
        and fnmatch.fnmatchcase(job.name, asked.name or "*")
    ]
    await context.brain.ask_each([ev.CancelAsked(j.id, caller.uid) for j in meant], NoSuchJob)
    return await job_views(context, caller, [await context.find(j.id) or j for j in meant])


async def hold(context: Context, caller: Caller, ref: str) -> list[wire.JobView]:
    """Keep the pending jobs that a reference means from starting."""
    return await _each(context, caller, ref, lambda job: ev.HoldAsked(job, caller.uid))


async def release(context: Context, caller: Caller, ref: str) -> list[wire.JobView]:
    """Let the held jobs that a reference means go."""
    return await _each(context, caller, ref, lambda job: ev.ReleaseAsked(job, caller.uid))


async def requeue(context: Context, caller: Caller, ref: str) -> list[wire.JobView]:
    """Stop the running jobs that a reference means, and queue them again."""
    return await _each(context, caller, ref, lambda job: ev.RequeueAsked(job, caller.uid))


async def edit(
    context: Context, caller: Caller, ref: str, asked: wire.EditRequest
) -> list[wire.JobView]:
    """Change the pending jobs that a reference means, or the time limit of running ones."""
    need = None if asked.gpus is None else convert.core_need(asked.gpus)

    def event(job: int) -> ev.Event:
        return ev.EditAsked(
            job, caller.owner, caller.admin, asked.priority, asked.time_limit, need, asked.hold
        )

    return await _each(context, caller, ref, event)


async def _each(
    context: Context, caller: Caller, ref: str, event: Callable[[int], ev.Event]
) -> list[wire.JobView]:
    """Ask one event of each job that a reference means; of several, those that cannot are left."""
    jobs = await context.resolve(ref, caller)
    passed_over = (StaleRequest, NoSuchJob) if len(jobs) > 1 else ()
    await context.brain.ask_each([event(job.id) for job in jobs], *passed_over)
    return await _now(context, caller, jobs)


async def _now(context: Context, caller: Caller, jobs: list[Job]) -> list[wire.JobView]:
    return await job_views(context, caller, [await context.find(j.id) or j for j in jobs])


async def retry(context: Context, caller: Caller, ref: str, *, failed: bool) -> list[wire.JobView]:
    """Queue the ended jobs that a reference means again; with ``failed`` those that failed."""
    jobs = [job for job in await context.resolve(ref, caller) if job.state is State.DONE]
    if failed:
        jobs = [job for job in jobs if job.outcome is not Outcome.COMPLETED]
    if not jobs:
        what = "failed" if failed else "ended"
        raise StaleRequest(f"none of {ref} has {what}: there is nothing to retry")
    events = [await _retry(context, caller, job) for job in jobs]
    await context.brain.ask_each(events, *([StaleRequest] if len(jobs) > 1 else []))
    return await _now(context, caller, jobs)


async def _retry(context: Context, caller: Caller, job: Job) -> ev.RetryAsked:
    array = None
    if job.element is not None and job.element.array not in context.world.arrays:
        array = await context.committer.read(Reader.array, job.element.array)
    after = tuple([(d, await _end(context, d)) for d in job.waits_for])
    return ev.RetryAsked(job, caller.uid, array, after)


async def _end(context: Context, dependency: Dependency) -> Outcome | None:
    found = await context.find(dependency.job)
    if found is not None:
        return found.outcome
    array = await context.committer.read(Reader.array, dependency.job)
    return None if array is None else array.outcome


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
