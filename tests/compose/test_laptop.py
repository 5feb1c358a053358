"""`docker compose --profile fake up` on an ordinary Docker, and what a fake GPU's jobs get."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from launcher import __version__
from launcher.engine.connection import DockerConnection
from launcher.fakegpu import Machine
from launcher.fakegpu.sandbox import Sandbox
from tests.compose.conftest import MakeStack
from tests.compose.stack import IMAGE, REPOSITORY, Stack
from tests.support.daemon import DaemonProcess
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(300)


def test_the_fake_profile_runs_gpu_jobs_where_there_is_nothing_of_nvidia(laptop: Stack) -> None:
    laptop.up("--build")
    done = laptop.launch("status")
    assert done.returncode == 0
    assert "not real" in done.stdout
    show = "echo $LAUNCHER_PROFILE $NVIDIA_VISIBLE_DEVICES"
    done = laptop.launch("run", "--profile", "1g.6gb", IMAGE, "--", "sh", "-c", show)
    assert (done.returncode, done.stdout) == (0, "1g.6gb void\n"), done.stderr
    jobs = [laptop.running(laptop.submit("sleep", "30")) for _ in range(4)]
    assert len({job.slices[0] for job in jobs}) == 4
    assert len({job.container_id for job in jobs}) == 4
    fifth = laptop.submit("true")
    wait_until(
        lambda: laptop.client.show(str(fifth.id)).job.reason == "Resources", what="the fifth waits"
    )
    assert laptop.launch("doctor").stdout.count("the GPU is not real") == 1
    words = ("exec", "-T", "fake", "launch", "cancel", *(str(job.id) for job in jobs))
    laptop.compose(*words)
    assert laptop.client.wait(str(fifth.id), timeout=30).outcome == "COMPLETED"
    before = laptop.container()["Id"], laptop.container("mounts")["Id"]
    laptop.up("--build")
    assert (laptop.container()["Id"], laptop.container("mounts")["Id"]) == before, "nothing is new"
    done = laptop.launch("layout", "apply", "--exact", "2g.12gb:2")
    assert (done.returncode, "applied and verified" in done.stderr) == (0, True), done.stderr


def test_the_image_has_what_the_daemon_needs_and_no_more(laptop: Stack) -> None:
    laptop.compose("build")
    script = (
        "for each in cc gcc pip3 git; do command -v $each; done; ls /src /pip /opt/launcher/bin/pip"
    )
    found = laptop.compose("run", "--rm", "--no-deps", "fake", "sh", "-c", script, check=False)
    assert found.stdout == ""
    labels = (
        DockerConnection(laptop.sandbox.docker_host)
        .api()
        .inspect_image("launcher")["Config"]["Labels"]
    )
    assert labels["org.opencontainers.image.version"] == __version__
    names = laptop.compose(
        "run", "--rm", "--no-deps", "fake", "sh", "-c", "ls -d /opt/launcher/lib/*/site-packages/*"
    ).stdout
    assert "/launcher" in names
    assert not [name for name in ("pytest", "mypy", "ruff", "/tests") if name in names]


def test_serve_with_a_fake_gpu_does_the_same_outside_of_compose(
    plain_docker: Sandbox, tmp_path: Path
) -> None:
    made = Machine.create(tmp_path / "machine", "A30:1g.6gb*4")
    daemon = DaemonProcess(plain_docker.docker_host, made, tmp_path / "state")
    try:
        daemon.start()
        assert daemon.client.status().fake_gpu
        job = daemon.submit("sh", "-c", "echo $NVIDIA_VISIBLE_DEVICES", image=IMAGE)
        assert daemon.done(job).outcome == "COMPLETED"
        assert daemon.output(job) == b"void\n"
        daemon.kill()
        daemon.start()
        assert daemon.done(daemon.submit("true", image=IMAGE)).outcome == "COMPLETED"
    finally:
        daemon.close()


def test_no_toolkit_is_said_in_the_logs_and_by_status(
    plain_docker: Sandbox, make_stack: MakeStack
) -> None:
    stack = make_stack(plain_docker, "launcher")
    done = stack.compose("up", "-d", check=False)
    assert done.returncode != 0
    words = "Docker cannot hand out GPUs: install nvidia-container-toolkit and restart Docker"
    assert words in stack.logs("check")
    status = stack.launch("status")
    assert (status.returncode, words in status.stderr) == (3, True)
    assert "docker compose --profile fake up -d" in status.stderr
    assert stack.containers.inspect(f"{stack.name}-launcher-1") is not None
    left = [c["Names"] for c in stack.containers.running()]
    assert not [names for names in left if "precheck" in names[0]]


def test_a_socket_that_is_not_there_is_said_by_the_daemon(laptop: Stack, tmp_path: Path) -> None:
    laptop.extra["DOCKER_SOCKET"] = str(tmp_path / "docker.sock")
    laptop.up()
    wait_until(lambda: laptop.health() != "starting", timeout=60, what="Docker asks for its health")
    assert laptop.health() == "healthy", "a degraded daemon serves"
    status = laptop.launch("status")
    assert status.returncode == 1
    for told in (status.stdout, laptop.logs("fake")):
        assert "that is a directory, not a socket" in told


def test_a_state_that_cannot_be_written_is_said_in_the_logs_and_by_status(
    laptop: Stack, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    state.chmod(0o500)
    subprocess.run(["chown", "5:5", str(state)], check=True)
    laptop.changes["fake"]["volumes"] = [f"{state}:/var/lib/launcher"]
    laptop.compose("up", "-d")
    said = "/var/lib/launcher"
    laptop.until_failed()
    status = laptop.launch("status")
    assert status.returncode == 3
    for told in (status.stderr, laptop.logs("fake")):
        assert said in told
        assert "Permission denied" in told


def test_a_mistake_in_the_configuration_is_said_in_the_logs_and_by_status(
    laptop: Stack, tmp_path: Path
) -> None:
    config = tmp_path / "launcher.toml"
    config.write_text("cpu_slot = 2\n")
    laptop.changes["fake"]["volumes"] = [f"{config}:/etc/launcher/launcher.toml:ro"]
    laptop.compose("up", "-d")
    laptop.until_failed()
    status = laptop.launch("status")
    for told in (status.stderr, laptop.logs("fake")):
        assert "unknown key 'cpu_slot'" in told
    config.write_text("cpu_slots = 2\n")
    laptop.up()
    assert laptop.client.status().state == "healthy"


def test_a_fake_gpu_that_cannot_be_is_said_in_the_logs_and_by_status(laptop: Stack) -> None:
    laptop.extra["FAKE_GPU"] = "B30:1g"
    laptop.compose("up", "-d")
    laptop.until_failed()
    for told in (laptop.launch("status").stderr, laptop.logs("fake")):
        assert "B30" in told


def test_a_newer_state_volume_is_left_alone_and_said(laptop: Stack) -> None:
    laptop.up()
    laptop.compose("down")
    script = (
        "import sqlite3; c = sqlite3.connect('/var/lib/launcher/launcher.db');"
        "c.execute('PRAGMA user_version = 9999'); c.commit()"
    )
    laptop.compose("run", "--rm", "--no-deps", "fake", "python3", "-c", script)
    laptop.compose("up", "-d")
    laptop.until_answers()
    status = laptop.launch("status")
    assert status.returncode == 1
    for told in (status.stdout, laptop.logs("fake")):
        assert "recovery mode" in told
        assert "newer" in told


def test_every_right_of_a_container_is_explained(repository: Path) -> None:
    """Each capability and each of the host's namespaces has its line in compose/README.md."""
    text = (REPOSITORY / "compose" / "README.md").read_text()
    services = {}
    for name in ("compose.yaml", "services.yaml"):
        found = yaml.safe_load((REPOSITORY / "compose" / name).read_text())["services"]
        services |= found
    wanted = {capability for s in services.values() for capability in s.get("cap_add", [])}
    assert wanted, "the services have some"
    assert {c for c in wanted if f"`{c}`" not in text} == set()
    for right in ("pid: host", "userns_mode: host", "apparmor=unconfined", "docker.sock"):
        assert right in text
    assert services["common"]["cap_drop"] == ["ALL"]


