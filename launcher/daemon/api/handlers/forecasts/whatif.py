"""What-ifs: the queue, or only some jobs, replayed over layouts."""

from __future__ import annotations

from launcher import wire
from launcher.core.model.layout_change import Want
from launcher.daemon.api.handlers import submit
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.handlers.forecasts import simulation_client
from launcher.daemon.api.handlers.forecasts.simulation_client import question_of
from launcher.daemon.requests.auto_memory import with_memory
from launcher.daemon.users.identity import Caller


async def whatif(context: Context, caller: Caller, request: wire.WhatIfRequest) -> bytes:
    """Replay the queue, or only these jobs, over layouts; mark the one that ends first.

    Returns the forecasts as JSON, which may be long and is only passed on.
    """
    context.limiter.jobs(caller, submit.count_of(request.jobs or ()), dry_run=True)
    submitted = None
    if request.jobs is not None:
        named = [job.without_contents() for job in request.jobs]
        jobs, _ = await with_memory(context.committer, caller.uid, named)
        submitted = await submit.event_of(context, caller, wire.SubmitRequest(jobs=jobs))
    layouts = tuple(
        (layout.text, tuple(Want(s.profile, s.count, s.start) for s in layout.specs))
        for layout in request.layouts
    )
    question = question_of(
        context,
        history=request.runtime == "history",
        seen_by=None if caller.admin else caller.uid,
        submitted=submitted,
        layouts=layouts,
    )
    return await simulation_client.whatif(question, caller.uid, admin=caller.admin)
