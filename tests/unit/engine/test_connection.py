"""Reaching Docker, or not: nothing sent, an answer, or an answer that was lost (I3)."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from launcher.engine.connection import DockerConnection, check_host
from launcher.engine.containers import Containers
from launcher.engine.outcome import Refusal, Refused, Unknown, mapped
from launcher.errors import ConfigError, EngineUnavailable
from tests.unit.engine.wire_docker import WireDocker, cut, raw, reply

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]
CREATE = "POST /containers/create"


@pytest.mark.parametrize(
    "host",
    ["tcp://10.0.0.1:2375", "ssh://me@there", "npipe:////./pipe/x", "http://x", "", "/run/x"],
)
def test_an_engine_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="not a unix socket") as caught:
        check_host(host)
    assert "unix:///" in (caught.value.fix or "")


def test_a_unix_socket_is_taken_as_it_is() -> None:
    assert check_host("unix:///run/docker.sock") == "unix:///run/docker.sock"


def test_no_socket_means_that_nothing_was_sent(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="does not answer") as caught:
        Containers(DockerConnection(f"unix://{tmp_path}/none.sock")).create("x", {})
    assert "systemctl start docker" in (caught.value.fix or "")


def test_a_socket_that_nobody_listens_on_means_that_nothing_was_sent(tmp_path: Path) -> None:
    path = f"/tmp/launcher-dead-{os.getpid()}.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    try:
        with pytest.raises(EngineUnavailable, match="does not answer"):
            Containers(DockerConnection(f"unix://{path}")).start("x")
    finally:
        Path(path).unlink()


def test_a_socket_that_one_may_not_use_says_so(docker_wire: WireDocker) -> None:
    docker_wire.path.parent.chmod(0o711)
    docker_wire.path.chmod(0o600)
    os.seteuid(65534)
    try:
        with pytest.raises(EngineUnavailable, match="permission denied") as caught:
            DockerConnection(docker_wire.host).version()
    finally:
        os.seteuid(0)
    assert "Run as root" in (caught.value.fix or "")


def test_a_connection_cut_after_the_request_leaves_the_answer_unknown(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on(CREATE, cut)
    with pytest.raises(Unknown):
        Containers(connection).create("x", {"Image": "y"})
    assert any(r.startswith("POST") for r in docker_wire.requests), "it was sent"


def test_an_answer_cut_in_the_middle_is_unknown(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on(CREATE, raw(b'HTTP/1.1 201 Created\r\nContent-Length: 90\r\n\r\n{"Id": "ab'))
    with pytest.raises(Unknown):
        Containers(connection).create("x", {"Image": "y"})


def test_an_answer_that_is_no_json_is_unknown(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on(CREATE, raw(b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nmoin"))
    with pytest.raises(Unknown):
        Containers(connection).create("x", {"Image": "y"})


def test_an_answer_that_does_not_come_in_time_is_unknown(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    connection.timeout = 1
    docker_wire.on(CREATE, docker_wire.hang)
    with pytest.raises(Unknown, match="timed out"):
        Containers(connection).create("x", {"Image": "y"})


def test_a_stop_waits_longer_than_its_grace(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    connection.timeout = 1
    docker_wire.on("POST /containers/x/stop", docker_wire.hang)
    with pytest.raises(Unknown):
        Containers(connection).stop("x", 0.4)
    assert docker_wire.requests[-1].endswith("/containers/x/stop?t=0")


def test_a_refusal_carries_dockers_words_and_what_they_mean(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on(CREATE, reply(409, {"message": 'The container name "/x" is already in use'}))
    with pytest.raises(Refused, match="already in use") as caught:
        Containers(connection).create("x", {})
    assert (caught.value.refusal, caught.value.status) == (Refusal.CONFLICT, 409)


def test_an_error_without_any_body_is_still_a_refusal(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on(CREATE, raw(b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n"))
    with pytest.raises(Refused) as caught:
        Containers(connection).create("x", {})
    assert (caught.value.refusal, caught.value.status) == (Refusal.INFRA, 502)


def test_docker_comes_back_and_the_same_connection_works(docker_wire: WireDocker) -> None:
    connection = DockerConnection(docker_wire.host)
    hidden = docker_wire.path.with_suffix(".away")
    docker_wire.path.rename(hidden)
    with pytest.raises(EngineUnavailable):
        connection.version()
    hidden.rename(docker_wire.path)
    assert connection.version()["Version"] == "28.5.2"


def test_what_is_nobodys_network_trouble_passes_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), mapped("unix:///x"):
        raise ZeroDivisionError


def test_an_operating_system_error_without_a_known_cause_is_unknown() -> None:
    with pytest.raises(Unknown), mapped("unix:///x"):
        raise BrokenPipeError


NO_CONTAINERD = (
    'connection error: desc = "transport: Error while dialing dial unix '
    '/run/containerd/containerd.sock: connect: connection refused": unavailable'
)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (NO_CONTAINERD, EngineUnavailable),
        ("rpc error: code = Unavailable desc = transport is closing", Unknown),
        ("connection closed: unavailable", Unknown),
    ],
)
def test_a_docker_without_its_containerd_is_no_jobs_fault(
    docker_wire: WireDocker, connection: DockerConnection, message: str, error: type[Exception]
) -> None:
    docker_wire.on("POST /containers/x/start", reply(500, {"message": message}))
    with pytest.raises(error, match="containerd"):
        Containers(connection).start("x")
