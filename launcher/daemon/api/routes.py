"""The API as one table, for the router, the access check and the OpenAPI document."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Any, cast

from aiohttp import web

from launcher import wire
from launcher.core.messages import events as ev
from launcher.core.model.job import Job
from launcher.daemon import doctor
from launcher.daemon.api import (
    accounting_routes,
    disk_routes,
    docker_routes,
    event_routes,
    history_routes,
    image_routes,
    layout_routes,
    metrics_routes,
    notify_routes,
    terminal_routes,
    web_routes,
)
from launcher.daemon.api.handlers import (
    arrays,
    control,
    images,
    jobs,
    login,
    queue,
    reservations,
    streams,
    submit,
)
from launcher.daemon.api.handlers.context import Context, must_own
from launcher.daemon.api.handlers.forecasts import starts, whatif, why
from launcher.daemon.api.http import request_bodies
from launcher.daemon.api.query_params import RESUMED, TIMEOUT, flag, number, page_size, text, texts
from launcher.daemon.api.route import NOTICE, Access, Route, get, post
from launcher.daemon.users.identity import Caller
from launcher.errors import NoSuchJob, UserError
from launcher.wire import Frame


async def _submit(context: Context, caller: Caller, request: web.Request) -> Any:
    body = await request_bodies.submit_request(await request.read())
    context.limiter.jobs(caller, submit.count_of(body.jobs), dry_run=body.dry_run)
    warning = context.log_use.warning(caller.owner, admin=caller.admin)
    groups = await submit.groups_notice(context, caller, body.jobs)
    notices = [text for text in (warning, groups) if text is not None]
    reply = await submit.submit(context, caller, body, notices)
    if notices:
        request[NOTICE] = "; ".join(notices)
    return reply


async def _wait(context: Context, caller: Caller, ref: str, *, seconds: float) -> wire.JobView:
    job = await streams.wait_for_outcome(context, await context.one_job(ref, caller), seconds)
    return (await jobs.job_views(context, caller, [job]))[0]


async def _own(context: Context, caller: Caller, ref: str) -> Job:
    job = await context.one_job(ref, caller)
    must_own(job, caller)
    return job


async def _logs(
    context: Context,
    caller: Caller,
    ref: str,
    *,
    attempt: int | None,
    follow: bool,
    tail: int | None,
    since_ns: int | None,
    **resumed: Any,
) -> AsyncIterator[list[Frame]]:
    job = await _own(context, caller, ref)
    spec = await context.spec(job.id) if job.on_host else None
    if spec is not None and spec.foreground:
        raise UserError(
            f"job {job.ref} ran in the foreground of its client, which has its output: "
            "it has no log"
        )
    if attempt is not None and not 0 < attempt <= job.attempt:
        raise NoSuchJob(f"job {job.ref} has no attempt {attempt}; it had {job.attempt}")
    resume = _resume(job, **resumed)
    query = streams.LogQuery(attempt, follow=follow, tail=tail, since_ns=since_ns, resume=resume)
    return streams.log_frames(context, job, query)


async def _follow(
    context: Context, caller: Caller, ref: str, *, events: bool, **resumed: Any
) -> AsyncIterator[list[Frame]]:
    job = await _own(context, caller, ref)
    resume = _resume(job, **resumed)
    return streams.follow_frames(context, job, caller, resume, output=not events)


def _resume(
    job: Job, position: tuple[int, int, int] | None, skip: int | None
) -> streams.Resume | None:
    if position is None:
        return None
    resume = streams.Resume(*position, skip=skip or 0)
    if not 0 < resume.attempt <= job.attempt:
        raise UserError(f"job {job.ref} has no attempt {resume.attempt}; it had {job.attempt}")
    return resume


async def _stop(context: Context, caller: Caller, *, drain: bool) -> wire.Status:
    if drain:
        await context.event_loop.request(ev.DaemonDrained())
        return await jobs.status(context, caller)
    reply = await jobs.status(context, caller)
    context.stop.set()
    return reply


async def _openapi(context: Context, caller: Caller) -> dict[str, Any]:
    return cast(dict[str, Any], await context.users.run(caller.uid, _document))


@functools.cache
def _document() -> dict[str, Any]:
    """Return the OpenAPI document, built once because it takes a fifth of a second."""
    from launcher.daemon.api.openapi import document

    return document(ROUTES)


AFTER = number("after", "Only those with a higher id: the last one of the page before.")
PART = text("part", f"Only these elements: {', '.join(wire.ARRAY_PARTS)}.")
ALL = flag("all", "Jobs that have ended as well.", "with_ended")
LOG = (
    number("attempt", "Which attempt, from 1; without it the last one."),
    flag("follow", "Stay until the attempt has ended."),
    number("tail", "Only so many of the last lines."),
    number("since_ns", "Begin near the output of this time (nanoseconds since 1970)."),
)
EVENTS = flag("events", "The changes alone, without output.")
DRAIN = flag("drain", "Start nothing more, and stay until nothing runs.")
MOST = number("most", "How many at most.")
NOW = flag("now", "Kill running jobs without their grace period.", "at_once")
FILTERS = (
    text("user", "Only this user's: a name, a uid, or me."),
    text("state", "Only those in these states, or with these outcomes: pending,failed."),
    text("name", "Only those whose names match this pattern with * and ?."),
)
SINCE = number("since", "The last known count: wait for another one. Without it: reply at once.")
REFS = texts("ref", "The jobs that are meant.", "refs")

ADMIN, OWNER = Access.ADMIN, Access.OWNER
CHECKS, JOBS = list[wire.Check], list[wire.JobView]
RESERVATION, RESERVATIONS = wire.ReservationView, list[wire.ReservationView]

ROUTES: tuple[Route, ...] = (
    *accounting_routes.ROUTES,
    *disk_routes.ROUTES,
    *docker_routes.ROUTES,
    *event_routes.ROUTES,
    *history_routes.ROUTES,
    *image_routes.ROUTES,
    *layout_routes.ROUTES,
    *metrics_routes.ROUTES,
    *notify_routes.ROUTES,
    *terminal_routes.ROUTES,
    *web_routes.ROUTES,
    get("/v1/status", jobs.status, wire.Status),
    get("/v1/doctor", doctor.checks, CHECKS, costly=True),
    post("/v1/doctor/fix", doctor.fix, None, CHECKS, access=ADMIN),
    post("/v1/stop", _stop, None, wire.Status, DRAIN, access=ADMIN),
    get("/v1/slices", jobs.slices, list[wire.SliceView]),
    get("/v1/changes/wait", streams.wait_for_change, wire.ChangeCount, SINCE, TIMEOUT),
    get("/v1/jobs", jobs.list_jobs, JOBS, ALL, REFS, AFTER, MOST, *FILTERS, costly=True),
    post(
        "/v1/jobs", _submit, wire.SubmitRequest, JOBS, status=201, costly=True, large=True, raw=True
    ),
    get("/v1/queue/head", jobs.head, wire.QueueHead, page_size(50, 1000), costly=True),
    get("/v1/queue", queue.order, list[wire.QueueEntry], page_size(50, 100_000), costly=True),
    get("/v1/queue/starts", starts.starts, wire.QueueStarts),
    post(
        "/v1/whatif",
        whatif.whatif,
        wire.WhatIfRequest,
        list[wire.Forecast],
        costly=True,
        large=True,
    ),
    get("/v1/reservations", reservations.show, RESERVATIONS),
    post(
        "/v1/reservations",
        reservations.reserve,
        wire.ReserveRequest,
        RESERVATION,
        access=ADMIN,
        status=201,
    ),
    post(
        "/v1/reservations/{name}/cancel", reservations.unreserve, None, RESERVATIONS, access=ADMIN
    ),
    post("/v1/jobs/cancel", control.cancel_all, wire.SelectRequest, JOBS, costly=True),
    post("/v1/jobs/retry", control.retry, wire.RetryJobs, JOBS, costly=True),
    get("/v1/jobs/{ref}/why", why.why, wire.Why, costly=True),
    get("/v1/jobs/{ref}", jobs.show, wire.JobDetail),
    get("/v1/jobs/{ref}/wait", _wait, wire.JobView, TIMEOUT),
    get("/v1/jobs/{ref}/array", arrays.page, wire.ArrayPage, PART, AFTER, page_size(50, 1000)),
    post("/v1/jobs/{ref}/cancel", control.cancel, None, JOBS, NOW, access=OWNER),
    post("/v1/jobs/{ref}/hold", control.hold, None, JOBS, access=OWNER),
    post("/v1/jobs/{ref}/release", control.release, None, JOBS, access=OWNER),
    post("/v1/jobs/{ref}/requeue", control.requeue, None, JOBS, access=OWNER),
    post("/v1/jobs/{ref}/edit", control.edit, wire.EditRequest, JOBS, access=OWNER),
    post(
        "/v1/jobs/{ref}/signal", control.send_signal, wire.SignalRequest, wire.JobView, access=OWNER
    ),
    get("/v1/jobs/{ref}/logs", _logs, None, *LOG, *RESUMED, access=OWNER),
    get("/v1/jobs/{ref}/follow", _follow, None, EVENTS, *RESUMED, access=OWNER),
    get("/v1/images", images.local, list[wire.LocalImageView], access=Access.USER, costly=True),
    post(
        "/v1/images/publish",
        images.publish,
        wire.PublishRequest,
        list[wire.ImageView],
        access=ADMIN,
    ),
    post("/v1/login", login.login, wire.LoginRequest, wire.LoginReply),
    get("/v1/openapi.json", _openapi, dict[str, Any]),
)
