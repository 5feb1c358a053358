"""The daemon's part in the network of jobs: what it makes, and what it tells of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from launcher.daemon.loop.health import Health
from launcher.daemon.machine.job_network import firewall_state, keep_network
from launcher.engine.networks import NO_NETWORK, JobNetwork
from launcher.errors import EngineUnavailable
from launcher.network import NETWORK, firewall, state_file
from launcher.network.firewall import FirewallState

REFUSED = FirewallState(True, "`iptables -I` failed: no", failed=True)


@dataclass
class Docker:
    """A Docker with this network, and its dockerd."""

    network: JobNetwork = field(default_factory=lambda: JobNetwork(NETWORK))
    pid: int | None = field(default_factory=os.getpid)
    is_away: bool = False

    @property
    def networks(self) -> Docker:
        return self

    def ensure(self) -> JobNetwork:
        if self.is_away:
            raise EngineUnavailable("it does not answer")
        return self.network

    def incarnation(self) -> SimpleNamespace | None:
        return None if self.pid is None else SimpleNamespace(pid=self.pid)


@pytest.fixture
def applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note when the firewall is changed, by a process that may; no unit has run."""
    done: list[str] = []

    def apply() -> FirewallState:
        done.append("apply")
        return REFUSED

    monkeypatch.setattr(firewall, "apply", apply)
    monkeypatch.setattr(firewall, "look", lambda: FirewallState(managed=True))
    monkeypatch.setattr(firewall, "may_change", lambda: True)
    monkeypatch.setattr(state_file, "read", lambda: None)
    return done


def problems(docker: Docker) -> list[str]:
    health = Health()
    keep_network(docker, health)  # type: ignore[arg-type]
    return health.problems()


def test_a_daemon_that_may_makes_the_rules_and_tells_if_they_are_refused(
    applied: list[str],
) -> None:
    assert problems(Docker()) == [REFUSED.metadata]
    assert applied == ["apply"]


@pytest.mark.parametrize("docker", [Docker(pid=None), Docker(pid=2**22 + 1)])
def test_the_firewall_of_another_machine_is_neither_changed_nor_told_of(
    docker: Docker, applied: list[str]
) -> None:
    assert problems(docker) == []
    assert firewall_state(docker) is None  # type: ignore[arg-type]
    assert applied == []


def test_without_a_network_of_jobs_there_are_no_rules_for_it(applied: list[str]) -> None:
    assert problems(Docker(NO_NETWORK)) == []
    assert problems(Docker(JobNetwork(None, trouble="not ours"))) == ["not ours"]
    assert applied == []


def test_while_docker_is_away_nothing_happens(applied: list[str]) -> None:
    assert problems(Docker(is_away=True)) == []
    assert applied == []


def test_a_daemon_that_may_not_tells_what_the_unit_found(
    applied: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firewall, "may_change", lambda: False)
    for found, told in ((REFUSED, [REFUSED.metadata]), (FirewallState(False, "none"), [])):
        monkeypatch.setattr(state_file, "read", lambda found=found: found)
        assert problems(Docker()) == told
        assert firewall_state(Docker()) == found  # type: ignore[arg-type]
    assert applied == []
