"""Restrictions on a daemon that runs in a container."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping

from launcher.daemon.loop.threads import in_thread
from launcher.engine.containers import Containers
from launcher.errors import EngineError, EngineUnavailable, NotAllowed

CONFIG_DEVICES = "NVIDIA_MIG_CONFIG_DEVICES"
"""With this variable a container requests from NVIDIA's toolkit the right to change layouts."""
STOP_SECONDS = 10.0
ONE_SHOT = (
    "With Docker Compose: `docker compose stop launcher`, `docker compose run --rm layout VERB`, "
    "`docker compose up -d`; jobs run on. Or install the systemd service instead."
)


def must_be_able_to_change_layouts(
    container: str | None, *, fake_gpu: bool, environment: Mapping[str, str] = os.environ
) -> None:
    """Raise ``NotAllowed`` if the daemon's container would not see the slices that it creates.

    NVIDIA's toolkit adds device nodes to a container only when it starts, never later
    (nvidia-docker issue 1473). The fake GPU has no device nodes.
    """
    if container is None or fake_gpu or environment.get(CONFIG_DEVICES):
        return
    raise NotAllowed(
        "this daemon runs in a container and cannot change layouts: the device nodes of new slices "
        "do not appear in a running container",
        fix=ONE_SHOT,
    )


async def stop_container(
    containers: Containers, own: str | None, terminated: asyncio.Event
) -> None:
    """Make Docker stop the daemon's own container, without a restart.

    Returns once Docker has sent SIGTERM, or failed to.
    """
    if own is None or terminated.is_set():
        return

    def stop() -> None:
        with contextlib.suppress(EngineUnavailable, EngineError):
            containers.stop(own, STOP_SECONDS)

    asking = asyncio.ensure_future(in_thread("stop", stop))
    waiting = asyncio.ensure_future(terminated.wait())
    await asyncio.wait((asking, waiting), timeout=STOP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
