"""A scripted Docker on a real socket."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import docker  # noqa: F401 - a test that acts as another user may not read it any more
import pytest

from launcher.engine.connection import DockerConnection
from tests.unit.engine.wire_docker import WireDocker


@pytest.fixture
def docker_wire() -> Iterator[WireDocker]:
    server = WireDocker()
    yield server
    server.close()


@pytest.fixture
def collected() -> Iterator[None]:
    """docker-py leaves the sockets of calls that failed to the garbage collector: let it be ours.

    For modules whose calls fail on purpose and which ignore ``ResourceWarning``: no test of
    another module may inherit them.
    """
    yield
    gc.collect()


@pytest.fixture
def connection(docker_wire: WireDocker) -> DockerConnection:
    return DockerConnection(docker_wire.host)
