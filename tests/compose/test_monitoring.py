"""The profile `monitoring` as the real Compose reads it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.compose.stack import REPOSITORY, TOOLS

SERVICES = ("web", "prometheus", "grafana")


@pytest.fixture
def services(tmp_path: Path) -> dict[str, Any]:
    plugins = tmp_path / "cli-plugins"
    plugins.mkdir()
    tools = TOOLS / "trixie" / "usr"
    (plugins / "docker-compose").symlink_to(tools / "libexec/docker/cli-plugins/docker-compose")
    words = ["docker", "compose", "--profile", "fake", "--profile", "monitoring", "config"]
    done = subprocess.run(
        [*words, "--format", "json"],
        cwd=REPOSITORY / "compose",
        env={"PATH": f"{tools}/bin:/usr/bin:/bin", "HOME": "/", "DOCKER_CONFIG": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


def test_only_these_services_have_a_network_and_only_on_loopback(services: dict[str, Any]) -> None:
    networks = {name for name, each in services.items() if each.get("network_mode") != "none"}
    assert networks == set(SERVICES)
    for name in SERVICES:
        assert [port["host_ip"] for port in services[name]["ports"]] == ["127.0.0.1"]
        assert services[name]["cap_drop"] == ["ALL"]
        assert "docker.sock" not in json.dumps(services[name])
    assert services["web"]["user"] == "65534:65534"


def test_every_file_that_they_mount_is_there(services: dict[str, Any]) -> None:
    mounts = [m for name in SERVICES for m in services[name]["volumes"] if m["type"] == "bind"]
    files = [Path(m["source"]) for m in mounts if str(REPOSITORY) in m["source"]]
    assert len(files) > 5
    assert all(file.is_file() for file in files)
    assert all(m["read_only"] for m in mounts)
