"""The HTTP server on the unix socket: identity, access, errors and streams around the routes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from launcher import __version__, last_words, passed_fds, wire
from launcher.config.settings import Config
from launcher.daemon.api.handlers.context import Context, must_own
from launcher.daemon.api.http.connections import BACKLOG, ConnectionManager, Site, uid_of
from launcher.daemon.api.http.replies import LARGE_BYTES, PAGE, cut, listed, paged
from launcher.daemon.api.query_params import must_be_known
from launcher.daemon.api.route import NOTICE, Access, Route
from launcher.daemon.api.routes import ROUTES
from launcher.daemon.loop.audit_log import READS, Audit, AuditEntry
from launcher.daemon.requests import convert
from launcher.daemon.users.accounts import Accounts
from launcher.daemon.users.identity import Caller
from launcher.errors import (
    ConfigError,
    InternalError,
    LauncherError,
    NotAllowed,
    StateDirError,
    TooLarge,
    TooMany,
    TooSlow,
    UserError,
)
from launcher.listening import listening

log = logging.getLogger(__name__)

_NOT_HTTP = logging.getLogger(f"{__name__}.not-http")
_NOT_HTTP.setLevel(logging.CRITICAL + 1)
"""aiohttp writes a traceback for malformed HTTP: anybody could fill the log's disk with those."""

VERSION_HEADER = "Launcher-Version"
PAUSE_SECONDS = 1.0
"""Delay of a 429 reply, so that clients cannot retry in a tight loop."""
LINGER_SECONDS = 1.0
"""Longest time for reading the rest of a refused body."""
AT_ONCE = ("/v1/status", "/v1/stop", "/v1/doctor", "/v1/openapi.json")
"""What is answered whatever the daemon still waits for."""


