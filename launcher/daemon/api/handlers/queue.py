"""The queue in its order, with the numbers behind it."""

from __future__ import annotations

import asyncio

from launcher import wire
from launcher.core.model.job import Job
from launcher.core.scheduling.explain import Explainer
from launcher.core.scheduling.fairshare import FairShareOrder
from launcher.daemon.api.handlers.context import AT_A_TIME, Context
from launcher.daemon.api.handlers.jobs import waiting_first
from launcher.daemon.api.views import job_views
from launcher.daemon.loop import clock
from launcher.daemon.users.identity import Caller

GIB_HOUR = 3600.0


async def order(context: Context, caller: Caller, *, most: int) -> list[wire.QueueEntry]:
    """Return the first waiting jobs in the order in which they will be served."""
    world = context.world
    explainer = Explainer(world, clock.now())
    standing = explainer.walk.standing
    entries: list[wire.QueueEntry] = []
    first = await waiting_first(explainer, most)
    for place, job in enumerate(first, start=1):
        if place % AT_A_TIME == 0:
            await asyncio.sleep(0)
            explainer = Explainer(context.world, clock.now())
        view = job_views.job_view(explainer, job, caller, None)
        position = place if job.id in world.queue else None
        entries.append(_entry(context, standing, view, job, position))
    return entries


def _entry(
    context: Context, standing: FairShareOrder, view: wire.JobView, job: Job, position: int | None
) -> wire.QueueEntry:
    rules = context.world.rules.fair_share
    return wire.QueueEntry(
        position=position,
        id=job.id,
        name=view.name,
        user=view.user,
        priority=job.priority,
        use=standing.use(job.owner.uid) / GIB_HOUR,
        share=rules.shares.get(job.owner.name, 1.0),
        profile=view.profile,
        count=view.count,
        time_limit=job.time_limit,
        submitted_at=view.submitted_at,
        reason=view.reason,
        array=view.array,
    )
