"""The unit that makes the firewall's rules for the network of jobs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.support.wait import wait_until
from tests.systemd.conftest import is_active, systemctl

STATE = Path("/run/launcher/network.json")


def test_the_timer_runs_with_the_service_and_the_unit_leaves_what_it_found() -> None:
    assert is_active("launcher-network.timer")
    assert systemctl("is-enabled", "launcher-network.service") == "enabled"
    STATE.unlink(missing_ok=True)
    systemctl("start", "launcher-network.service")
    found = json.loads(STATE.read_text())
    rules = subprocess.run(["iptables", "-w", "-S"], capture_output=True, text=True, check=False)
    assert found["managed"] == ("-N DOCKER-USER\n" in rules.stdout), rules.stderr
    assert not found["failed"]


def test_the_unit_starts_again_with_docker() -> None:
    assert "launcher-network.service" in systemctl("show", "-P", "Wants", "docker.service")
    STATE.unlink(missing_ok=True)
    systemctl("restart", "docker.service")
    wait_until(STATE.exists, timeout=20)
