"""What the web service serves, as one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from launcher.client.aio.client import AsyncClient
from launcher.config.web import WebTable
from launcher.web.headers import text_reply
from launcher.web.metrics import MetricsReader


@dataclass(frozen=True, slots=True)
class WebContext:
    """What handlers need: the daemon's client, and the configuration."""

    client: AsyncClient
    config: WebTable
    metrics: MetricsReader


WebHandler = Callable[[WebContext, web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class WebRoute:
    """One path. A ``page`` needs a login unless guests may read pages."""

    path: str
    handler: WebHandler
    page: bool = True


async def metrics(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Return the metrics for Prometheus, also while the daemon is away."""
    body = await context.metrics.text()
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


async def health(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Say that the web service itself works, whatever the daemon does."""
    return text_reply(200, "ok")


async def overview(context: WebContext, request: web.Request) -> web.StreamResponse:
    """Return the state of the machine in three lines."""
    status = await context.client.status()
    lines = [
        f"launcher {status.version}: {status.state}",
        f"jobs: {_counts(status.jobs)}",
        f"slices: {_counts(status.slices)}",
    ]
    return text_reply(200, "\n".join(lines))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"


ROUTES: tuple[WebRoute, ...] = (
    WebRoute("/", overview),
    WebRoute("/metrics", metrics, page=False),
    WebRoute("/healthz", health, page=False),
)


def endpoint(
    context: WebContext, route: WebRoute
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return aiohttp's handler of a route."""

    async def serve(request: web.Request) -> web.StreamResponse:
        if route.page and not context.config.guests:
            return text_reply(403, "Guests may not read the pages of this machine.")
        return await route.handler(context, request)

    return serve
