"""The network of jobs: made once, as Docker's default bridge is; another's is not used."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.engine.connection import DockerConnection
from launcher.engine.networks import (
    LABEL,
    NO_NETWORK,
    JobNetwork,
    Networks,
    is_network_missing,
    network_faults,
)
from launcher.network import INTERFACE, NETWORK
from tests.unit.engine.wire_docker import WireDocker, reply

BRIDGE, OURS = "/networks/bridge", f"/networks/{NETWORK}"
ICC, NAME = "com.docker.network.bridge.enable_icc", "com.docker.network.bridge.name"
MTU = "com.docker.network.driver.mtu"
DEFAULT = {"Name": "bridge", "Driver": "bridge", "Options": {MTU: "1400", ICC: "true"}}
MADE: dict[str, Any] = {
    "Name": NETWORK,
    "Driver": "bridge",
    "EnableIPv6": False,
    "Labels": {LABEL: "1"},
    "Options": {ICC: "false", NAME: INTERFACE, MTU: "1400"},
}
MISSING = reply(404, {"message": "network not found"})


@pytest.fixture
def networks(docker_wire: WireDocker) -> Networks:
    return Networks(DockerConnection(docker_wire.host))


def test_a_network_as_it_should_be_has_no_faults() -> None:
    assert network_faults(MADE) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"Labels": {}}, "no label"),
        ({"Labels": None}, "no label"),
        ({"Driver": "macvlan"}, "macvlan"),
        ({"Options": {ICC: "true", NAME: INTERFACE}}, "enable_icc is true"),
        ({"Options": {ICC: "false", NAME: "br-7"}}, "bridge.name is br-7"),
        ({"Options": None}, "enable_icc is None"),
        ({"EnableIPv6": True}, "IPv6"),
    ],
)
def test_another_network_of_that_name_is_not_used(
    change: dict[str, Any], word: str, docker_wire: WireDocker, networks: Networks
) -> None:
    docker_wire.on(f"GET {BRIDGE}", reply(200, DEFAULT))
    docker_wire.on(f"GET {OURS}", reply(200, MADE | change))
    found = networks.ensure()
    assert (found.name, networks.of_jobs()) == (None, None)
    assert word in (found.trouble or "")
    assert f"docker network rm {NETWORK}" in (found.fix or "")


def test_without_a_default_bridge_no_network_is_made(
    docker_wire: WireDocker, networks: Networks
) -> None:
    docker_wire.on(f"GET {BRIDGE}", MISSING)
    assert networks.ensure() == NO_NETWORK
    assert not [each for each in docker_wire.requests if "POST" in each]


def test_what_was_seen_is_kept_until_the_network_turns_out_to_be_missing(
    docker_wire: WireDocker, networks: Networks
) -> None:
    docker_wire.on(f"GET {BRIDGE}", reply(200, DEFAULT))
    docker_wire.on(f"GET {OURS}", reply(200, MADE))
    assert networks.of_one_start()() == NETWORK
    seen = len(docker_wire.requests)
    assert networks.of_one_start()() == NETWORK
    assert len(docker_wire.requests) == seen, "no start costs a call"
    docker_wire.on(f"GET {OURS}", MISSING)
    docker_wire.on("POST /networks/create", reply(201, {"Id": "x"}))
    assert networks.of_next_start()() == NETWORK
    assert [each for each in docker_wire.requests if "POST" in each]


def test_a_network_that_another_daemon_made_meanwhile_is_used(
    docker_wire: WireDocker, networks: Networks
) -> None:
    docker_wire.on(f"GET {BRIDGE}", reply(200, DEFAULT))
    docker_wire.on(f"GET {OURS}", MISSING, reply(200, MADE))
    docker_wire.on("POST /networks/create", reply(409, {"message": "already exists"}))
    assert networks.ensure() == JobNetwork(NETWORK)


def test_a_network_that_docker_cannot_make_leaves_jobs_on_the_default_one(
    docker_wire: WireDocker, networks: Networks
) -> None:
    docker_wire.on(f"GET {BRIDGE}", reply(200, DEFAULT))
    docker_wire.on(f"GET {OURS}", MISSING)
    docker_wire.on("POST /networks/create", reply(500, {"message": "cannot load br_netfilter"}))
    found = networks.ensure()
    assert (found.name, "cannot load br_netfilter" in (found.trouble or "")) == (None, True)


def test_only_dockers_words_about_this_network_mean_that_it_is_missing() -> None:
    assert is_network_missing(f"network {NETWORK} not found")
    assert not is_network_missing("network other not found")
