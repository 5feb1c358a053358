"""What handlers need, and one route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from launcher.client.aio.client import AsyncClient
from launcher.config.web import WebTable
from launcher.web.connections import WebConnections, network_of
from launcher.web.live import LiveFeeds
from launcher.web.login import Logins
from launcher.web.metrics import MetricsReader
from launcher.web.pages.estimates import Estimates
from launcher.web.pages.overview import OverviewPage
from launcher.web.pages.viewer import Viewer
from launcher.web.rates import PageRates

VIEWER = web.RequestKey("viewer", Viewer)


@dataclass(slots=True)
class WebContext:
    """The daemon's client, the configuration, and what is kept between requests."""

    client: AsyncClient
    config: WebTable
    metrics: MetricsReader
    connections: WebConnections = field(default_factory=WebConnections)
    live: LiveFeeds = field(init=False)
    logins: Logins = field(init=False)
    overview: OverviewPage = field(init=False)
    estimates: Estimates = field(init=False)
    rates: PageRates = field(default_factory=PageRates)
    log_readers: int = 0

    def __post_init__(self) -> None:
        self.live, self.logins = LiveFeeds(self.client), Logins(self.client)
        self.overview = OverviewPage(self.client, self.live.poke)
        self.estimates = Estimates(self.client, self.live.poke)

    def client_of(self, viewer: Viewer) -> AsyncClient:
        """Return the client with a viewer's rights."""
        return self.client if viewer.session is None else self.client.as_session(viewer.session)


WebHandler = Callable[[WebContext, web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class WebRoute:
    """One path. A ``page`` needs a login unless guests may read pages; ``own`` ones always do.

    A ``stream`` is not served by HEAD: its length is unknown, and it may stay open.
    """

    path: str
    handler: WebHandler
    page: bool = True
    method: str = "GET"
    own: bool = False
    stream: bool = False


def address_of(request: web.Request) -> str:
    """Return the address that a request counts for; '' for loopback."""
    transport = request.transport
    return network_of(transport.get_extra_info("peername") if transport is not None else None)
