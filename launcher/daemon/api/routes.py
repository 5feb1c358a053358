"""The API as one table: the router, the access check and the OpenAPI document all come from it."""

from __future__ import annotations

import functools
from typing import Any

from aiohttp import web

from launcher import wire
from launcher.core.messages import events as ev
from launcher.core.model.job import Job
from launcher.daemon import doctor
from launcher.daemon.api import history_routes, layout_routes, query_params
from launcher.daemon.api.handlers import (
    control,
    images,
    jobs,
    login,
    queue,
    reservations,
    streams,
    submit,
    whatif,
    why,
)
from launcher.daemon.api.handlers.context import Context, must_own
from launcher.daemon.api.http import request_bodies
from launcher.daemon.api.query_params import PAGE_SIZE, RESUMED, TIMEOUT, flag, is_set, number, text
from launcher.daemon.api.route import NOTICE, Access, Route
from launcher.daemon.requests import convert
from launcher.daemon.users.identity import Caller
from launcher.errors import NoSuchJob, UserError


async def _submit(context: Context, caller: Caller, request: web.Request) -> Any:
    asked = await request_bodies.submit_request(await request.read())
    context.limiter.jobs(caller, submit.count_of(asked.jobs), dry_run=asked.dry_run)
    warning = context.log_use.warning(caller.owner, admin=caller.admin)
    if warning is not None:
        request[NOTICE] = warning
    return await submit.submit(context, caller, asked)


async def _list(context: Context, caller: Caller, request: web.Request) -> Any:
    refs, query = request.query.getall("ref", []), request.query
    after = query_params.whole_number(query, "after") or 0
    cursor = jobs.PageCursor(after, query_params.whole_number(query, "most"))
    return jobs.list_jobs(context, caller, refs, is_set(query, "all"), cursor)


async def _head(context: Context, caller: Caller, request: web.Request) -> Any:
    most = query_params.whole_number(request.query, "most") or 50
    return await jobs.head(context, caller, min(most, 1000))


async def _cancel(context: Context, caller: Caller, request: web.Request) -> Any:
    at_once = query_params.is_set(request.query, "now")
    return await control.cancel(context, caller, request.match_info["ref"], at_once=at_once)


async def _queue(context: Context, caller: Caller, request: web.Request) -> Any:
    most = query_params.whole_number(request.query, "most") or 50
    return await queue.order(context, caller, min(most, 100_000))


async def _whatif(context: Context, caller: Caller, request: web.Request) -> Any:
    asked = convert.parse(wire.WhatIfRequest, await request.read())
    context.limiter.jobs(caller, submit.count_of(asked.jobs or ()), dry_run=True)
    return await whatif.whatif(context, caller, asked)


async def _reservations(context: Context, caller: Caller, request: web.Request) -> Any:
    return await reservations.show(context)


async def _unreserve(context: Context, caller: Caller, request: web.Request) -> Any:
    return await reservations.unreserve(context, request.match_info["name"])


async def _wait(context: Context, caller: Caller, request: web.Request) -> Any:
    seconds = query_params.wait_timeout(request.query)
    job = await streams.wait_for_outcome(context, await _one(context, caller, request), seconds)
    return (await jobs.job_views(context, caller, [job]))[0]


async def _one(context: Context, caller: Caller, request: web.Request) -> Job:
    return await context.one(request.match_info["ref"], caller)


async def _own(context: Context, caller: Caller, request: web.Request) -> Job:
    job = await _one(context, caller, request)
    must_own(job, caller)
    return job


async def _logs(context: Context, caller: Caller, request: web.Request) -> Any:
    job = await _own(context, caller, request)
    spec = await context.spec(job.id) if job.on_host else None
    if spec is not None and spec.foreground:
        raise UserError(
            f"job {job.id} ran in the foreground of its client, which has its output: there is no "
            "log of it"
        )
    attempt = query_params.whole_number(request.query, "attempt")
    if attempt is not None and not 0 < attempt <= job.attempt:
        raise NoSuchJob(f"job {job.id} has no attempt {attempt}; it had {job.attempt}")
    query = streams.LogQuery(
        attempt,
        follow=is_set(request.query, "follow"),
        tail=query_params.whole_number(request.query, "tail"),
        since_ns=query_params.whole_number(request.query, "since_ns"),
        resume=_resume(request, job),
    )
    return streams.log_frames(context, job, query)


