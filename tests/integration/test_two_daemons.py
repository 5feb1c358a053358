"""I13: one daemon per GPU on the machine, one per state directory."""

from __future__ import annotations

import subprocess

import pytest

from launcher.engine.containers import Containers
from launcher.errors import LauncherError
from launcher.wire import GpuRequest, LayoutEntry, LayoutRequest, LayoutSpec
from tests.conftest import MakeDaemon
from tests.support.daemon import DaemonProcess
from tests.support.wait import wait_until

CPU = GpuRequest(kind="none")


def test_i13_the_second_daemon_on_a_gpu_refuses_to_lease_and_says_who_has_it(
    make_daemon: MakeDaemon,
) -> None:
    first = make_daemon().start()
    second = make_daemon(machine=first.machine).start()
    assert {s.state for s in second.client.slices()} == {"foreign"}
    waiting = second.submit("true")
    assert first.process is not None
    blocker = second.blocker_of(waiting)
    assert blocker.kind == "ForeignUse"
    assert f"pid {first.process.pid}" in blocker.have
    assert first.done(first.submit("true")).outcome == "COMPLETED"
    assert second.done(second.submit("true", gpus=CPU)).outcome == "COMPLETED"
    first.stop()
    assert second.done(waiting).outcome == "COMPLETED"


def test_i13_a_container_of_another_store_counts_as_use(
    make_daemon: MakeDaemon, docker: Containers
) -> None:
    first = make_daemon().start()
    job = first.until(first.submit("sleep", "600"), "RUNNING")
    first.kill()
    second = make_daemon(machine=first.machine).start()
    used = next(s for s in second.client.slices() if s.uuid == job.slices[0])
    assert (used.state, "launch-" in (used.why or "")) == ("foreign", True)
    jobs = [second.done(second.submit("true")) for _ in range(4)]
    assert all(done.slices != job.slices for done in jobs)
    docker.kill(job.container_id or "", "SIGKILL")
    wait_until(
        lambda: all(s.state == "free" for s in second.client.slices()),
        timeout=20,
        what="the slice is free when that container ended",
    )


def test_a_state_directory_in_use_is_refused_with_the_pid(make_daemon: MakeDaemon) -> None:
    first = make_daemon().start()
    second = DaemonProcess(first.docker_host, first.machine, first.state)
    try:
        second.start(wait=False)
        assert second.process is not None
        assert first.process is not None
        assert second.process.wait(20) == 1
        assert f"in use by another launcher daemon (pid {first.process.pid})" in second.tail()
        assert "Traceback" not in second.tail()
    finally:
        second.close()


def test_a_socket_in_use_is_refused(make_daemon: MakeDaemon) -> None:
    first = make_daemon().start()
    second = make_daemon()
    second.socket = first.socket
    command = ["serve", "--state-dir", str(second.state), "--docker-host", second.docker_host]
    found: subprocess.CompletedProcess[str] = second.cli(*command, "--socket", str(first.socket))
    assert found.returncode == 2
    assert "another daemon listens on" in found.stderr


def test_i13_the_layout_of_a_gpu_belongs_to_the_daemon_that_has_it(make_daemon: MakeDaemon) -> None:
    first = make_daemon("A30:").start()
    second = make_daemon(machine=first.machine).start()
    entry = LayoutEntry(gpus=["0"], specs=[LayoutSpec(profile="1g.6gb")])
    wanted = LayoutRequest(verb="apply", request="1g.6gb", entries=[entry])
    with pytest.raises(LauncherError, match="claimed by another launcher daemon"):
        second.client.layout.change(wanted)
    begun = first.client.layout.change(wanted)
    assert first.client.layout.wait(begun.id, 20).result == "applied"
