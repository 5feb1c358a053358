"""The HTTP server on the unix socket: identity, access, errors and streams around the routes."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web

from launcher import __version__, wire
from launcher.config import Config
from launcher.daemon import convert
from launcher.daemon.context import Context, must_own
from launcher.daemon.identity import Caller, caller_of
from launcher.daemon.routes import ROUTES, Access, Route
from launcher.errors import (
    ConfigError,
    InternalError,
    LauncherError,
    NotAllowed,
    StateDirError,
    UserError,
)

log = logging.getLogger(__name__)

VERSION_HEADER = "Launcher-Version"
BACKLOG = 512
AT_ONCE = ("/v1/status", "/v1/stop", "/v1/doctor", "/v1/openapi.json")
"""What is answered whatever the daemon still waits for."""


def application(context: Context) -> web.Application:
    """Return the application: every route of the table, and nothing else."""
    app = web.Application(client_max_size=wire.MAX_BODY_BYTES, middlewares=[errors])
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _endpoint(context, route))
    return app


def _endpoint(context: Context, route: Route) -> Any:
    async def serve(request: web.Request) -> web.StreamResponse:
        caller = caller_of(request, context.roles)
        if route.path not in AT_ONCE:
            await context.first_look()
        await _check_access(context, route, caller, request)
        result = await route.handler(context, caller, request)
        if route.reply is None:
            return await _stream(request, result)
        body = convert.dump(route.reply, result)
        return reply(route.status, body)

    return serve


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
    request: web.Request, batches: AsyncIterator[list[wire.Frame]]
) -> web.StreamResponse:
    answer = web.StreamResponse(headers={VERSION_HEADER: __version__})
    answer.content_type = "application/octet-stream"
    await answer.prepare(request)
    with contextlib.suppress(ConnectionError):  # a client may leave whenever it likes
        async for batch in batches:
            if batch:
                await answer.write(b"".join(frame.encode() for frame in batch))
        await answer.write_eof()
    return answer


@web.middleware
async def errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """Every error leaves as an ErrorReply; what we did not foresee is logged whole, told short."""
    try:
        answer: web.StreamResponse = await handler(request)
        return answer
    except LauncherError as error:
        status, told = error.http_status, error
    except web.HTTPRequestEntityTooLarge:
        most = wire.MAX_BODY_BYTES // 2**20
        status, told = 413, UserError(f"the request is larger than {most} MiB")
    except web.HTTPException as refused:
        text = f"{request.method} {request.path}: {refused.reason}"
        status, told = refused.status, UserError(text)
    except (ConnectionResetError, BrokenPipeError):
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        status, told = 500, InternalError("the daemon failed; its log has the details")
    error_reply = wire.ErrorReply(kind=told.kind, message=told.message, fix=told.fix)
    return reply(status, convert.dump(wire.ErrorReply, error_reply))


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
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o777 & ~mode)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(BACKLOG)
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
        fix="Use that one, stop it with `launch stop`, or choose another --socket.",
    )


def inherited() -> socket.socket | None:
    """Return the socket that systemd passed (LISTEN_FDS), None where there is none."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    listener = socket.socket(fileno=3)
    listener.setblocking(False)
    return listener
