"""The handlers of the API for jobs: read a request, call the event loop, return a view."""

from __future__ import annotations

import asyncio
import bisect
import dataclasses
import heapq
import itertools
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from launcher import __version__, wire
from launcher.core.model.job import Job, State
from launcher.core.model.measurement import Measurement
from launcher.core.policy.policy import PolicyInput
from launcher.core.policy.sandbox import confinement
from launcher.core.scheduling.explain import Explainer
from launcher.core.scheduling.memory_share import memory_for, memory_with
from launcher.core.scheduling.scheduler import QueueWalk
from launcher.daemon.access.terminals import TerminalPlace
from launcher.daemon.api.handlers.context import AT_A_TIME, Context
from launcher.daemon.api.views import job_views as views
from launcher.daemon.api.views.array_views import array_view
from launcher.daemon.api.views.event_views import failure_view
from launcher.daemon.api.views.slice_use import with_use
from launcher.daemon.loop import clock, loop_lag
from launcher.daemon.requests.array_elements import Commands
from launcher.daemon.requests.selection import Selection, selection
from launcher.daemon.users.identity import Caller
from launcher.errors import Unavailable
from launcher.output.log_file import path_of
from launcher.output.search import totals_of
from launcher.spec.notify import shown_url
from launcher.store import Reader, notifications

MOST_LOGS_LOOKED_AT = 20
COMMANDS_AT_A_TIME = 4
"""This many commands are built before other requests get a turn: a template may be long."""


async def list_jobs(
    context: Context,
    caller: Caller,
    *,
    with_ended: bool,
    refs: Sequence[str],
    after: int | None,
    most: int | None,
    user: str | None = None,
    state: str | None = None,
    name: str | None = None,
) -> AsyncIterator[list[wire.JobView]]:
    """Return the jobs that ``ps`` lists, in steps: the live, the named, or all.

    Only jobs with higher ids than ``after`` that pass the filters are listed, at most ``most``.
    Outcomes in ``state`` include ended jobs.
    """
    chosen = selection(caller, user, state, name)
    everything = with_ended or chosen.means_ended
    pages = _pages(context, caller, refs, everything, after or 0, chosen)
    return _listed(context, caller, pages, most)


async def _listed(
    context: Context, caller: Caller, pages: AsyncIterator[list[Job]], left: int | None
) -> AsyncIterator[list[wire.JobView]]:
    async for page in pages:
        yield await job_views(context, caller, page[:left])
        if left is not None:
            left -= len(page)
            if left <= 0:
                return


async def _pages(
    context: Context,
    caller: Caller,
    refs: Sequence[str],
    everything: bool,
    after: int,
    chosen: Selection,
) -> AsyncIterator[list[Job]]:
    """Yield the jobs of a list, a page at a time, without those that do not pass."""
    if everything and not refs:
        while stored := await context.committer.read(Reader.jobs_after, after, AT_A_TIME):
            if page := await chosen.of(context.latest(stored)):
                yield page
            after = stored[-1].id
        return
    if refs:
        jobs = [job for job in await context.resolve_all(refs, caller) if job.id > after]
        for first in range(0, len(jobs), AT_A_TIME):
            if page := await chosen.of(context.latest(jobs[first : first + AT_A_TIME])):
                yield page
        return
    live = context.world.jobs
    ids = sorted(live)  # ids are in order but for those of jobs that were queued again
    for first in range(bisect.bisect_right(ids, after), len(ids), AT_A_TIME):
        here = [live[i] for i in ids[first : first + AT_A_TIME] if i in live]
        hides = chosen.states is None
        shown = [job for job in here if not (hides and job.state is State.COMPLETING)]
        if page := await chosen.of(shown):
            yield page


async def head(context: Context, caller: Caller, *, most: int) -> wire.QueueHead:
    """Return the running and the first waiting jobs, in the order in which they are served.

    The elements of an array are one line.
    """
    world = context.world
    explainer = Explainer(world, clock.now())
    active = [world.jobs[i] for i in sorted(world.attempts)]  # all other jobs are pending
    running = [j for j in active if j.state in (State.STARTING, State.RUNNING)]
    waiting = len(world.jobs) - sum(j.state is not State.PENDING for j in active)
    single = [job for job in running if job.element is None]
    first = waiting_alone(explainer, most)
    shown = await job_views(context, caller, [*single[:most], *first])
    here = (
        array for array in world.arrays.values() if array.live
    )  # an array may be in the middle of a submit
    some = list(itertools.islice(here, most))
    arrays = [array_view(explainer, array, caller) for array in some]
    return wire.QueueHead(jobs=shown, waiting=waiting, running=len(running), arrays=arrays)