def test_the_example_configuration_is_valid_and_its_comments_are_the_defaults() -> None:
    text = (REPOSITORY / "compose" / "launcher.toml").read_text()
    assert tomllib.loads(text) is not None
    opened = "\n".join(line.removeprefix("# ") for line in text.splitlines() if " = " in line)
    assert json.dumps(tomllib.loads(opened))


def test_a_daemon_that_is_told_to_stop_is_not_started_again_until_it_is_asked_for(
    laptop: Stack,
) -> None:
    laptop.up()
    job = laptop.running(laptop.submit("sh", "-c", "sleep 2; exit 5"))
    assert laptop.launch("stop", "--drain").returncode == 0
    later = laptop.submit("true")
    wait_until(lambda: not laptop.container()["State"]["Running"], timeout=30, what="it is drained")
    laptop.compose("ps")  # a while in which Docker would have started it again
    state = laptop.container()
    assert (state["State"]["Status"], state["RestartCount"]) == ("exited", 0)
    laptop.up()
    assert laptop.client.show(str(job.id)).job.exit_code == 5
    assert laptop.client.wait(str(later.id), timeout=30).outcome == "COMPLETED"
    assert laptop.launch("stop").returncode == 0
    wait_until(lambda: not laptop.container()["State"]["Running"], timeout=30, what="it has ended")
