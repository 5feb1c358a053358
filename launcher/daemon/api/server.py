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
from launcher.daemon.api.web_routes import WITH_SESSION
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
"""aiohttp logs a traceback for malformed HTTP, with which a client could fill the disk."""

VERSION_HEADER = "Launcher-Version"
PAUSE_SECONDS = 1.0
"""Delay of a 429 reply, so that clients cannot retry in a tight loop."""
LINGER_SECONDS = 1.0
"""Longest time for reading the rest of a refused body."""
AT_ONCE = ("/v1/status", "/v1/stop", "/v1/doctor", "/v1/openapi.json")
"""Requests that are served whatever the daemon still waits for."""


CALLER = web.RequestKey("caller", Caller)
"""The request key of its sender, looked up once."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(context: Context) -> web.Application:
    """Return the application with every route of the table."""
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
    """Return an application without routes, which identifies and counts callers and maps errors."""
    unfinished: set[asyncio.Task[web.StreamResponse]] = set()

    def ended(task: asyncio.Task[web.StreamResponse]) -> None:
        unfinished.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, because the client may have left

    @web.middleware
    async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
        async def counted(request: web.Request) -> web.StreamResponse:
            caller = await _identified(request, accounts)
            if caller.reads_only:
                connections.limiter.observed_by(caller.uid)
            caller = request[CALLER] = await accounts.in_role(caller, request.headers)
            entry = entry_of(request, caller)
            with audit.serving(entry) if audit else contextlib.nullcontext():
                connections.limiter.request(caller)
                return await handler(request)

        async def served() -> web.StreamResponse:
            with connections.serving(request):
                return await connections.time.run(uid_of(request), errors, request, counted)

        if not _changes_something(request):
            return await served()  # ends when its client leaves
        task = asyncio.create_task(served())
        unfinished.add(task)
        task.add_done_callback(ended)
        return await asyncio.shield(task)

    return web.Application(client_max_size=wire.MAX_BODY_BYTES, middlewares=[identify])


def entry_of(request: web.Request, caller: Caller) -> AuditEntry:
    """Return a request's audit entry: its route as in the table, without values."""
    resource = request.match_info.route.resource
    path = "another path" if resource is None else resource.canonical
    return AuditEntry(
        caller.owner, caller.role, f"{request.method} {path}", _changes_something(request)
    )


def _changes_something(request: web.Request) -> bool:
    """Whether a request changes something; then it is carried out to its end."""
    return request.method == "POST" and request.path not in READS


async def _identified(request: web.Request, accounts: Accounts) -> Caller:
    try:
        return await accounts.sender(request)
    except NotAllowed:
        await asyncio.sleep(PAUSE_SECONDS)  # unknown callers are not counted
        raise


@contextlib.asynccontextmanager
async def served(
    app: web.Application, listener: socket.socket, connections: ConnectionManager
) -> AsyncIterator[None]:
    """Serve an application on a socket. Bodies are read as sent, never decompressed."""
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
                return await _respond(context, route, caller, request)
        if caller.admin or not is_costly(route, request):
            return await _respond(context, route, caller, request)
        async with context.limiter.alone(caller.uid, route.path):
            if request.transport is None:
                raise ConnectionResetError("the client left before its turn")
            return await _respond(context, route, caller, request)

    return serve


def is_costly(route: Route, request: web.Request) -> bool:
    """Whether a request may be slow: each user's costly requests of a kind run one at a time."""
    ref = request.match_info.get("ref", "")
    return route.costly or "-" in ref or "[" in ref or bool(request.query.keys() & {"all", "ref"})


async def _respond(
    context: Context, route: Route, caller: Caller, request: web.Request
) -> web.StreamResponse:
    await _check_access(context, route, caller, request)
    must_be_known(request.query, route.query)
    if route.body_type is not None:
        await _read_body(request, route.most_bytes(caller), context.limiter.limits.body_time)
        if route.large:
            context.limiter.submit(caller, request.content_length or 0)
    result = await route.serve(context, caller, request)
    if isinstance(result, web.StreamResponse):
        return result
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
    """Send a long reply: one at a time per user, with a time limit for each piece."""
    response = web.StreamResponse(status=status, headers={VERSION_HEADER: __version__})
    response.content_type = "application/json"
    seconds = context.limiter.limits.body_time
    async with context.limiter.alone(caller.uid, "long reply"):
        return await context.replies.send(caller.uid, request, response, pieces, seconds)


