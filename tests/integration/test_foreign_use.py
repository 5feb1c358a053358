"""What others run on a slice keeps jobs off it, also where it came a moment before a start."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.engine.containers import Containers
from launcher.wire import GpuRequest, JobView
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, CONFIG, DaemonProcess
from tests.support.wait import wait_until

SELDOM = CONFIG.replace("inventory_seconds = 1.0", "inventory_seconds = 600.0")
TWO = GpuRequest(kind="profile", profile="2g.12gb")


def start(docker: Containers, name: str, *ids: str, **body: Any) -> None:
    """Start somebody else's container with devices of those names."""
    request = {"Driver": "", "DeviceIDs": list(ids), "Capabilities": [["gpu"]]}
    host = {"DeviceRequests": [request] if ids else None, "Init": True}
    docker.create(name, {"Image": BUSYBOX, "Cmd": ["sleep", "60"], "HostConfig": host} | body)
    docker.start(name)


def waits_for(daemon: DaemonProcess, job: JobView, words: str) -> None:
    """Wait until a job says that it waits for somebody else to go."""

    def said() -> bool:
        detail = daemon.client.show(str(job.id))
        return detail.job.reason == "ForeignUse" and words in detail.blockers[0].have

    wait_until(said, what=f"the job waits for {words}; {daemon.client.show(str(job.id))}")


def slices(daemon: DaemonProcess) -> list[Any]:
    return wait_until(daemon.client.slices, what="the slices are read")


@pytest.mark.parametrize("how", ["uuid", "index", "all"])
def test_a_container_that_came_since_the_last_poll_keeps_a_job_from_starting(
    make_daemon: MakeDaemon, docker: Containers, how: str
) -> None:
    daemon = make_daemon("A30:2g.12gb", config=SELDOM).start()
    (only,) = slices(daemon)
    start(docker, "web", {"uuid": only.uuid, "index": "0:0", "all": "all"}[how])
    job = daemon.submit("true", gpus=TWO)
    waits_for(daemon, job, "is used by the container web")
    assert [c["Names"] for c in docker.running()] == [["/web"]], "nothing was started beside it"
    docker.kill("web", "SIGKILL")
    assert daemon.done(job).outcome == "COMPLETED"


