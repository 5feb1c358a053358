"""``python -m launcher.daemon.precheck``: whether Docker can give the daemon's container the GPUs.

For Docker Compose, before the daemon's own container. That one requests every GPU, so if Docker
cannot hand out any, it never starts and cannot report why.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from typing import Any

from launcher import last_words
from launcher.config.settings import load
from launcher.daemon.attempts.start_errors import never_ran, refused_start
from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers
from launcher.engine.outcome import Refused
from launcher.engine.own import own_container
from launcher.engine.spec import gpu_driver
from launcher.errors import GpuUnavailable, LauncherError

DRIVER, ANY_DRIVER = "GPU_DRIVER", "nvidia"
FAKE = "On a machine without a GPU: docker compose --profile fake up -d"


def check(containers: Containers, own: str, environment: Mapping[str, str]) -> None:
    """Start a container of this image with the daemon's GPUs, and remove it.

    Raises ``GpuUnavailable`` if Docker cannot start it, and as Docker's calls do.
    """
    result = containers.inspect(own)
    if result is None:
        return
    name = f"launcher-precheck-{own[:12]}"
    containers.remove(name)  # left by an interrupted check
    try:
        containers.create(name, _body(result.info["Image"], environment))
        refused = None
        try:
            containers.start(name)
        except Refused as error:
            refused = error
        container = containers.inspect(name)
        if container is not None and not container.ever_started:
            raise GpuUnavailable(never_ran(container, refused, ()).message, fix=FAKE)
    except Refused as error:
        raise GpuUnavailable(refused_start(error, ()).message, fix=FAKE) from error
    finally:
        with contextlib.suppress(LauncherError):
            containers.remove(name)


def advice(engine_version: str, environment: Mapping[str, str]) -> str | None:
    """Return the setting to change for this Docker, None if the settings fit it.

    Since 29.2 the driver ``nvidia`` means CDI first, which has no monitor device (moby 51942).
    """
    driver = gpu_driver(engine_version)
    if not driver or environment.get(DRIVER, ANY_DRIVER) != ANY_DRIVER:
        return None
    return (
        f"Docker {engine_version} gives GPUs by CDI, without the MIG monitor device: the daemon "
        f"may not see every slice. Set {DRIVER}={driver} in compose/.env."
    )


def _body(image: str, environment: Mapping[str, str]) -> dict[str, Any]:
    request = {
        "Driver": environment.get(DRIVER, ANY_DRIVER),
        "Count": -1,
        "Capabilities": [["gpu", "utility"]],
    }
    return {
        "Image": image,
        "Entrypoint": ["true"],
        "HostConfig": {"NetworkMode": "none", "CapDrop": ["ALL"], "DeviceRequests": [request]},
    }


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Run the check; return the exit status. Missing parts of Docker are left to the daemon."""
    config = load({})
    own = own_container()
    if own is None:
        return 0
    containers = Containers(DockerConnection(config.docker_host))
    try:
        if warning := advice(containers.engine_version(), environment):
            print(f"warning: {warning}", file=sys.stderr)  # noqa: T201
        check(containers, own, environment)
    except GpuUnavailable as error:
        last_words.leave(str(config.socket), error)
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except LauncherError as error:
        print(f"not checked: {error}", file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
