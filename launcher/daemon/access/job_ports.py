"""Opens the ports of running jobs by the forwarder, and knows where they are. Blocking."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Iterable
from typing import Any

from launcher import wire
from launcher.core.model.ids import LABEL_ATTEMPT, LABEL_JOB, LABEL_PORTS
from launcher.daemon.loop.event_loop import EventLoop
from launcher.daemon.loop.threads import in_thread
from launcher.engine.containers import Container, Containers
from launcher.errors import LauncherError
from launcher.ports.client import PortForwarder, PortTarget

log = logging.getLogger(__name__)

_LOOPBACK = "loopback"


class JobPorts:
    """The ports of one daemon's jobs. Thread-safe."""

    def __init__(
        self,
        forwarder: PortForwarder,
        containers: Containers,
        loopback: tuple[int, int] | None,
    ) -> None:
        """``loopback``: the ports of the machine that are set aside for jobs."""
        self._forwarder, self._containers, self._loopback = forwarder, containers, loopback

    def open(self, container: Container) -> list[wire.PortView]:
        """Open the ports of a container that runs; raises ``OSError``."""
        words = [word for word in container.labels.get(LABEL_PORTS, "").split(",") if word]
        if not words or not container.running:
            return []
        target = PortTarget(
            name=f"{container.labels[LABEL_JOB]}.{container.labels[LABEL_ATTEMPT]}",
            uid=container.streams.uid,
            pid=container.pid,
            container=container.id,
            address=_address(container.info),
            ports=tuple(int(word) for word in words if word != _LOOPBACK),
            loopback=self._loopback if _LOOPBACK in words else None,
        )
        return [wire.PortView(**each) for each in self._forwarder.forward(target)]

    def try_to_open(self, container: Container) -> None:
        """Open the ports of a container that has just started; otherwise that is done later."""
        try:
            self.open(container)
        except OSError as error:
            log.warning("the ports of %s are not open yet: %s", container.name, error)

    def ensure(self, name: str) -> list[wire.PortView]:
        """Open the ports of a container by name; none if it does not run. Raises ``OSError``."""
        container = self._containers.inspect(name)
        return [] if container is None else self.open(container)

    def open_all(self, names: Iterable[str]) -> None:
        """Open what a forwarder that was restarted has lost."""
        for name in names:
            try:
                self.ensure(name)
            except (OSError, LauncherError) as error:
                log.warning("the ports of %s are not open: %s", name, error)


def _address(info: dict[str, Any]) -> str:
    """Return a container's address in Docker's network; "" without one."""
    if (info.get("HostConfig") or {}).get("NetworkMode") == "host":
        return "127.0.0.1"
    networks = (info.get("NetworkSettings") or {}).get("Networks") or {}
    return next((net["IPAddress"] for net in networks.values() if net.get("IPAddress")), "")


async def watch_ports(ports: JobPorts, event_loop: Callable[[], EventLoop], seconds: float) -> None:
    """Keep the ports of running jobs open, whatever happens to the forwarder or the daemon."""
    while True:
        world = event_loop().world
        names = [
            world.attempts[job.id].container_name
            for job in world.jobs.values()
            if job.has_ports and job.id in world.attempts
        ]
        if names:
            with contextlib.suppress(RuntimeError):
                await in_thread("ports", functools.partial(ports.open_all, names))
        await asyncio.sleep(seconds)
