"""The private dockerd and its stub NVIDIA hook, for real."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest
from docker.types import DeviceRequest

from launcher.errors import LauncherError, UserError
from launcher.fakegpu import Machine
from launcher.fakegpu.hook import NAME, StubHook
from launcher.fakegpu.processes import command_line, with_argument
from launcher.fakegpu.sandbox import Sandbox, main
from tests.support.wait import wait_until

IMAGE = "launcher/busybox:latest"


def gpus(*uuids: str) -> list[DeviceRequest]:
    return [DeviceRequest(device_ids=list(uuids), capabilities=[["gpu", "compute", "utility"]])]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        sandbox.import_busybox(IMAGE)
        yield sandbox


@pytest.fixture
def sandbox(shared: Sandbox) -> Iterator[Sandbox]:
    yield shared
    shared.hook.allow()
    shared.hook.check_devices(None)


@pytest.fixture
def client(shared: Sandbox) -> Iterator[docker.DockerClient]:
    connected = docker.DockerClient(base_url=shared.docker_host)
    yield connected
    for container in connected.containers.list(all=True):
        container.remove(force=True)
    connected.close()


def run_to_end(client: docker.DockerClient, command: list[str], **more) -> tuple[int, str, str]:
    """(exit code, output, container id)."""
    container = client.containers.run(IMAGE, command, detach=True, **more)
    code = container.wait()["StatusCode"]
    return code, container.logs().decode(), container.id


def test_a_container_runs_in_the_image_made_of_the_machines_busybox(
    sandbox: Sandbox, client: docker.DockerClient
) -> None:
    command = ["sh", "-c", "id -un; stat -c %a /tmp; exit 7"]
    code, output, _ = run_to_end(client, command, user="nobody")
    assert (code, output.split()) == (7, ["nobody", "1777"])


def test_every_start_with_devices_is_on_record(
    sandbox: Sandbox, client: docker.DockerClient
) -> None:
    before = len(sandbox.hook.starts())
    _, output, container = run_to_end(
        client,
        ["sh", "-c", "echo $NVIDIA_VISIBLE_DEVICES"],
        device_requests=gpus("MIG-1", "MIG-2"),
        environment={"NVIDIA_VISIBLE_DEVICES": "all"},
    )
    assert output.strip() == "MIG-1,MIG-2"
    (start,) = sandbox.hook.starts()[before:]
    assert (start.container, start.devices) == (container, ("MIG-1", "MIG-2"))
    assert abs(start.time_ns - time.time_ns()) < 60_000_000_000


def test_a_start_without_devices_never_meets_the_hook(
    sandbox: Sandbox, client: docker.DockerClient
) -> None:
    before = len(sandbox.hook.starts())
    run_to_end(client, ["true"], environment={"NVIDIA_VISIBLE_DEVICES": "MIG-9"})
    assert len(sandbox.hook.starts()) == before


def test_the_hook_refuses_when_told_with_that_text(
    sandbox: Sandbox, client: docker.DockerClient
) -> None:
    before = len(sandbox.hook.starts())
    sandbox.hook.refuse("nvidia-container-cli: mount error", exit_code=3, devices="MIG-bad")
    with pytest.raises(docker.errors.APIError) as caught:
        run_to_end(client, ["true"], device_requests=gpus("MIG-bad"))
    assert "exit status 3" in str(caught.value)
    assert "nvidia-container-cli: mount error" in str(caught.value)
    assert run_to_end(client, ["true"], device_requests=gpus("MIG-good"))[0] == 0
    assert [start.devices for start in sandbox.hook.starts()[before:]] == [("MIG-good",)]
    sandbox.hook.allow()
    assert run_to_end(client, ["true"], device_requests=gpus("MIG-bad"))[0] == 0


def test_the_hook_can_know_the_devices_of_a_fake_machine(
    sandbox: Sandbox, client: docker.DockerClient, tmp_path: Path
) -> None:
    machine = Machine.create(tmp_path, "A30:1g.6gb,T4")
    sandbox.hook.check_devices(machine.path)
    mig, whole = machine.mig_uuids()[0], machine.gpu_uuids()[1]
    assert run_to_end(client, ["true"], device_requests=gpus(mig, whole))[0] == 0
    machine.remove_instance(machine.gpu_uuids()[0], 3)
    with pytest.raises(docker.errors.APIError) as caught:
        run_to_end(client, ["true"], device_requests=gpus(mig))
    assert f"nvidia-container-cli: device error: {mig}: unknown device" in str(caught.value)
    machine.close()


def test_containers_and_exit_codes_survive_a_killed_dockerd(
    sandbox: Sandbox, client: docker.DockerClient
) -> None:
    running = client.containers.run(IMAGE, ["sleep", "600"], detach=True, init=True)
    ending = client.containers.run(
        IMAGE, ["sh", "-c", "until [ -e /go ]; do usleep 10000; done; exit 7"], detach=True
    )
    ending.reload()
    pid = ending.attrs["State"]["Pid"]
    sandbox.stop_dockerd(signal.SIGKILL)
    assert not sandbox.running
    # Not before: a dockerd that is killed while it takes note of an end makes one up.
    (Path(f"/proc/{pid}/root") / "go").touch()
    wait_until(lambda: not command_line(pid), what="the container to end")
    sandbox.start_dockerd()
    client.close()
    running.reload()
    ending.reload()
    assert running.status == "running"
    assert ending.attrs["State"]["ExitCode"] == 7


def test_a_killed_sandbox_is_cleaned_up_by_the_next_start(tmp_path: Path) -> None:
    first = Sandbox(tmp_path / "a" / ("long" * 30))
    first.start()
    first.import_busybox(IMAGE)
    client = docker.DockerClient(base_url=first.docker_host)
    container = client.containers.run(IMAGE, ["sleep", "600"], detach=True)
    container.reload()
    job = container.attrs["State"]["Pid"]
    client.close()
    for daemon in ("dockerd", "containerd"):
        pid = first.pid(daemon)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        first._children.pop(pid).wait()
    assert command_line(job)

    second = Sandbox(first.directory)
    assert second.pid("dockerd") is None
    second.start()
    assert second.running
    second.stop()
    assert not command_line(job)
    assert with_argument(str(second.run)) == []
    assert not second.run.exists()
    assert str(second.run) not in Path("/proc/self/mountinfo").read_text()
    assert str(second.directory) not in Path("/proc/self/mountinfo").read_text()


def test_a_leftover_container_is_ended_by_stop_alone(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.start()
    sandbox.import_busybox(IMAGE)
    client = docker.DockerClient(base_url=sandbox.docker_host)
    client.containers.run(IMAGE, ["sleep", "600"], detach=True)
    client.close()
    for daemon in ("dockerd", "containerd"):
        sandbox._end(daemon, signal.SIGKILL)
    sandbox.stop()
    assert with_argument(str(sandbox.run)) == []


def test_what_dockerd_has_lost_is_ended_by_stop(tmp_path: Path) -> None:
    """As after a dockerd that was killed in the middle of a start: only containerd knows of it."""
    (program := tmp_path / "root" / "busybox").parent.mkdir()
    shutil.copy("/bin/busybox", program)
    with Sandbox(tmp_path / "sandbox") as sandbox:
        lost = ["ctr", "--address", str(sandbox.run / "containerd.sock"), "run"]
        lost += ["--detach", "--null-io", "--runc-root", str(tmp_path / "runc")]
        lost += ["--cgroup", f"/{sandbox.cgroup}/lost", "--rootfs"]
        subprocess.run(
            [*lost, str(program.parent), "lost", "/busybox", "sleep", "600"], check=True, timeout=30
        )
        left = sandbox.left()
        assert sorted(Path(command_line(pid)[0]).name for pid in left) == [
            "busybox", "containerd-shim-runc-v2",
        ]  # fmt: skip
    assert [command_line(pid) for pid in left] == [[], []]
    groups = Path("/sys/fs/cgroup")
    assert not [*groups.glob(sandbox.cgroup), *groups.glob(f"*/{sandbox.cgroup}")]


def test_a_pid_of_somebody_else_in_the_pid_file_is_left_alone(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.run.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as other:
        (sandbox.run / "dockerd.pid").write_text(str(other.pid))
        assert sandbox.pid("dockerd") is None
        sandbox.stop()
        assert other.poll() is None
        other.kill()


def test_up_status_and_down_from_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "launcher.fakegpu.sandbox"]

    def run(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [*command, *words, "--dir", str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout.strip()

    assert run("status")[0] == 3
    expected = f"DOCKER_HOST={Sandbox(tmp_path).docker_host}"
    try:
        assert run("up", "--busybox", IMAGE) == (0, expected)
        assert run("up") == (0, expected)
        assert run("status") == (0, expected)
        client = docker.DockerClient(base_url=expected.partition("=")[2])
        assert client.images.get(IMAGE)
        client.close()
    finally:
        assert run("down")[0] == 0
    assert run("status")[0] == 3


def test_without_docker_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("launcher.fakegpu.sandbox.shutil.which", lambda *_, **__: None)
    with pytest.raises(UserError):
        Sandbox(tmp_path).start()
    assert main(["up", "--dir", str(tmp_path)]) == 2
    assert "apt-get install docker.io" in capsys.readouterr().err


def test_a_daemon_that_does_not_come_up_is_quoted(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    (tmp_path / "docker").write_text("a file where dockerd wants a directory")
    with pytest.raises(LauncherError) as caught:
        sandbox.start()
    assert "dockerd ended" in str(caught.value)
    assert "canonical path points to a file" in str(caught.value)
    assert sandbox.pid("containerd") is None
    sandbox.stop()
    assert not sandbox.run.exists()


def test_the_hook_takes_the_last_value_and_reads_nothing_else(tmp_path: Path) -> None:
    hook = StubHook(tmp_path / "hook")
    made = hook.build().stat().st_mtime_ns
    assert hook.build().stat().st_mtime_ns == made
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "config.json").write_text(
        '{"process":{"args":["NVIDIA_VISIBLE_DEVICES=args","\\"env\\":[\\"x\\""],'
        '"env":["A=\\"NVIDIA_VISIBLE_DEVICES=inner","NVIDIA_VISIBLE_DEVICES=all",'
        '"NVIDIA_VISIBLE_DEVICES=MIG-7"]},"hooks":{"env":["NVIDIA_VISIBLE_DEVICES=later"]}}'
    )
    state = f'{{"ociVersion":"1.0.2","id":"abc","pid":1,"bundle":"{bundle}"}}'
    subprocess.run([hook.bin / NAME, "prestart"], input=state, text=True, check=True)
    (bundle / "config.json").write_text('{"process":{"env":["PATH=/bin"]}}')
    subprocess.run([hook.bin / NAME, "prestart"], input=state, text=True, check=True)
    assert [(s.container, s.devices) for s in hook.starts()] == [("abc", ("MIG-7",)), ("abc", ())]
