"""What others run on a slice keeps jobs off it, also where it came a moment before a start."""

from __future__ import annotations

import contextlib
import shutil
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