CALLER = web.RequestKey("caller", Caller)
"""Who sent the request, as it was looked up once for all who serve it."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(context: Context) -> web.Application:
    """Return the application: every route of the table, and nothing else."""
    app = bare_application(context.connections, context.accounts, context.audit)
    app.on_response_prepare.append(_add_notice)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _endpoint(context, route))
    return app


async def _add_notice(request: web.Request, response: web.StreamResponse) -> None:
    if NOTICE in request:
        response.headers[NOTICE] = request[NOTICE].encode("ascii", "replace").decode()


def bare_application(
    connections: ConnectionManager, accounts: Accounts, audit: Audit | None = None
) -> web.Application:
    """Return an application without routes: callers are identified and counted, errors answered."""
    unfinished: set[asyncio.Task[web.StreamResponse]] = set()

    def ended(task: asyncio.Task[web.StreamResponse]) -> None:
        unfinished.discard(task)
        if not task.cancelled():
            task.exception()  # where the client has left, nobody else looks at it

    @web.middleware
    async def attended(request: web.Request, handler: Handler) -> web.StreamResponse:
        async def counted(request: web.Request) -> web.StreamResponse:
            caller = request[CALLER] = await _known(request, accounts)
            entry = entry_of(request, caller)
            with audit.serving(entry) if audit else contextlib.nullcontext():
                connections.limiter.request(caller)
                return await handler(request)

        async def served() -> web.StreamResponse:
            with connections.serving(request):
                return await connections.time.run(uid_of(request), errors, request, counted)

        if not _changes_something(request):
            return await served()  # it ends when its client leaves
        task = asyncio.create_task(served())
        unfinished.add(task)
        task.add_done_callback(ended)
        return await asyncio.shield(task)

    return web.Application(client_max_size=wire.MAX_BODY_BYTES, middlewares=[attended])


def entry_of(request: web.Request, caller: Caller) -> AuditEntry:
    """Return what the audit is to know of a request: its route as the table has it, no values."""
    resource = request.match_info.route.resource
    path = "another path" if resource is None else resource.canonical
    return AuditEntry(
        caller.owner, caller.role, f"{request.method} {path}", _changes_something(request)
    )


def _changes_something(request: web.Request) -> bool:
    """Whether a request is carried out to its end once it has come, as its route tells."""
    return request.method == "POST" and request.path not in READS


async def _known(request: web.Request, accounts: Accounts) -> Caller:
    try:
        return await accounts.sender(request)
    except NotAllowed:
        await asyncio.sleep(PAUSE_SECONDS)  # an unknown caller is not counted
        raise


@contextlib.asynccontextmanager
async def served(
    app: web.Application, listener: socket.socket, connections: ConnectionManager
) -> AsyncIterator[None]:
    """Serve an application on a socket meanwhile. Bodies are taken as they come, never unpacked."""
    connections.options = {
        "access_log": None,
        "auto_decompress": False,
        "lingering_time": LINGER_SECONDS,
        "logger": _NOT_HTTP,
        "keepalive_timeout": connections.limiter.limits.idle_time,
    }
    runner = web.AppRunner(
        app, shutdown_timeout=1.0, handler_cancellation=True, **connections.options
    )
    await runner.setup()
    try:
        await Site(runner, listener, connections).start()
        last_words.clear(listener.getsockname())
        yield
    finally:
        await runner.cleanup()


def _endpoint(context: Context, route: Route) -> Any:
    async def serve(request: web.Request) -> web.StreamResponse:
        caller = request[CALLER]
        if route.path not in AT_ONCE:
            await context.first_look()
        if route.waits:
            with context.limiter.stream(caller):
                return await _answer(context, route, caller, request)
        if caller.admin or not is_costly(route, request):
            return await _answer(context, route, caller, request)
        async with context.limiter.alone(caller.uid, route.path):
            if request.transport is None:
                raise ConnectionResetError("the client left before its turn")
            return await _answer(context, route, caller, request)

    return serve


def is_costly(route: Route, request: web.Request) -> bool:
    """Whether a request may take a while: of one user one of a kind is served at a time."""
    ref = request.match_info.get("ref", "")
    return route.costly or "-" in ref or "[" in ref or bool(request.query.keys() & {"all", "ref"})


async def _answer(
    context: Context, route: Route, caller: Caller, request: web.Request
) -> web.StreamResponse:
    await _check_access(context, route, caller, request)
    must_be_known(request.query, route.query)
    if route.asks is not None:
        await _read_body(request, route.most_bytes(caller), context.limiter.limits.body_time)
        if route.large:
            context.limiter.submit(caller, request.content_length or 0)
    result = await route.serve(context, caller, request)
    if route.reply is None:
        return await _stream(context, caller, request, result)
    if isinstance(result, list) and len(result) > PAGE:
        result = paged(result)
    if not isinstance(result, AsyncIterator):
        body = result if isinstance(result, bytes) else convert.dump(route.reply, result)
        if len(body) <= LARGE_BYTES:
            return reply(route.status, body)
        del result
        with context.replies.whole(caller.uid, request, len(body)):
            return await _in_pieces(context, caller, request, route.status, cut(body))
    return await _in_pieces(context, caller, request, route.status, listed(route.reply, result))


async def _in_pieces(
    context: Context,
    caller: Caller,
    request: web.Request,
    status: int,
    pieces: AsyncIterator[bytes],
) -> web.StreamResponse:
    """Send a long reply: one of a user at a time, and the client takes each piece in time."""
    answer = web.StreamResponse(status=status, headers={VERSION_HEADER: __version__})
    answer.content_type = "application/json"
    seconds = context.limiter.limits.body_time
    async with context.limiter.alone(caller.uid, "long reply"):
        return await context.replies.send(caller.uid, request, answer, pieces, seconds)


async def _read_body(request: web.Request, most: int, seconds: float) -> None:
    """Take the body, which handlers then find whole; ``most`` is in bytes.

    Raises ``UserError`` where it is too long, does not say how long it is, or comes too slowly.
    """
    if request.content_length is None and request.can_read_body:
        raise UserError("the request does not say how long its body is (Content-Length)")
    if (request.content_length or 0) > most:
        raise too_large(most)
    try:
        async with asyncio.timeout(seconds):
            await request.read()
    except TimeoutError:
        raise TooSlow(
            f"the body of the request did not come within {seconds:g} s ([limits] body_time)"
        ) from None


def too_large(most: int) -> LauncherError:
    """Return the refusal of a body; ``most`` is in bytes."""
    size = f"{most // 2**20} MiB" if most >= 2**20 else f"{most // 2**10} KiB"
    return TooLarge(
        f"the request is larger than {size}",
        fix="Submit fewer jobs at once; those that are alike as an array or a matrix.",
    )


async def _check_access(
    context: Context, route: Route, caller: Caller, request: web.Request
) -> None:
    if route.access is Access.ADMIN and not caller.admin:
        raise NotAllowed(
            f"{caller.owner.name} is not an admin of this daemon",
            fix="Only uid 0 and the members of its admin_group (launcher.toml) may do this.",
        )
    if route.access is Access.OWNER:
        for job in await context.resolve(request.match_info["ref"], caller):
            must_own(job, caller)


def reply(status: int, body: bytes) -> web.Response:
    """Return an answer in JSON, with this daemon's version."""
    headers = {VERSION_HEADER: __version__}
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