async def _read_body(request: web.Request, most: int, seconds: float) -> None:
    """Read the body for the handlers; ``most`` is in bytes.

    Raises ``UserError`` if it is too long, has no declared length, or comes too slowly.
    """
    if request.content_length is None and request.can_read_body:
        raise UserError("the request does not declare the length of its body (Content-Length)")
    if (request.content_length or 0) > most:
        raise too_large(most)
    try:
        async with asyncio.timeout(seconds):
            await request.read()
    except TimeoutError:
        raise TooSlow(
            f"the body of the request did not arrive within {seconds:g} s ([limits] body_time)"
        ) from None


def too_large(most: int) -> LauncherError:
    """Return the refusal of a body; ``most`` is in bytes."""
    size = f"{most // 2**20} MiB" if most >= 2**20 else f"{most // 2**10} KiB"
    return TooLarge(
        f"the request is larger than {size}",
        fix="Submit fewer jobs at once; submit similar jobs as an array or a matrix.",
    )


async def _check_access(
    context: Context, route: Route, caller: Caller, request: web.Request
) -> None:
    if caller.web_session is not None and f"{route.method} {route.path}" not in WITH_SESSION:
        raise NotAllowed("a page may not request this", fix="Use the command `launch`.")
    if route.access is Access.WEB:
        if not caller.is_web_service:
            raise NotAllowed(
                f"{caller.owner.name} is not the user of `launch web`",
                fix="[users] observer of launcher.toml names that user.",
            )
        return
    if caller.reads_only and not route.observable:
        raise NotAllowed(
            f"{caller.owner.name} is an observer: it may read what every user sees, nothing else",
            fix="[users] observer of launcher.toml names the user of `launch web`.",
        )
    if route.access is Access.ADMIN and not caller.admin:
        raise NotAllowed(
            f"{caller.owner.name} is not an admin of this daemon",
            fix="Only uid 0 and the members of its admin_group (launcher.toml) may do this.",
        )
    if route.access is Access.OWNER:
        for job in await context.resolve(request.match_info["ref"], caller):
            must_own(job, caller)


def reply(status: int, body: bytes) -> web.Response:
    """Return a reply in JSON, with this daemon's version."""
    headers = {VERSION_HEADER: __version__}
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


async def _stream(
    context: Context,
    caller: Caller,
    request: web.Request,
    batches: AsyncIterator[list[wire.Frame]],
) -> web.StreamResponse:
    response = web.StreamResponse(headers={VERSION_HEADER: __version__})
    response.content_type = "application/octet-stream"
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):  # the client may leave at any time
        async for batch in batches:
            if request.transport is None:
                break
            if batch:
                data = b"".join(frame.encode() for frame in batch)
                await context.replies.write(caller.uid, request, response, data)
        await response.write_eof()
    return response


async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Map every error to an ErrorReply; unexpected ones are logged in full and reported briefly."""
    headers: dict[str, str] = {}
    try:
        return await handler(request)
    except TooMany as refused:
        return await _delayed_refusal(refused)
    except LauncherError as error:
        # Its traceback refers to this frame and a large request: a cycle would keep both alive.
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
    response = reply(status, error_body(reported))
    response.headers.update(headers)
    if not request.content.is_eof():
        response.force_close()  # do not wait for the rest of its body
    return response


def error_body(error: LauncherError) -> bytes:
    """Return the body of an error reply."""
    reply = wire.ErrorReply(kind=error.kind, message=error.message, fix=error.fix)
    return convert.dump(wire.ErrorReply, reply)


async def _delayed_refusal(refused: TooMany) -> web.Response:
    """Reply 429 after a delay, so that clients cannot retry in a tight loop."""
    await asyncio.sleep(PAUSE_SECONDS)
    left = max(0.0, refused.retry_after - PAUSE_SECONDS)
    response = reply(refused.http_status, error_body(refused))
    response.headers["Retry-After"] = str(math.ceil(left))
    return response


def listener(config: Config) -> socket.socket:
    """Return the socket that systemd passed, or one from ``bind``."""
    return inherited() or bind(config.socket, mode=0o666 if config.system else 0o600)


def bind(path: Path, *, mode: int) -> socket.socket:
    """Return a listening unix socket that has its mode from the start.

    Raises ``ConfigError`` if another daemon listens there, ``StateDirError`` if the path cannot be
    written.
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
            fix="Choose a writable path with --socket or LAUNCHER_SOCKET.",
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
        fix="Use that one, or stop it: `launch stop`, or for a service `systemctl disable --now "
        "launcher.service launcher.socket`. Or choose another --socket.",
    )


def inherited() -> socket.socket | None:
    """Return the socket that systemd passed, None if there is none."""
    fd = passed_fds.listener()
    if fd is None:
        return None
    listener = socket.socket(fileno=fd)
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def remove_socket(config: Config) -> None:
    """Remove the daemon's own socket at its end; one that systemd passed keeps listening."""
    if passed_fds.listener() is None:
        config.socket.unlink(missing_ok=True)
