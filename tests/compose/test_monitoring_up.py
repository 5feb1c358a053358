"""The profile `monitoring` on a Docker with networks, with Debian's Prometheus, without Grafana."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher.fakegpu.sandbox import Sandbox
from tests.compose.conftest import MakeStack, running
from tests.compose.stack import BASE, Stack, copy_repository
from tests.support.cloud import Cloud
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(600)
SERVICES = ("fake", "web", "prometheus")
DOCKERFILE = f"""\
FROM {BASE}
COPY prometheus /bin/prometheus
RUN mkdir /prometheus && chown 65534:65534 /prometheus
USER 65534:65534
ENTRYPOINT ["/bin/prometheus"]
"""


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this repository whose Prometheus looks often and whose alerts fire at once."""
    place = copy_repository(tmp_path_factory.mktemp("monitored"))
    directory = place / "compose" / "monitoring"
    config = yaml.safe_load((directory / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(config))
    rules = yaml.safe_load((directory / "launcher.rules.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    (directory / "launcher.rules.yaml").write_text(yaml.safe_dump(rules))
    (place / "prometheus").mkdir()
    shutil.copy2("/usr/bin/prometheus", place / "prometheus" / "prometheus")
    (place / "prometheus" / "Dockerfile").write_text(DOCKERFILE)
    return place


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Cloud(tmp_path_factory.mktemp("served")) as made:
        yield made


@pytest.fixture(scope="module")
def networked(disk: Path, monitored: Path, cloud: Cloud) -> Iterator[Sandbox]:
    """A Docker with networks and the images; they are built by one that reaches the registries."""
    for sandbox in running(Sandbox(disk, plain=True)):
        stack = with_prometheus(Stack(sandbox, monitored, "fake", None))
        stack.compose("build", "mounts", "prometheus")
    yield from running(Sandbox(disk, plain=True, netns=cloud.machine))


def with_prometheus(stack: Stack) -> Stack:
    """Have Debian's Prometheus in the place of an image that cannot be pulled here."""
    stack.extra["COMPOSE_PROFILES"] = "fake,monitoring"
    stack.extra["PROMETHEUS_IMAGE"] = "launcher-test/prometheus"
    stack.changes["prometheus"] = {"build": {"context": "../prometheus", "network": "host"}}
    return stack


class Page:
    """What this machine's loopback has."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def get(self, port: int, path: str) -> str:
        """Return a page, empty if nobody answers."""
        words = ["curl", "-sf", "--max-time", "5", f"http://127.0.0.1:{port}{path}"]
        done = subprocess.run(
            [*self.cloud.enter, *words], capture_output=True, text=True, check=False
        )
        return done.stdout

    def query(self, query: str) -> list[Any]:
        """Return what Prometheus has."""
        text = self.get(9090, f"/api/v1/query?query={query}")
        result: list[Any] = json.loads(text)["data"]["result"] if text else []
        return result

    def firing(self) -> set[str]:
        """Return the alerts that fire."""
        return {each["metric"]["alertname"] for each in self.query("ALERTS")}


def test_up_scrape_alert_upgrade_with_running_jobs_and_down(
    networked: Sandbox, monitored: Path, cloud: Cloud, make_stack: MakeStack
) -> None:
    stack = with_prometheus(make_stack(networked, "fake"))
    stack.repository, stack.directory = monitored, monitored / "compose"
    page = Page(cloud)
    stack.up("--no-build", *SERVICES)
    job = stack.running(stack.submit("sleep", "600"))
    wait_until(lambda: page.query("launcher_up"), timeout=60, what="Prometheus has the metrics")
    assert "1g.6gb" in page.get(8080, "/")
    assert 'launcher_jobs{state="running"' in page.get(8080, "/metrics")
    assert page.firing() == set()
    as_file = ("exec", "-T", "web", "cat", "/textfile/launcher.prom")
    is_up = "\nlauncher_up 1.0\n"
    wait_until(lambda: is_up in stack.compose(*as_file, check=False).stdout, 60, "its text file")
    assert stack.compose("exec", "-T", "web", "ls", "/var/lib/launcher-web").stdout, "its outbox"
    assert "notifications" not in stack.launch("status").stdout

    stack.compose("stop", "fake")
    wait_until(lambda: "LauncherDown" in page.firing(), timeout=60, what="the alert fires")

    upgrade = monitored / "upgrade"
    upgrade.mkdir()
    (upgrade / "Dockerfile").write_text("FROM launcher\nLABEL upgraded=1\n")
    before = {name: stack.container(name)["Image"] for name in SERVICES}
    subprocess.run(
        ["docker", "build", "-q", "-t", "launcher", str(upgrade)],
        env=stack.environment | {"DOCKER_BUILDKIT": "0"}, check=True, capture_output=True,
    )  # fmt: skip
    stack.up("--no-build", *SERVICES)
    changed = {name for name in SERVICES if stack.container(name)["Image"] != before[name]}
    assert changed == {"fake", "web"}
    assert stack.client.show(str(job.id)).job.state == "RUNNING"
    wait_until(lambda: not page.firing(), timeout=60, what="all is well again")
    assert stack.health() in ("starting", "healthy")

    pid = stack.pid_of(job)
    stack.compose("down", "--timeout", "10")
    left = [c["Id"] for c in stack.containers.running()]
    assert left == [job.container_id], "jobs go on, and nothing else does"
    assert Path(f"/proc/{pid}").exists()
    assert page.get(8080, "/healthz") == ""