async def _stream(
    context: Context,
    caller: Caller,
    request: web.Request,
    batches: AsyncIterator[list[wire.Frame]],
) -> web.StreamResponse:
    answer = web.StreamResponse(headers={VERSION_HEADER: __version__})
    answer.content_type = "application/octet-stream"
    await answer.prepare(request)
    with contextlib.suppress(ConnectionError):  # a client may leave whenever it likes
        async for batch in batches:
            if request.transport is None:
                break
            if batch:
                data = b"".join(frame.encode() for frame in batch)
                await context.replies.write(caller.uid, request, answer, data)
        await answer.write_eof()
    return answer


async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error leaves as an ErrorReply; what we did not foresee is logged whole, told short."""
    headers: dict[str, str] = {}
    try:
        return await handler(request)
    except TooMany as refused:
        return await _held_back(refused)
    except LauncherError as error:
        # Its traceback refers to this frame and to a large request: a cycle would keep both.
        status, reported = error.http_status, error.with_traceback(None)
    except web.HTTPRequestEntityTooLarge:
        status, reported = 413, too_large(wire.MAX_BODY_BYTES)
    except web.HTTPException as refused:
        text = f"{request.method} {request.path}: {refused.reason}"
        status, reported = refused.status, UserError(text)
        headers = {name: refused.headers[name] for name in ("Allow",) if name in refused.headers}
    except (ConnectionResetError, BrokenPipeError):
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        status, reported = 500, InternalError("the daemon failed; its log has the details")
    answer = reply(status, error_body(reported))
    answer.headers.update(headers)
    if not request.content.is_eof():
        answer.force_close()  # the rest of its body is not worth waiting for
    return answer


def error_body(error: LauncherError) -> bytes:
    """Return the body that tells an error."""
    reply = wire.ErrorReply(kind=error.kind, message=error.message, fix=error.fix)
    return convert.dump(wire.ErrorReply, reply)


async def _held_back(refused: TooMany) -> web.Response:
    """Reply 429 after a delay, so that clients cannot retry in a tight loop."""
    await asyncio.sleep(PAUSE_SECONDS)
    left = max(0.0, refused.retry_after - PAUSE_SECONDS)
    answer = reply(refused.http_status, error_body(refused))
    answer.headers["Retry-After"] = str(math.ceil(left))
    return answer


def listener(config: Config) -> socket.socket:
    """Return the socket that systemd passed, or one of our own: see ``bind``."""
    return inherited() or bind(config.socket, mode=0o666 if config.system else 0o600)


def bind(path: Path, *, mode: int) -> socket.socket:
    """Return a listening unix socket with its mode from the first instant on.

    Raises ``ConfigError`` where another daemon listens there, ``StateDirError`` where the place
    cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        if path.exists():
            _remove_stale(path)
        listener = listening(str(path), mode, backlog=BACKLOG)
        listener.setblocking(False)
        return listener
    except OSError as error:
        raise StateDirError(
            f"cannot listen on {path}: {error.strerror or error}",
            fix="Choose a place that you may write to with --socket or LAUNCHER_SOCKET.",
        ) from error


def _remove_stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise ConfigError(
        f"another daemon listens on {path}",
        fix="Use that one, or stop it: `launch stop`, or `systemctl disable --now launcher.service "
        "launcher.socket` where it is a service. Or choose another --socket.",
    )


def inherited() -> socket.socket | None:
    """Return the socket that systemd passed, None where there is none."""
    fd = passed_fds.listener()
    if fd is None:
        return None
    listener = socket.socket(fileno=fd)
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def remove_socket(config: Config) -> None:
    """Remove our socket at the end; one that systemd passed is its own, and goes on to listen."""
    if passed_fds.listener() is None:
        config.socket.unlink(missing_ok=True)