def waiting_alone(explainer: Explainer, most: int) -> list[Job]:
    """Return the first waiting jobs that are not array elements, without reading the others.

    Those in the queue in its order, then those outside it, by priority and age.
    """
    jobs = explainer.world.jobs
    first = QueueWalk(explainer.world, explainer.now).first(most, lambda i: jobs[i].element is None)
    outside = (jobs[i] for i in explainer.world.aside)
    waiting = (job for job in outside if job.state is State.PENDING)
    return [*first, *itertools.islice(waiting, most - len(first))]


async def waiting_first(explainer: Explainer, most: int) -> list[Job]:
    """Return the first waiting jobs: those in the queue in its order, then the others by age.

    The others are read in steps, because users may hold many.
    """
    jobs, queue = explainer.world.jobs, explainer.world.queue
    first = QueueWalk(explainer.world, explainer.now).first(most, lambda _: True)
    if len(first) < most:  # the others are held back, or wait for their image
        others: list[tuple[int, int]] = []
        everyone = tuple(jobs.values())
        for start in range(0, len(everyone), AT_A_TIME):
            some = (
                (-job.priority, job.id)
                for job in everyone[start : start + AT_A_TIME]
                if job.state is State.PENDING and job.id not in queue
            )
            others = heapq.nsmallest(most - len(first), itertools.chain(others, some))
            await asyncio.sleep(0)
        shown = {job.id for job in first}
        first += [jobs[i] for _, i in others if i in jobs and i not in shown]
    return first


async def job_views(context: Context, caller: Caller, jobs: Sequence[Job]) -> list[wire.JobView]:
    """Return the views of jobs, with the commands that the caller may see."""
    shown: list[wire.JobView] = []
    for first in range(0, len(jobs), AT_A_TIME):
        page = jobs[first : first + AT_A_TIME]
        commands = await _commands(context, [job.id for job in page if caller.may_see(job.owner)])
        explainer = Explainer(context.world, clock.now())
        shown += [views.job_view(explainer, job, caller, commands.get(job.id)) for job in page]
        await asyncio.sleep(0)  # a long list must not block other requests
    return shown


async def _commands(context: Context, job_ids: Sequence[int]) -> dict[int, list[str] | None]:
    """Return the commands of jobs by their ids, at the length that a list shows."""
    stored = await context.committer.read(Reader.commands, job_ids)
    commands, result = Commands(), dict[int, list[str] | None]()
    for number, (job_id, command) in enumerate(stored.items()):
        result[job_id] = views.cut(commands.head(command, views.COMMAND_CHARACTERS))
        if number % COMMANDS_AT_A_TIME == 0:
            await asyncio.sleep(0)
    return result


async def show(context: Context, caller: Caller, ref: str) -> wire.JobDetail:
    """Return a job with its spec, attempts, history and the reasons why it waits."""
    job = await context.one_job(ref, caller)
    mine = caller.may_see(job.owner)
    spec = await context.spec(job.id) if mine else None
    attempts = await context.committer.read(Reader.attempts, job.id) if mine else []
    sizes = await context.committer.read(Reader.slice_memory, job.id) if mine else {}
    history = await context.committer.read(Reader.history, job.id) if mine else []
    shown = [a.number for a in attempts[-MOST_LOGS_LOOKED_AT:]]
    gaps = await context.users.run(job.owner.uid, _output_gaps, context, job.id, shown)
    so_far = await _measured_so_far(context, job) if mine else {}
    explainer = Explainer(context.world, clock.now())
    why = explainer.blockers(job) if job.id in context.world.jobs else []
    return wire.JobDetail(
        job=views.job_view(explainer, job, caller, spec.command if spec else None),
        spec=None if spec is None else shown_spec(spec, job, caller),
        image_id=job.image_id if mine and not job.on_host else None,
        blockers=[views.blocker_view(b, mine=mine) for b in why],
        position=explainer.position(job),
        attempts=[
            views.attempt_view(
                a, gaps.get(a.number), so_far.get(a.number, a.measured), sizes.get(a.number)
            )
            for a in attempts
        ],
        events=[wire.EventView(at=clock.rfc3339(at), event=e, detail=d) for at, e, d in history],
        limits=await _limits(context, caller, job, spec) if spec else None,
        policy_version=job.policy_version if mine else None,
        terminal=await _terminal(context, caller, job) if mine else None,
        advice=await context.adviser.on_job(job) if mine else [],
        not_sent=await _not_sent(context, job) if mine else [],
    )


async def _not_sent(context: Context, job: Job) -> list[wire.NotifyFailureView]:
    """Return the notifications of a job and of its array that could not be sent."""
    ids = [job.id, *([job.element.array] if job.element is not None else [])]
    found = await context.committer.read(notifications.failures_of_job, ids)
    return [failure_view(each) for each in found]


async def _measured_so_far(context: Context, job: Job) -> dict[int, Measurement]:
    """Return what a running attempt has used so far, by its number; nothing if none runs."""
    attempt = context.world.attempts.get(job.id)
    if attempt is None or job.state is not State.RUNNING:
        return {}
    helper = None if context.host is None else context.host.helper
    so_far = context.measuring.so_far
    return {attempt.number: await context.users.run(job.owner.uid, so_far, attempt, helper)}


