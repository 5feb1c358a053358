"""Why a job waits, which jobs are ahead, and when it may start."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence

from launcher import wire
from launcher.core.model.job import Job, State
from launcher.core.scheduling.blockers import Blocker
from launcher.core.scheduling.explain import Explainer, gates
from launcher.core.scheduling.holdback import limit_in
from launcher.core.scheduling.scheduler import gate
from launcher.daemon.api.handlers.context import AT_A_TIME, Context, array_of, several
from launcher.daemon.api.handlers.forecasts import simulation_client
from launcher.daemon.api.handlers.forecasts.simulation_client import question_of
from launcher.daemon.api.handlers.jobs import job_views
from launcher.daemon.api.views import job_views as views
from launcher.daemon.api.views.array_views import in_one_line
from launcher.daemon.loop import clock
from launcher.daemon.users.identity import Caller
from launcher.errors import LauncherError
from launcher.indices import ranges

MOST_AHEAD = 20


async def why(context: Context, caller: Caller, ref: str) -> wire.Why:
    """Return why a job waits, and when it may start.

    Of an array, that is the element that is served next; with how many elements are where.
    """
    jobs = await context.resolve(ref, caller)
    job, array = jobs[0], None
    if len(jobs) > 1:
        job, array = await _as_array(context, caller, ref, jobs)
    explainer = Explainer(context.world, clock.now())
    mine = caller.may_see(job.owner)
    waits = job.id in context.world.jobs and job.state is State.PENDING
    blockers = explainer.blockers(job) if waits else []
    position = explainer.position(job) if waits else None
    earliest = explainer.earliest(job) if waits else None
    front = explainer.in_front(job, MOST_AHEAD) if position is not None else []
    ahead = [_ahead(explainer, i) for i in _blocking_jobs(explainer, front, blockers)]
    view = (await job_views(context, caller, [job]))[0]
    memory = await _auto_memory(context, job) if mine else None
    start, basis = (
        await _estimate(context, job, caller.uid) if waits else (None, "it does not wait")
    )
    if start is not None and earliest is not None:  # the replay rounds, and began earlier
        start = max(start, explainer.now.wall + earliest)
    return wire.Why(
        job=view,
        position=position,
        gates=[
            _gate(name, blocked, mine=mine) for name, blocked in (gates(blockers) if waits else ())
        ],
        blockers=[views.blocker_view(b, mine=mine) for b in blockers],
        ahead=ahead,
        earliest_start=None if earliest is None else clock.rfc3339(explainer.now.wall + earliest),
        estimated_start=None if start is None else clock.rfc3339(start),
        estimate=basis,
        array=array,
        gpu_memory_auto_mib=memory,
    )


async def _auto_memory(context: Context, job: Job) -> int | None:
    """Return the GPU memory in MiB that was chosen for a job, None if its request names it."""
    spec = await context.spec(job.id) if job.need.kind == "memory" else None
    return spec.gpus.memory_mib if spec is not None and spec.gpus.memory_auto else None


def _rank(job: Job) -> tuple[int, int, int]:
    """Sort the elements of an array: what is served next, what waits, what runs, what is over."""
    waits = job.state is State.PENDING
    open_ = waits and not (job.waits_for or job.held)
    kind = 0 if open_ else 1 if waits else 2 if job.state is not State.DONE else 3
    return (kind, *job.order)


async def _as_array(
    context: Context, caller: Caller, ref: str, jobs: Sequence[Job]
) -> tuple[Job, wire.ArrayView]:
    """Return the element that is served next, and all elements in one line; counted in steps.

    Raises ``UserError`` for jobs that are not of one array.
    """
    array = array_of(jobs)
    if array is None:
        raise several(ref, jobs)
    counts, best = Counter[str](), jobs[0]
    indices: list[int] = []
    for first in range(0, len(jobs), AT_A_TIME):
        some = jobs[first : first + AT_A_TIME]
        counts.update(job.outcome.value if job.outcome else job.state.value for job in some)
        indices += [job.element.index for job in some if job.element is not None]
        best = min((best, *some), key=_rank)
        await asyncio.sleep(0)
    view = views.job_view(Explainer(context.world, clock.now()), best, caller, None)
    return best, in_one_line(array, view, ranges(indices), counts)


def _gate(name: str, blocked: Blocker | None, *, mine: bool) -> wire.Gate:
    if blocked is None:
        return wire.Gate(name=name, passed=True)
    return wire.Gate(name=name, passed=False, blocker=views.blocker_view(blocked, mine=mine))


def _blocking_jobs(
    explainer: Explainer, front: Iterable[Job], blockers: Iterable[Blocker]
) -> list[int]:
    """Return the jobs in front, in order, then those on the slices or those that must end first."""
    live, queue = explainer.world.jobs, explainer.world.queue
    others = (i for b in blockers for i in b.jobs if i in live and i not in queue)
    return list(dict.fromkeys([*(job.id for job in front), *others]))[: 2 * MOST_AHEAD]


def _ahead(explainer: Explainer, job_id: int) -> wire.Ahead:
    world, now = explainer.world, explainer.now
    job = world.jobs[job_id]
    until = None
    if job.id in world.attempts and job.time_limit is not None:
        until = clock.rfc3339(now.wall + limit_in(world, job, now))
    return wire.Ahead(
        id=job.id,
        user=job.owner.name,
        state=job.state.value,
        priority=job.priority,
        profile=views.profile_of(world, job),
        count=views.count_of(job.need),
        until=until,
        array=views.element_view(job.element, mine=False),
    )


async def _estimate(context: Context, job: Job, uid: int) -> tuple[float | None, str]:
    """Return when a job starts if every job takes its whole time limit, and the method."""
    if job.held is not None:
        return None, "it is held, without an end time"
    if (closed := gate(context.world, job.need, on_host=job.on_host)) is not None:
        return None, f"unknown how long {closed}"
    try:
        estimate = await simulation_client.estimate(question_of(context, jobs=(job.id,)), uid)
        start: float | None = json.loads(estimate).get(str(job.id))
    except LauncherError as error:
        return None, f"no estimate: {error.message}"
    if start is None:
        return None, "it never starts in a replay of the queue on the current layout"
    assumed = context.world.rules.assumed_time_limit
    return start, (
        "by a replay of the queue in which every job takes its whole time limit "
        f"({assumed / 3600:g} h if it has none)"
    )
