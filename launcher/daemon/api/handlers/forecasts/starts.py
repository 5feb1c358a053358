"""When the first waiting jobs are likely to start: one replay of the queue for all callers."""

from __future__ import annotations

import json

from launcher import wire
from launcher.core.scheduling.explain import Explainer
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.handlers.forecasts import simulation_client
from launcher.daemon.api.handlers.forecasts.simulation_client import question_of
from launcher.daemon.api.handlers.jobs import waiting_alone
from launcher.daemon.loop import clock
from launcher.daemon.users.identity import Caller

MOST_JOBS = 100
"""The first waiting jobs whose starts are estimated; the elements of arrays are not among them."""
REPLAY_SECONDS = 8.0
"""Limit of one replay, in a process of its own; starts that it has not reached are unknown."""


async def starts(context: Context, caller: Caller) -> wire.QueueStarts:
    """Return when the first waiting jobs are likely to start, if all take their time limits."""

    async def estimate() -> wire.QueueStarts:
        return await _estimate(context, caller.uid)

    return await context.starts.read(estimate)


async def _estimate(context: Context, uid: int) -> wire.QueueStarts:
    explainer = Explainer(context.world, clock.now())
    first = [job.id for job in waiting_alone(explainer, MOST_JOBS) if job.held is None]
    found: dict[str, float] = {}
    if first:
        question = question_of(context, jobs=tuple(first), seconds=REPLAY_SECONDS)
        found = json.loads(await simulation_client.estimate(question, uid))
    return wire.QueueStarts(
        at=clock.rfc3339(explainer.now.wall),
        starts={job: clock.rfc3339(start) for job, start in found.items()},
    )