async def _terminal(context: Context, caller: Caller, job: Job) -> wire.TerminalView | None:
    """Return who is attached to a running interactive job."""
    attempt = context.world.attempts.get(job.id)
    if not job.interactive or job.state is not State.RUNNING or context.terminals is None:
        return None
    place = TerminalPlace.of(job, attempt.container_name if attempt else None)
    session = await context.users.run(caller.uid, context.terminals.clients, place)
    if session is None:
        return None
    writes, clients, idle = session
    limit = context.world.rules.interactive.idle
    return wire.TerminalView(writes=writes, clients=clients, idle=idle, limit=limit)


def _output_gaps(context: Context, job: int, attempts: Sequence[int]) -> dict[int, int]:
    """Return the number of gaps in the log of each of these attempts. Blocks on the disk."""
    return {
        number: totals_of(path_of(context.log_directory, job, number)).notes for number in attempts
    }


def shown_spec(spec: wire.JobSpec, job: Job, caller: Caller) -> wire.JobSpec:
    """Return the job's request as the caller may see it: of secrets only the names."""
    named = spec.without_contents()
    return named if caller.uid == job.owner.uid else _masked(named)


def _masked(spec: wire.JobSpec) -> wire.JobSpec:
    notify = spec.notify and tuple(
        dataclasses.replace(each, webhook=each.webhook and shown_url(each.webhook))
        for each in spec.notify
    )
    hidden = dict.fromkeys(spec.environment, "***")
    return dataclasses.replace(spec, environment=hidden, notify=notify)


async def _limits(
    context: Context, caller: Caller, job: Job, spec: wire.JobSpec
) -> wire.LimitsView | None:
    """Return the policy's limits of a live job; for a waiting job, the guaranteed ones.

    None for an ended job, and while its owner's groups are unknown.
    """
    try:
        request = await policy_input(context, caller, job, spec)
    except Unavailable:
        return None
    if job.id not in context.world.jobs:
        return None
    limits = confinement(request)
    return wire.LimitsView(memory=limits.memory, pids=limits.pids, nofile=limits.nofile)


async def policy_input(
    context: Context, caller: Caller, job: Job, spec: wire.JobSpec
) -> PolicyInput:
    """Return the policy's input for a job; without slices its memory is the guaranteed one.

    Raises ``Unavailable`` while its owner's groups are unknown.
    """
    rules = context.world.rules.policy
    person = await context.accounts.person(caller.uid, job.owner, rules.groups)
    world = context.world
    leased = [lease.slice for lease in world.leases.get(job.id, ())]
    if leased or job.state not in (State.PENDING, State.DONE):
        memory = memory_with(world, leased, spec.cpus)
    else:
        memory = memory_for(world, job.need, spec.cpus)
    return PolicyInput(spec, person, rules, memory)


async def slices(context: Context, caller: Caller) -> list[wire.SliceView]:
    """Return every slice, its user, and the use of its memory."""
    shown = views.slice_views(context.world)
    return with_use(shown, context.world, caller, context.measuring.sampler.of)


async def status(context: Context, caller: Caller) -> wire.Status:
    """Return the daemon's state, and its problems."""
    await context.watch_notifications()
    world, health, problems = context.world, context.health, problems_of(context)
    counts = Counter(views.slice_word(world, state) for state in world.slices.values())
    lasted, computed = loop_lag.present().largest()
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
        fake_gpu=health.fake_gpu,
        slices=counts,
        jobs=await context.counts.now(world),
        started_at=context.started_at,
        loop_lag=round(lasted, 6),
        loop_step=round(computed, 6),
        shell_image=world.rules.interactive.image,
    )


def problems_of(context: Context) -> list[str]:
    """Return the daemon's current problems, a sentence each."""
    world = context.world
    gates = (context.event_loop.read_only, world.reconciling, world.draining, world.gpu_support)
    problems = [*context.health.problems(), *(text for text in gates if text)]
    if (waits := context.notify_watch.problem()) is not None:
        problems.append(waits)
    for state in world.slices.values():
        if state.lost and state.lease is not None:
            problems.append(
                f"job {world.ref(state.lease.job)} has {state.slice.uuid}, which {state.unusable}"
            )
        if state.quarantine:
            problems.append(f"{state.slice.uuid} is quarantined: {state.quarantine}")
    return problems


async def audit(
    context: Context, caller: Caller, *, user: str | None, since: int | None, most: int
) -> list[wire.AuditView]:
    """Return the last lines of the audit log, newest last; ``since`` is in seconds before now."""
    earliest = 0.0 if since is None else clock.now().wall - since
    lines = await context.committer.read(Reader.audit, user, earliest, most)
    in_order = sorted(lines, key=lambda line: line.until)  # some are written late
    return [views.audit_view(line) for line in in_order]
