"""Doctor about the network of jobs: what it is, what jobs reach there, and what to do."""

from __future__ import annotations

import pytest

from launcher.daemon.doctor.finding import Finding
from launcher.daemon.doctor.network import METADATA, NAME, check, findings
from launcher.engine.networks import NO_NETWORK, JobNetwork
from launcher.network import NETWORK
from launcher.network.firewall import FirewallState

OURS, GOOD = JobNetwork(NETWORK), FirewallState(managed=True)
UNMANAGED = FirewallState(False, "there is no chain", "no rule")


def told(
    network: JobNetwork = OURS,
    state: FirewallState | None = GOOD,
    backend: str | None = None,
    contained: bool = False,
) -> dict[str, Finding]:
    return {each.check: each for each in findings(network, state, backend, contained)}


def states(found: dict[str, Finding]) -> list[str]:
    return [found[name].state for name in (NAME, METADATA)]


def test_all_is_well_where_docker_manages_the_firewall() -> None:
    assert states(told()) == ["ok", "ok"]
    assert states(told(backend="iptables+firewalld")) == ["ok", "ok"]


def test_a_per_user_daemon_leaves_dockers_network_alone() -> None:
    (found,) = check("unix:///nowhere", system=False, contained=False)
    assert (found.state, "Docker's default network" in found.message) == ("ok", True)


def test_a_docker_without_a_default_bridge_is_said_to_be_one() -> None:
    (found,) = told(NO_NETWORK).values()
    assert (found.state, "--bridge=none" in found.message) == ("ok", True)


def test_a_network_that_is_not_used_is_a_warning_with_what_to_do() -> None:
    (found,) = told(JobNetwork(None, trouble="no label", fix="Remove it.")).values()
    assert (found.state, found.fix) == ("warning", "Remove it.")
    assert "reach each other: no label" in found.message


def test_without_dockers_firewall_jobs_reach_each_other_and_the_metadata_address() -> None:
    found = told(state=UNMANAGED)
    assert states(found) == ["warning", "warning"]
    assert "there is no chain" in found[METADATA].message
    assert "your own firewall" in (found[METADATA].fix or "")
    assert "br_netfilter" in (found[NAME].fix or "")


def test_with_nftables_docker_keeps_jobs_apart_but_the_metadata_address_is_open() -> None:
    found = told(state=UNMANAGED, backend="nftables")
    assert states(found) == ["ok", "warning"]
    assert "nftables" in found[METADATA].message


@pytest.mark.parametrize(
    ("contained", "word"), [(True, "in a container"), (False, "launcher-network has not run")]
)
def test_what_the_daemon_cannot_see_is_said_to_be_unknown(contained: bool, word: str) -> None:
    found = told(state=None, contained=contained)[METADATA]
    assert (found.state, word in found.message) == ("warning", True)
    assert "launch help containers" in (found.fix or "")


def test_rules_that_nothing_leads_to_need_a_restart_of_docker() -> None:
    found = told(state=FirewallState(True, "FORWARD does not lead there"))[METADATA]
    assert (found.state, found.fix) == ("warning", "Restart Docker.")
