"""The routes for terminals: attaching to a running job, further commands in it, and sizes."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import replace

from aiohttp import web

from launcher import wire
from launcher.core.model.job import Job, State
from launcher.core.policy import policy
from launcher.core.policy import validate as wellformed
from launcher.daemon.access.terminals import TerminalPlace, Terminals
from launcher.daemon.api.handlers.context import Context, must_own
from launcher.daemon.api.query_params import flag, is_set, text
from launcher.daemon.api.route import Access, get, post, put
from launcher.daemon.loop import audit_log
from launcher.daemon.requests import convert
from launcher.daemon.users.identity import Caller
from launcher.errors import NotAllowed, StaleRequest, Unavailable, UserError

TAKE = flag("take", "Part whoever writes to it now from the terminal.")
WATCH = flag("watch", "Only watch, even if nobody writes.")
COMMAND = text("command", "The id of the further command.")
MOST_CELLS = 10_000
"""The maximum of rows and of columns of a terminal."""
MOST_DETAIL = 200
"""This much of a further command is on record, in characters."""


async def attach(context: Context, caller: Caller, request: web.Request) -> web.StreamResponse:
    """Hand the connection over to the terminal of a job."""
    take, watch = is_set(request.query, "take"), is_set(request.query, "watch")
    job = await _own(context, caller, request.match_info["ref"])
    place = await _place(context, job)
    if not (place.streams.tty or place.streams.stdin):
        raise UserError(
            f"job {place.job} is not interactive: nothing can be typed into it",
            fix=f"`launch logs -f {place.job}` follows its output; `launch exec {place.job}` runs"
            " a command in it.",
        )

    def join(client: int) -> None:
        _terminals(context).attach(place, caller.uid, client, take=take, watch=watch)

    audit_log.about([job], "attach --take" if take else "attach")
    return await _hand_over(context, caller, request, join)


async def execute(context: Context, caller: Caller, request: web.Request) -> web.StreamResponse:
    """Run a further command, and hand the connection over to it."""
    body: wire.ExecRequest = convert.parse(wire.ExecRequest, await request.read())
    job = await _own(context, caller, request.match_info["ref"])
    if job.on_host:
        raise UserError(
            f"job {job.ref} is a command on this machine itself: it has no container",
            fix="Run the command on the machine, with the job's CUDA_VISIBLE_DEVICES.",
        )
    await _must_be_allowed(context, job, body)
    place = await _place(context, job)

    def run(client: int) -> None:
        _terminals(context).execute(place, caller.uid, client, body)

    audit_log.about([job], f"exec {shlex.join(body.command)[:MOST_DETAIL]}")
    return await _hand_over(context, caller, request, run)


async def _must_be_allowed(context: Context, job: Job, body: wire.ExecRequest) -> None:
    """Raise for a command that the job itself might not have had."""
    if not body.command:
        raise UserError("command: name a command to run in the job")
    spec = await context.spec(job.id)
    if spec is None:
        raise StaleRequest(f"the specification of job {job.ref} is lost")
    rules = context.world.rules.policy
    variables = spec.environment | body.environment
    wanted = replace(
        spec,
        command=body.command,
        environment=variables,
        working_dir=body.working_dir or spec.working_dir,
    )
    wellformed.check(wanted)
    person = await context.accounts.person(job.owner.uid, job.owner, rules.groups)
    policy.check(policy.PolicyInput(wanted, person, rules, rules.host_memory))
    fixed = context.starter.directories.runc_fixed
    if job.owner.uid not in rules.unbound and not await context.users.run(job.owner.uid, fixed):
        raise NotAllowed(
            "command: the runc of this machine follows a symlink in a job's working directory out"
            " of the container (CVE-2024-21626, rule working-dir)",
            fix="Have an admin upgrade runc to 1.1.12 or later.",
        )


async def resize(
    context: Context, caller: Caller, ref: str, size: wire.TerminalSize
) -> wire.TerminalSize:
    """Set the size of a terminal."""
    if not (0 < size.rows <= MOST_CELLS and 0 < size.columns <= MOST_CELLS):
        raise UserError(f"a terminal has 1 to {MOST_CELLS} rows and columns")
    place = await _place(context, await _own(context, caller, ref))
    await context.users.run(caller.uid, _terminals(context).resize, place, size)
    return size


async def command(
    context: Context, caller: Caller, ref: str, *, command: str | None
) -> wire.CommandView:
    """Return the state of a further command."""
    if command is None:
        raise UserError("command: its id is missing")
    place = await _place(context, await _own(context, caller, ref))
    return await context.users.run(caller.uid, _terminals(context).command, place, command)


def _terminals(context: Context) -> Terminals:
    if context.terminals is None:
        raise Unavailable("this daemon has no terminals")
    return context.terminals


async def _own(context: Context, caller: Caller, ref: str) -> Job:
    job = await context.one_job(ref, caller)
    must_own(job, caller)
    return job


async def _place(context: Context, job: Job) -> TerminalPlace:
    """Return the terminal of a job; raises ``StaleRequest`` if it has not started."""
    spec = await context.spec(job.id)
    if job.attempt == 0 or spec is None:
        raise StaleRequest(f"job {job.ref} is {job.state.value}: it has not started")
    attempt = context.world.attempts.get(job.id)
    running = job.state is State.RUNNING and attempt is not None
    container = attempt.container_name if running and attempt is not None else None
    return TerminalPlace.of(job, container, tty=spec.tty)


async def ports(context: Context, caller: Caller, ref: str) -> list[wire.PortView]:
    """Return where the ports of a running job are; they are opened if they are not."""
    place = await _place(context, await _own(context, caller, ref))
    if context.ports is None or place.container is None:
        raise StaleRequest(f"job {place.job} does not run: its ports are closed")
    try:
        return await context.users.run(caller.uid, context.ports.ensure, place.container)
    except OSError as error:
        raise Unavailable(f"the ports cannot be opened: {error}") from error


async def _hand_over(
    context: Context, caller: Caller, request: web.Request, take: Callable[[int], None]
) -> web.StreamResponse:
    """Give the connection to the output keeper, which replies; the daemon closes its own end.

    Nothing more is read here: the client sends its input once it has the reply's head. A thread
    goes on when nobody waits for it any more, so it closes the descriptor that it was given.
    """
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client left")
    transport.pause_reading()
    owned = [os.dup(transport.get_extra_info("socket").fileno())]

    def hand_over() -> None:
        client = owned.pop()
        try:
            take(client)
        finally:
            os.close(client)

    try:
        await context.users.run(caller.uid, hand_over)
    except BaseException:
        transport.resume_reading()
        raise
    finally:
        while owned:  # it was not run
            os.close(owned.pop())
    transport.abort()
    return web.StreamResponse()  # never sent


_OWNER = Access.OWNER
ROUTES = (
    post("/v1/jobs/{ref}/attach", attach, None, None, TAKE, WATCH, access=_OWNER, raw=True),
    post("/v1/jobs/{ref}/exec", execute, wire.ExecRequest, None, access=_OWNER, raw=True),
    get("/v1/jobs/{ref}/exec", command, wire.CommandView, COMMAND, access=_OWNER),
    get("/v1/jobs/{ref}/ports", ports, list[wire.PortView], access=_OWNER),
    put("/v1/jobs/{ref}/size", resize, wire.TerminalSize, wire.TerminalSize, access=_OWNER),
)