@contextlib.contextmanager
def program(directory: Path, name: str) -> Iterator[int]:
    """A process outside of any container; gives its pid."""
    path = directory / name
    shutil.copy(shutil.which("sleep") or "", path)
    with subprocess.Popen([path, "60"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def test_a_process_on_a_slice_keeps_jobs_off_it_unless_it_is_allowed(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    daemon = make_daemon("A30:2g.12gb").start()
    (only,) = slices(daemon)
    machine = daemon.machine
    with program(tmp_path, "nv-hostengine") as watcher, program(tmp_path, "train") as stranger:
        machine.add_process(only.uuid, watcher)
        assert daemon.done(daemon.submit("true", gpus=TWO)).outcome == "COMPLETED"
        wait_until(lambda: slices(daemon)[0].state == "free", what="it is proven free all the same")
        machine.add_process(only.uuid, stranger)
        job = daemon.submit("true", gpus=TWO)
        waits_for(daemon, job, f"is used by process {stranger}")
        machine.remove_process(stranger)
        assert daemon.done(job).outcome == "COMPLETED"


def test_a_container_that_is_allowed_by_its_name_keeps_nobody_off(
    make_daemon: MakeDaemon, docker: Containers
) -> None:
    config = CONFIG + '[foreign]\nallow = ["watcher"]\n'
    daemon = make_daemon("A30:2g.12gb", config=config).start()
    slices(daemon)
    start(docker, "watcher", "all")
    assert daemon.done(daemon.submit("true", gpus=TWO)).outcome == "COMPLETED"
    start(docker, "dcgm-exporter", "all")  # the default is no longer there
    waits_for(daemon, daemon.submit("true", gpus=TWO), "is used by the container dcgm-exporter")


def test_docker_tells_its_default_runtime_by_name(docker: Containers) -> None:
    start(docker, "plain")
    found = docker.inspect("plain")
    assert found is not None
    assert found.info["HostConfig"]["Runtime"] == "runc"


ON_1G = GpuRequest(kind="profile", profile="1g.10gb")
ON_3G = GpuRequest(kind="profile", profile="3g.40gb")
NODES_MAJOR = 240
"""A number that the kernel gives to no driver for good (Documentation/admin-guide/devices.txt)."""


def layout(daemon: DaemonProcess, *words: str) -> None:
    done = daemon.cli("layout", *words)
    assert done.returncode == 0, done.stderr


def states(daemon: DaemonProcess) -> dict[str, str]:
    return {s.profile: s.state for s in daemon.client.slices()}


def test_a_number_means_what_it_meant_when_its_container_was_started(
    make_daemon: MakeDaemon, docker: Containers
) -> None:
    daemon = make_daemon("H100-80GB:").start()
    layout(daemon, "create", "1g.10gb@6")
    start(docker, "web", "0:0")
    wait_until(lambda: states(daemon) == {"1g.10gb": "foreign"}, what="its use is seen")
    layout(daemon, "create", "3g.40gb@0")  # the number 0:0 is this one's now
    assert states(daemon) == {"3g.40gb": "free", "1g.10gb": "foreign"}
    daemon.stop()
    daemon.start()
    assert daemon.done(daemon.submit("true", gpus=ON_3G)).outcome == "COMPLETED"
    job = daemon.submit("true", gpus=ON_1G)
    waits_for(daemon, job, "is used by the container web")
    docker.kill("web", "SIGKILL")
    assert daemon.done(job).outcome == "COMPLETED"


def test_where_it_cannot_be_known_what_a_number_meant_it_may_be_any_slice_of_the_gpu(
    make_daemon: MakeDaemon, docker: Containers
) -> None:
    daemon = make_daemon("H100-80GB:").start()
    layout(daemon, "create", "1g.10gb@6")
    daemon.stop()
    start(docker, "web", "0:0")
    daemon.start()
    layout(daemon, "create", "3g.40gb@0")
    assert states(daemon) == {"3g.40gb": "foreign", "1g.10gb": "foreign"}
    waits_for(daemon, daemon.submit("true", gpus=ON_3G), "may be used by the container web")
    words = "may be used by the container web, which has MIG device 0:0"
    for verb in ("doctor", "slices"):
        assert words in daemon.cli(verb, "-o", "json").stdout
    assert words in daemon.cli("why", "1").stdout


@pytest.fixture
def capabilities(tmp_path: Path) -> Path:
    """A directory for device nodes of MIG instances, as the driver's are in /dev/nvidia-caps."""
    made = tmp_path / "caps"
    made.mkdir()
    return made


def with_nodes(machine: Path, made: Path, *names: str) -> list[dict[str, str]]:
    """Let a fake machine's driver tell its nodes; returns those of ``names`` for a container."""
    table = machine / "root/proc/driver/nvidia-caps/mig-minors"
    table.parent.mkdir(parents=True)
    instances = [f"gpu0/gi{gi}" for gi in range(15)]
    caps = [f"{i}{ci}/access" for i in instances for ci in ("", "/ci0", "/ci1")]
    minors = {name: number for number, name in enumerate(["config", "monitor", *caps], 1)}
    table.write_text("".join(f"{name} {minor}\n" for name, minor in minors.items()))
    devices = f"Character devices:\n{NODES_MAJOR} nvidia-caps\n\nBlock devices:\n"
    (machine / "root/proc/devices").write_text(devices)
    given = []
    for name in names:
        node = made / f"nvidia-cap{minors[name]}"
        os.mknod(node, stat.S_IFCHR | 0o444, os.makedev(NODES_MAJOR, minors[name]))
        inside = f"/dev/nvidia-caps/{node.name}"
        given.append({"PathOnHost": str(node), "PathInContainer": inside, "CgroupPermissions": "r"})
    return given


def test_a_number_means_the_slice_whose_device_nodes_its_container_has(
    make_daemon: MakeDaemon, docker: Containers, capabilities: Path
) -> None:
    daemon = make_daemon("H100-80GB:").start()
    layout(daemon, "create", "1g.10gb@6")
    (only,) = slices(daemon)
    instance = f"gpu0/gi{only.gi}"
    names = (f"{instance}/access", f"{instance}/ci{only.ci}/access")
    devices = with_nodes(daemon.machine.directory, capabilities, *names)
    daemon.stop()
    request = {"Driver": "", "DeviceIDs": ["0:0"], "Capabilities": [["gpu"]]}
    start(docker, "web", HostConfig={"DeviceRequests": [request], "Devices": devices, "Init": True})
    daemon.start()
    layout(daemon, "create", "3g.40gb@0")
    daemon.stop()
    daemon.start()
    assert states(daemon) == {"3g.40gb": "free", "1g.10gb": "foreign"}
    assert daemon.done(daemon.submit("true", gpus=ON_3G)).outcome == "COMPLETED"
    waits_for(daemon, daemon.submit("true", gpus=ON_1G), "is used by the container web")