async def _follow(context: Context, caller: Caller, request: web.Request) -> Any:
    job = await _own(context, caller, request)
    return streams.follow_frames(context, job, caller, _resume(request, job))


def _resume(request: web.Request, job: Job) -> streams.Resume | None:
    position = query_params.log_position(request.query)
    skip = query_params.whole_number(request.query, "skip") or 0
    if position is None:
        return None
    resume = streams.Resume(*position, skip=skip)
    if not 0 < resume.attempt <= job.attempt:
        raise UserError(f"job {job.id} has no attempt {resume.attempt}; it had {job.attempt}")
    return resume


async def _doctor(context: Context, caller: Caller, request: web.Request) -> Any:
    return await doctor.checks(context, caller.uid)


async def _doctor_fix(context: Context, caller: Caller, request: web.Request) -> Any:
    return await doctor.fix(context, caller.uid)


async def _stop(context: Context, caller: Caller, request: web.Request) -> Any:
    if is_set(request.query, "drain"):
        await context.event_loop.ask(ev.DaemonDrained())
        return await jobs.status(context, caller)
    reply = await jobs.status(context, caller)
    context.stop.set()
    return reply


async def _publish(context: Context, caller: Caller, request: web.Request) -> Any:
    asked = convert.parse(wire.PublishRequest, await request.read())
    return await images.publish(context, caller.uid, asked)


async def _openapi(context: Context, caller: Caller, request: web.Request) -> Any:
    return await context.users.run(caller.uid, _document)


@functools.cache
def _document() -> dict[str, Any]:
    """Return the OpenAPI document; it takes a fifth of a second, so it is made once."""
    from launcher.daemon.api.openapi import document

    return document(ROUTES)


AFTER = number("after", "Only those with a higher id: the last one of the page before.")
ALL = flag("all", "Jobs that have ended as well.")
ATTEMPT = number("attempt", "Which attempt, from 1; the last one where it is not there.")
DRAIN = flag("drain", "Start nothing more, and stay until nothing runs.")
FOLLOW = flag("follow", "Stay until all is told.")
REFS = text("ref", "The jobs that are meant.", repeated=True)
SINCE_NS = number("since_ns", "Begin near the output of this time (nanoseconds since 1970).")
TAIL = number("tail", "Only so many of the last lines.")

