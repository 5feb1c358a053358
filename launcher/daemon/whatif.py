"""What if: the queue, or only some jobs, replayed over layouts."""

from __future__ import annotations

import asyncio

from launcher import wire
from launcher.core.plan import Want
from launcher.daemon import convert, replaying, submit
from launcher.daemon.context import Context
from launcher.daemon.identity import Caller
from launcher.daemon.replaying import question_of

WHATIF_SECONDS = 240.0
_TURN = asyncio.Semaphore(1)


async def whatif(
    context: Context, caller: Caller, asked: wire.WhatIfRequest
) -> list[wire.Forecast]:
    """Replay the queue, or only these jobs, over layouts; the one that ends first is marked."""
    submitted = None
    if asked.jobs is not None:
        jobs = [job.without_contents() for job in asked.jobs]
        submitted = await submit.event_of(context, caller, wire.SubmitRequest(jobs=jobs))
    layouts = tuple(
        (each.text, tuple(Want(s.profile, s.count, s.start) for s in each.specs))
        for each in asked.layouts
    )
    question = question_of(
        context,
        history=asked.runtime == "history",
        history_of=None if caller.admin else caller.uid,  # run times of others are theirs to see
        submitted=submitted,
        layouts=layouts,
    )
    found = await replaying.ask(question, WHATIF_SECONDS, _TURN)
    best = min(found, key=lambda f: (len(f["never"]), f["makespan"]))  # of equals the first
    return [_forecast(caller, each, best=each is best) for each in found]


def _forecast(caller: Caller, found: dict[str, object], *, best: bool) -> wire.Forecast:
    """Return a forecast as the caller may see it: names of others' jobs are not his."""
    runs = found["runs"]
    assert isinstance(runs, list)
    for run in runs:
        if not (run.pop("uid") == caller.uid or caller.admin):
            run["name"] = None
    forecast: wire.Forecast = convert.adapter(wire.Forecast).validate_python(found | {"best": best})
    return forecast
