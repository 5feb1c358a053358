"""Connections to a real dockerd: kept from call to call, and never one to an earlier dockerd."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from docker.transport import unixconn

from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers
from launcher.fakegpu.sandbox import Sandbox
from tests.support.daemon import BUSYBOX

BODY = {"Image": BUSYBOX, "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The connections that are made, each by its socket."""
    made: list[str] = []
    connect: Callable[[unixconn.UnixHTTPConnection], None] = unixconn.UnixHTTPConnection.connect

    def noted(connection: unixconn.UnixHTTPConnection) -> None:
        made.append(connection.unix_socket)
        connect(connection)

    monkeypatch.setattr(unixconn.UnixHTTPConnection, "connect", noted)
    return made


def live_through(containers: Containers, name: str) -> None:
    containers.create(name, BODY)
    containers.start(name)
    containers.wait(name)
    found = containers.inspect(name)
    assert found is not None
    assert found.exit_code == 0
    containers.remove(name)
    assert containers.inspect(name) is None


def test_the_calls_about_many_containers_use_one_connection(
    sandbox: Sandbox, connects: list[str]
) -> None:
    containers = Containers(DockerConnection(sandbox.docker_host))
    for number in range(3):
        live_through(containers, f"kept-{number}")
    assert len(connects) <= 2, "one more asks for the version"


def test_a_dockerd_that_takes_over_gets_the_calls_from_then_on(
    docker_here: Sandbox, connects: list[str]
) -> None:
    containers = Containers(DockerConnection(docker_here.docker_host))
    before = containers.incarnation()
    live_through(containers, "before")
    docker_here.stop_dockerd()
    docker_here.start_dockerd()
    connects.clear()
    assert containers.incarnation() != before
    live_through(containers, "after")
    assert connects == [str(docker_here.socket)]