ROUTES: tuple[Route, ...] = (
    *history_routes.ROUTES,
    *layout_routes.ROUTES,
    Route("GET", "/v1/status", Access.ANYONE, None, wire.Status, jobs.status, direct=True),
    Route("GET", "/v1/doctor", Access.ANYONE, None, list[wire.Check], _doctor, costly=True),
    Route("POST", "/v1/doctor/fix", Access.ADMIN, None, list[wire.Check], _doctor_fix),
    Route("POST", "/v1/stop", Access.ADMIN, None, wire.Status, _stop, query=(DRAIN,)),
    Route("GET", "/v1/slices", Access.ANYONE, None, list[wire.SliceView], jobs.slices, direct=True),
    Route(
        "GET",
        "/v1/jobs",
        Access.ANYONE,
        None,
        list[wire.JobView],
        _list,
        query=(ALL, REFS, AFTER, PAGE_SIZE),
        costly=True,
    ),
    Route(
        "POST",
        "/v1/jobs",
        Access.ANYONE,
        wire.SubmitRequest,
        list[wire.JobView],
        _submit,
        201,
        costly=True,
        large=True,
    ),
    Route(
        "GET",
        "/v1/queue/head",
        Access.ANYONE,
        None,
        wire.QueueHead,
        _head,
        costly=True,
        query=(PAGE_SIZE,),
    ),
    Route(
        "GET",
        "/v1/queue",
        Access.ANYONE,
        None,
        list[wire.QueueEntry],
        _queue,
        costly=True,
        query=(PAGE_SIZE,),
    ),
    Route(
        "POST",
        "/v1/whatif",
        Access.ANYONE,
        wire.WhatIfRequest,
        list[wire.Forecast],
        _whatif,
        costly=True,
        large=True,
    ),
    Route(
        "GET", "/v1/reservations", Access.ANYONE, None, list[wire.ReservationView], _reservations
    ),
    Route(
        "POST",
        "/v1/reservations",
        Access.ADMIN,
        wire.ReserveRequest,
        wire.ReservationView,
        reservations.reserve,
        201,
        direct=True,
    ),
    Route(
        "POST",
        "/v1/reservations/{name}/cancel",
        Access.ADMIN,
        None,
        list[wire.ReservationView],
        _unreserve,
    ),
    Route(
        "POST",
        "/v1/jobs/cancel",
        Access.ANYONE,
        wire.SelectRequest,
        list[wire.JobView],
        control.cancel_all,
        costly=True,
        direct=True,
    ),
    Route(
        "POST",
        "/v1/jobs/retry",
        Access.ANYONE,
        wire.RetryJobs,
        list[wire.JobView],
        control.retry,
        costly=True,
        direct=True,
    ),
    Route(
        "GET",
        "/v1/jobs/{ref}/why",
        Access.ANYONE,
        None,
        wire.Why,
        why.why,
        costly=True,
        direct=True,
    ),
    Route("GET", "/v1/jobs/{ref}", Access.ANYONE, None, wire.JobDetail, jobs.show, direct=True),
    Route("GET", "/v1/jobs/{ref}/wait", Access.ANYONE, None, wire.JobView, _wait, query=(TIMEOUT,)),
    Route(
        "POST",
        "/v1/jobs/{ref}/cancel",
        Access.OWNER,
        None,
        list[wire.JobView],
        _cancel,
        query=(query_params.flag("now", "Kill running jobs without their grace period."),),
    ),
    Route(
        "POST",
        "/v1/jobs/{ref}/hold",
        Access.OWNER,
        None,
        list[wire.JobView],
        control.hold,
        direct=True,
    ),
    Route(
        "POST",
        "/v1/jobs/{ref}/release",
        Access.OWNER,
        None,
        list[wire.JobView],
        control.release,
        direct=True,
    ),
    Route(
        "POST",
        "/v1/jobs/{ref}/requeue",
        Access.OWNER,
        None,
        list[wire.JobView],
        control.requeue,
        direct=True,
    ),
    Route(
        "POST",
        "/v1/jobs/{ref}/edit",
        Access.OWNER,
        wire.EditRequest,
        list[wire.JobView],
        control.edit,
        direct=True,
    ),
    Route(
        "POST",
        "/v1/jobs/{ref}/signal",
        Access.OWNER,
        wire.SignalRequest,
        wire.JobView,
        control.send_signal,
        direct=True,
    ),
    Route(
        "GET",
        "/v1/jobs/{ref}/logs",
        Access.OWNER,
        None,
        None,
        _logs,
        query=(ATTEMPT, FOLLOW, TAIL, SINCE_NS, *RESUMED),
    ),
    Route("GET", "/v1/jobs/{ref}/follow", Access.OWNER, None, None, _follow, query=RESUMED),
    Route(
        "POST",
        "/v1/images/publish",
        Access.ADMIN,
        wire.PublishRequest,
        list[wire.ImageView],
        _publish,
    ),
    Route(
        "POST",
        "/v1/login",
        Access.ANYONE,
        wire.LoginRequest,
        wire.LoginReply,
        login.login,
        direct=True,
    ),
    Route("GET", "/v1/openapi.json", Access.ANYONE, None, dict[str, Any], _openapi),
)
