"""``launch web``: listens, and serves until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from launcher import wire
from launcher.client.aio.client import AsyncClient
from launcher.config.notify import NotifyTable
from launcher.config.settings import load
from launcher.config.web import WebTable, parse_listen, web_config_file
from launcher.errors import ConfigError
from launcher.web import bounds, textfile
from launcher.web.connections import WebConnections, WebSite
from launcher.web.context import WebContext
from launcher.web.guard import AllowedHosts, guarded
from launcher.web.headers import add_headers
from launcher.web.metrics import MetricsReader
from launcher.web.notify.service import keep_sending
from launcher.web.routes import ROUTES, endpoint

log = logging.getLogger(__name__)

_NOT_HTTP = logging.getLogger(f"{__name__}.not-http")
_NOT_HTTP.setLevel(logging.CRITICAL + 1)
"""aiohttp logs a traceback for malformed HTTP, with which a client could fill the disk."""
OPTIONS: dict[str, Any] = {
    "access_log": None,
    "auto_decompress": False,
    "keepalive_timeout": bounds.IDLE_SECONDS,
    "lingering_time": bounds.LINGER_SECONDS,
    "logger": _NOT_HTTP,
    "max_field_size": bounds.MOST_FIELD_BYTES,
    "max_headers": bounds.MOST_FIELDS,
    "max_line_size": bounds.MOST_LINE_BYTES,
}


def serve(config: str | None = None, listen: str | None = None) -> int:
    """Serve in the foreground until SIGTERM or SIGINT; return the exit status.

    ``config`` names the configuration file. Raises ``ConfigError`` if it is not valid, or the
    address cannot be used.
    """
    settings = load({"config": web_config_file(config)})
    table = settings.web
    if listen is not None:
        table = dataclasses.replace(table, listen=listen)
    listening = listener(table.listen)
    os.environ.pop("LAUNCHER_HOST", None)  # it serves the daemon of this machine
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    if os.getuid() == 0:
        log.warning("it runs as root, which it does not need: see `launch help monitoring`")
    return asyncio.run(_run(table, settings.notify, listening))


def listener(listen: str) -> socket.socket:
    """Return a socket that listens on an address; raises ``ConfigError``."""
    try:
        host, port = parse_listen(listen)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        dual = not host and socket.has_dualstack_ipv6()
        return socket.create_server(
            (host, port),
            family=socket.AF_INET6 if dual else family,
            backlog=bounds.BACKLOG,
            dualstack_ipv6=dual,
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot listen on {listen}: {getattr(error, 'strerror', None) or error}",
            fix="Name a free address of this machine with --listen, or listen in [web] of "
            "launcher.toml.",
        ) from error


def application(context: WebContext, connections: WebConnections) -> web.Application:
    """Return the application with every route of the table."""
    host = parse_listen(context.config.listen)[0]
    hosts = AllowedHosts([*context.config.allowed_hosts, *([host] if host else [])])
    app = web.Application(
        client_max_size=bounds.MOST_BODY_BYTES, middlewares=[guarded(hosts, connections)]
    )
    app.on_response_prepare.append(add_headers)
    context.connections = connections
    for route in ROUTES:
        serve = endpoint(context, route)
        if route.method == "GET":
            app.router.add_get(route.path, serve, allow_head=not route.stream)
        else:
            app.router.add_post(route.path, serve)
    app.cleanup_ctx.append(functools.partial(_kept_live, context))
    return app


async def _kept_live(context: WebContext, app: web.Application) -> AsyncIterator[None]:
    """Keep open pages current while the application runs."""
    task = asyncio.create_task(context.live.run())
    yield
    task.cancel()
    context.estimates.close()
    context.overview.close()
    await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def served(
    context: WebContext, listening: socket.socket, connections: WebConnections
) -> AsyncIterator[str]:
    """Serve on a socket; yields the address."""
    connections.options = OPTIONS
    runner = web.AppRunner(
        application(context, connections),
        shutdown_timeout=bounds.END_SECONDS,
        handler_cancellation=True,
        **OPTIONS,
    )
    await runner.setup()
    try:
        site = WebSite(runner, listening, connections)
        await site.start()
        yield site.name
    finally:
        await runner.cleanup()


async def _run(config: WebTable, notify: NotifyTable, listening: socket.socket) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = AsyncClient(timeout=bounds.DAEMON_SECONDS, notice=log.warning, role=wire.OBSERVER)
    context = WebContext(client, config, MetricsReader(client))
    async with (
        served(context, listening, WebConnections()) as address,
        asyncio.TaskGroup() as tasks,
    ):
        log.info("listening on %s", address)
        sending = tasks.create_task(keep_sending(client, notify))
        writing = None
        if config.textfile is not None:
            keeping = textfile.keep_written(config.textfile, context.metrics.text)
            writing = tasks.create_task(keeping)
        await stop.wait()
        log.info("stopping")
        sending.cancel()
        if writing is not None:
            writing.cancel()
    return 0
