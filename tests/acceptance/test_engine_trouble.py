"""A daemon without Docker, and with a Docker that cannot hand out GPUs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.fakegpu.sandbox import Sandbox
from tests.acceptance.conftest import MakeShell
from tests.acceptance.shell import Shell
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.wait import wait_until

MakeSandbox = Callable[..., Sandbox]


@pytest.fixture
def make_sandbox(tmp_path: Path) -> Iterator[MakeSandbox]:
    """Make a Docker of the test's own, not started."""
    made: list[Sandbox] = []

    def make(**options: bool) -> Sandbox:
        made.append(Sandbox(tmp_path / f"sandbox-{len(made)}", **options))
        return made[-1]

    yield make
    for sandbox in made:
        sandbox.stop()


@pytest.fixture
def without_docker(
    make_sandbox: MakeSandbox, make_daemon: MakeDaemon
) -> tuple[DaemonProcess, Sandbox]:
    """A daemon whose Docker does not run yet."""
    sandbox = make_sandbox()
    with sandbox:  # its image is there when it comes: no job looks for it elsewhere
        sandbox.import_busybox(BUSYBOX)
    return make_daemon(docker_host=sandbox.docker_host).start(), sandbox


@pytest.fixture
def without_hook(make_sandbox: MakeSandbox, make_daemon: MakeDaemon) -> DaemonProcess:
    """A daemon whose Docker knows nothing of NVIDIA."""
    sandbox = make_sandbox(gpu_support=False)
    sandbox.start()
    sandbox.import_busybox(BUSYBOX)
    return make_daemon(docker_host=sandbox.docker_host).start()


def test_without_docker_the_daemon_runs_and_says_that_it_is_degraded(
    without_docker: tuple[DaemonProcess, Sandbox], shell_for: MakeShell
) -> None:
    daemon, sandbox = without_docker
    launch = shell_for(daemon)
    status = launch("status")
    assert status.code == 1
    assert re.search(r"(?m)^state: +degraded$", status.text)
    assert f"cannot reach Docker at {sandbox.docker_host}" in status.text
    document = launch("status", "-o", "json").json
    assert (document["state"], document["docker"]) == ("degraded", None)
    doctor = launch("doctor")
    assert doctor.code == 1
    assert re.search(r"(?m)^docker +problem +cannot reach Docker", doctor.text)
    assert "docker: Start it (`systemctl start docker`)" in doctor.err
    assert len(launch("slices", "-o", "name").ok().text.split()) == 4


def test_without_docker_jobs_wait_and_say_why_and_run_once_it_is_there(
    without_docker: tuple[DaemonProcess, Sandbox], shell_for: MakeShell
) -> None:
    daemon, sandbox = without_docker
    launch = shell_for(daemon)
    words = ("--profile", "1g.6gb", BUSYBOX, "echo", "at last")
    running = launch.start("run", *words)
    running.says("waits: ")
    running.says("EngineUnavailable: needs 1 x 1g.6gb, cannot reach Docker at")
    assert "EngineUnavailable" in launch("show", "last").ok().text
    assert "EngineUnavailable" in launch("ps").ok().text
    sandbox.start()
    ended = running.end()
    assert (ended.code, ended.out) == (0, b"at last\n")
    wait_until(lambda: launch("status").code == 0, what="the daemon is healthy again")


def test_without_docker_host_jobs_run_but_slices_wait_and_say_why(
    without_docker: tuple[DaemonProcess, Sandbox], shell_for: MakeShell
) -> None:
    daemon, sandbox = without_docker
    launch = shell_for(daemon)
    assert launch("host", "-q", "--", "echo", "no GPU").ok().text == "no GPU\n"
    number = launch("host", "-d", "--", "echo", "in the background").ok().text.strip()
    assert launch("wait", number).code == 0
    running = launch.start("host", "--profile", "1g.6gb", "--", "echo", "at last")
    running.says("EngineUnavailable: needs 1 x 1g.6gb, no slice is leased while Docker cannot tell")
    assert "no slice is leased while Docker cannot tell" in launch("why", "last").ok().text
    sandbox.start()
    assert running.end().ok().text == "at last\n"


def test_without_nvidias_hook_host_jobs_have_slices(
    without_hook: DaemonProcess, shell_for: MakeShell
) -> None:
    launch = shell_for(without_hook)
    waiting(launch)
    assert launch("host", "-q", "--profile", "1g.6gb", "--", "echo", "a slice").ok().text


def waiting(launch: Shell) -> str:
    """What is said of a GPU job that waits; it is queued here."""
    running = launch.start("run", "--profile", "1g.6gb", BUSYBOX, "true")
    running.says("waits: ")
    return running.err


def test_without_nvidias_hook_a_gpu_job_waits_and_names_what_to_install(
    without_hook: DaemonProcess, shell_for: MakeShell
) -> None:
    launch = shell_for(without_hook)
    assert "nvidia-container-toolkit" in waiting(launch)
    assert "nvidia-container-toolkit" in launch("ps").ok().text
    status = launch("status")
    assert status.code == 1
    assert "nvidia-container-toolkit" in status.text


def test_without_nvidias_hook_other_jobs_run_and_doctor_says_what_is_missing(
    without_hook: DaemonProcess, shell_for: MakeShell
) -> None:
    launch = shell_for(without_hook)
    waiting(launch)
    assert launch("run", BUSYBOX, "echo", "no GPU").ok().out == b"no GPU\n"
    (check,) = [c for c in launch("doctor", "-o", "json").json if c["check"] == "gpu-support"]
    assert check["state"] in ("warning", "problem")
    assert "nvidia-container-toolkit" in check["fix"]
    assert "restart Docker" in check["fix"]
    job = launch("ps", "-o", "name").ok().text.strip()
    shown = launch("show", job, "-o", "json").ok().json
    assert (shown["state"], shown["outcome"]) == ("PENDING", None)
    assert {s["state"] for s in launch("slices", "-o", "json").ok().json} == {"free"}
