"""compose/ of a copy of this repository, on a sandboxed dockerd, by the real Compose."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

from launcher import Client
from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers
from launcher.errors import EngineUnavailable, LauncherError
from launcher.fakegpu import Machine
from launcher.fakegpu.processes import unmount_below
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import GpuRequest, JobSpec, JobView
from tests.support.daemon import LAUNCH, as_user
from tests.support.wait import wait_until

REPOSITORY = Path(__file__).parents[2]
TOOLS = REPOSITORY / ".sandbox" / "compose"
BASE = "launcher-test/base:latest"
IMAGE = "busybox:latest"
PROFILE = GpuRequest(kind="profile", profile="1g.6gb")
NONE = GpuRequest(kind="none")


def copy_repository(place: Path) -> Path:
    """Copy what git knows here, as a clone of it is."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=REPOSITORY, capture_output=True, check=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file() and not name.startswith("tests/"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, place / name)
    return place


class Stack:
    """One Compose project with a copy of the repository; ``service`` is its daemon's.

    It reaches the package registries through the host's network, for the sandbox has none, and is
    asked every second whether it is healthy. Everything else is as in the repository.
    """

    def __init__(
        self, sandbox: Sandbox, repository: Path, service: str, machine: Machine | None
    ) -> None:
        self.sandbox, self.repository, self.service = sandbox, repository, service
        self.directory = repository / "compose"
        self.name = f"test{secrets.token_hex(4)}"
        self.run = Path("/run") / f"launcher-{self.name}"
        self.socket = self.run / "launcher.sock"
        self.client = Client(str(self.socket))
        self.containers = Containers(DockerConnection(sandbox.docker_host))
        self.extra: dict[str, str] = {}
        """More variables of Compose's environment."""
        self.changes: dict[str, dict[str, Any]] = {
            "mounts": {"build": {"network": "host"}},
            service: {"healthcheck": {"interval": "1s"}},
        }
        if machine is not None:
            for name in ("launcher", "layout"):
                self.changes.setdefault(name, {}).update(_card(machine))

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a shell in which Compose is the unpacked one."""
        tools = TOOLS / "trixie" / "usr"
        config = self.repository / ".docker"
        plugins = config / "cli-plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        plugin = plugins / "docker-compose"
        if not plugin.exists():
            plugin.symlink_to(tools / "libexec/docker/cli-plugins/docker-compose")
        return {
            "PATH": f"{tools}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.repository),
            "DOCKER_CONFIG": str(config),
            "DOCKER_HOST": self.sandbox.docker_host,
            "COMPOSE_PROJECT_NAME": self.name,
            "COMPOSE_FILE": f"compose.yaml:{self._override()}",
            "DOCKER_SOCKET": str(self.sandbox.socket),
            "LAUNCHER_RUN": str(self.run),
            "BASE": BASE,
            **({"COMPOSE_PROFILES": "fake"} if self.service == "fake" else {}),
            **self.extra,
        }

    def _override(self) -> Path:
        place = self.repository / "override.json"
        place.write_text(json.dumps({"services": self.changes}))
        return place

    def compose(
        self, *words: str, check: bool = True, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run ``docker compose``; with ``check`` it must succeed."""
        done = subprocess.run(
            ["docker", "compose", "--ansi", "never", "--progress", "plain", *words],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if check:
            told = f"{words}: {done.stdout}\n{done.stderr}\n{self._logs()}"
            assert done.returncode == 0, told
        return done

    def _logs(self) -> str:
        return self.compose("logs", check=False).stdout

    def logs(self, service: str) -> str:
        """Return what a service has written."""
        return self.compose("logs", "--no-log-prefix", service).stdout

    def up(self, *words: str) -> Stack:
        """Bring it up; returns once the daemon schedules."""
        self.compose("up", "-d", *words)
        wait_until(self.answers, timeout=60, what="the daemon answers")
        with contextlib.suppress(EngineUnavailable):  # some tests have no Docker
            self.client.publish([IMAGE])  # everybody's, as an admin makes it
        return self

    def until_answers(self) -> None:
        """Wait until somebody answers, also in recovery mode."""

        def told() -> bool:
            return self.launch("status").returncode <= 1

        wait_until(told, timeout=30, what="the daemon answers")

    def until_failed(self) -> None:
        """Wait until the daemon's last words are there."""
        words = Path(f"{self.socket}.failed")
        wait_until(words.exists, timeout=30, what="the daemon fails to start")

    def answers(self) -> bool:
        """Whether the daemon answers and schedules."""
        try:
            problems = self.client.status().problems
        except LauncherError:
            return False
        return not any("compares its records" in problem for problem in problems)

    def container(self, service: str | None = None) -> dict[str, Any]:
        """Return what Docker says of a service's container."""
        found = self.containers.inspect(f"{self.name}-{service or self.service}-1")
        assert found is not None
        return found.info

    @property
    def pid(self) -> int:
        """The pid of the daemon."""
        return int(self.container()["State"]["Pid"])

    def health(self) -> str:
        """Return Docker's word for the daemon's container."""
        return str(self.container()["State"]["Health"]["Status"])

    def submit(self, *command: str, uid: int = 0, **fields: Any) -> JobView:
        """Queue a job of a user on one 1g.6gb slice, unless ``gpus`` says otherwise."""
        fields = {
            "name": "test",
            "image": IMAGE,
            "gpus": PROFILE,
            "stop_grace_period": 1.0,
        } | fields
        with as_user(uid):
            return self.client.submit([JobSpec(command=list(command), **fields)])[0]

    def running(self, job: JobView) -> JobView:
        """Wait until a job runs."""
        name = str(job.id)
        wait_until(lambda: self.client.show(name).job.state == "RUNNING", what=f"job {name} runs")
        return self.client.show(name).job

    def pid_of(self, job: JobView) -> int:
        """Return the pid of a running job's container."""
        found = self.containers.inspect(job.container_id or "")
        assert found is not None
        assert found.running
        return found.pid

    def launch(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the host's command against this daemon."""
        environment = {"PATH": os.environ["PATH"], "LAUNCHER_SOCKET": str(self.socket)}
        options = {"cwd": "/", "timeout": 60, **options}
        return subprocess.run(
            [*options.pop("before", []), *LAUNCH, *words],
            env=environment, capture_output=True, text=True, check=False, **options,
        )  # fmt: skip

    def close(self) -> None:
        """Take everything away."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5", check=False)
        for left in self.containers.of_any_store():
            self.containers.remove(left["Id"])
        unmount_below(self.run)
        shutil.rmtree(self.run, ignore_errors=True)


def _card(machine: Machine) -> dict[str, Any]:
    """Put a simulated card into a container, as NVIDIA's toolkit puts the driver's library there.

    The library is the fake GPU's without the mark that it is one: to the launcher it is a real one.
    """
    library = machine.directory / "card"
    return {
        "volumes": [f"{library}:/usr/local/nvidia/lib:ro", f"{machine.directory}:/card"],
        "environment": {
            "LD_LIBRARY_PATH": "/usr/local/nvidia/lib",
            "FAKEGPU_STATE": "/card/machine.state",
        },
    }
