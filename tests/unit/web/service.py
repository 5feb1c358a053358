"""The web service in this process, on a port of its own, before a daemon that a test plays."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from launcher import wire
from launcher.client.aio.client import AsyncClient
from launcher.config.web import WebTable
from launcher.web.connections import WebConnections
from launcher.web.main import listener, served
from launcher.web.metrics import MetricsReader
from launcher.web.routes import WebContext
from tests.unit.client.stub_daemon import StubDaemon


@dataclass
class Answer:
    """One reply."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass
class Service:
    """What a test sees of the service."""

    port: int
    connections: WebConnections
    context: WebContext
    open: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.open.append(writer)
        return reader, writer

    async def send(self, data: bytes) -> str:
        """Return all that is answered to these bytes, until the connection is closed."""
        reader, writer = await self.connect()
        writer.write(data)
        async with asyncio.timeout(20):
            return (await reader.read()).decode()

    async def get(self, path: str, method: str = "GET", *lines: str, host: str = "") -> Answer:
        """Return the reply to one request."""
        host = host or f"127.0.0.1:{self.port}"
        head = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *lines]
        return parsed(await self.send("\r\n".join([*head, "", ""]).encode()))


def parsed(text: str) -> Answer:
    """Return a reply of its text."""
    head, _, body = text.partition("\r\n\r\n")
    first, *rest = head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
    return Answer(int(first.split()[1]), headers, body)


@contextlib.asynccontextmanager
async def service(
    daemon: str, connections: WebConnections | None = None, **config: object
) -> AsyncIterator[Service]:
    """Serve before the daemon at a socket; ``config`` are keys of ``[web]``."""
    table = WebTable(**config)  # type: ignore[arg-type]
    client = AsyncClient(daemon, timeout=5, role=wire.OBSERVER)
    listening = listener("127.0.0.1:0")
    port = listening.getsockname()[1]
    connections = connections or WebConnections()
    context = WebContext(client, table, MetricsReader(client))
    found = Service(port, connections, context)
    async with served(context, listening, connections):
        try:
            yield found
        finally:
            for writer in found.open:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()


def on(
    daemon: StubDaemon,
    body: Callable[[Service], Awaitable[None]],
    connections: WebConnections | None = None,
    **config: object,
) -> None:
    """Run a test's body with the service before a daemon; ``config`` are keys of ``[web]``."""

    async def run() -> None:
        async with service(daemon.path, connections, **config) as found:
            await body(found)

    asyncio.run(run())
