"""Ways out of an ordinary user's job, tried one by one on a real dockerd."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pwd
import secrets
import shutil
import socket
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.engine.connection import DockerConnection
from launcher.errors import LauncherError
from launcher.fakegpu.build import compile_c
from launcher.fakegpu.image import busybox_tar
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import GpuRequest, JobSpec, Mount
from launcher.wire.docker_stream import Demultiplexer
from tests.conftest import MakeDaemon
from tests.support.api import BASE, session
from tests.support.daemon import BUSYBOX, CONFIG, DaemonProcess, as_user
from tests.support.wait import wait_until

ALICE, BOB = (pwd.getpwnam(name) for name in ("games", "news"))
NONE = GpuRequest(kind="none")
ONE = GpuRequest(kind="profile", profile="1g.6gb")
Count = Callable[[str, int], None]
IMAGE = "launcher/escapes:1"
HOSTILE = {
    "NVIDIA_VISIBLE_DEVICES": "all",
    "NVIDIA_DRIVER_CAPABILITIES": "all",
    "CUDA_VISIBLE_DEVICES": "0,1,2,3",
    "CUDA_VERSION": "12.4.0",
    "LAUNCHER_SLICES": "all",
    "PATH": "/bin",
}
SOURCE = Path(__file__).parent.parent / "support" / "escapes.c"


@pytest.fixture(scope="module")
def image(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image as an attacker makes it: a setuid program of root's, and an environment for the
    toolkit; its own user is root."""
    program = tmp_path_factory.mktemp("escapes") / "escapes"
    compile_c([SOURCE], program, ["-static", "-O1", "-D_GNU_SOURCE", "-w"])
    packed = io.BytesIO(busybox_tar())
    with tarfile.open(fileobj=packed, mode="a") as tar:
        entry = tarfile.TarInfo("escapes")
        entry.mode, entry.size = 0o4755, program.stat().st_size
        tar.addfile(entry, io.BytesIO(program.read_bytes()))
        link = tarfile.TarInfo("way")
        link.type, link.linkname = tarfile.SYMTYPE, "/proc/sys/kernel"
        tar.addfile(link)
    changes = [f"ENV {name}={value}" for name, value in HOSTILE.items()] + ["USER 0:0"]
    api = DockerConnection(sandbox.docker_host).api()
    repository, tag = IMAGE.split(":")
    api.import_image_from_data(packed.getvalue(), repository, tag, changes=changes)
    return IMAGE


@pytest.fixture
def home() -> Iterator[Path]:
    """Alice's home below a root that root owns all the way up."""
    roots = Path("/srv") / f"launcher-{secrets.token_hex(6)}"
    own = roots / ALICE.pw_name
    own.mkdir(parents=True)
    own.chmod(0o700)
    os.chown(own, ALICE.pw_uid, ALICE.pw_gid)
    yield own
    shutil.rmtree(roots)


@pytest.fixture
def daemon(make_daemon: MakeDaemon, home: Path, pins: Path) -> DaemonProcess:
    roots = f'policy.mount_roots = ["{home.parent}/{{user}}"]\n'
    return make_daemon(config=f'{CONFIG}{roots}pins_directory = "{pins}"\n').start()


def asked(*command: str, **fields: Any) -> JobSpec:
    base = {"name": "escape", "image": BUSYBOX, "gpus": NONE, "stop_grace_period": 1.0} | fields
    return JobSpec(command=list(command), **base)


def submit(daemon: DaemonProcess, request: JobSpec, uid: int = ALICE.pw_uid) -> int:
    with as_user(uid):
        return daemon.client.submit([request])[0].id


def places(daemon: DaemonProcess, sandbox: Sandbox, pins: Path) -> list[Path]:
    """Return what of the host no job may reach."""
    return [
        daemon.socket,
        daemon.state / "launcher.db",
        daemon.state,
        sandbox.socket,
        pins,
        Path("/etc/shadow"),
        Path("/run/docker.sock"),
        Path("/var/run/docker.sock"),
    ]


@contextlib.contextmanager
def listening_as(name: str) -> Iterator[None]:
    """Listen on an abstract socket of the host meanwhile."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"\0{name}")
        made.listen(64)
        yield


def tried(output: str) -> dict[str, str]:
    """Return attempt -> held or ESCAPED, as the program in the image tells."""
    lines = (line.rpartition(": ") for line in output.splitlines())
    return {what: how for what, _, how in lines if how in ("held", "ESCAPED")}


def test_a_job_finds_no_way_out_of_its_container(
    daemon: DaemonProcess, image: str, sandbox: Sandbox, home: Path, pins: Path, count: Count
) -> None:
    name = f"launcher-{secrets.token_hex(6)}"
    daemon.client.publish([image])
    with listening_as(name):
        words = ("/escapes", name, *map(str, places(daemon, sandbox, pins)))
        found: dict[str, str] = {}
        for how in (
            {"gpus": ONE},
            {"gpus": NONE, "network_mode": "none"},
            {"gpus": NONE, "volumes": [Mount(source=str(home), target="/work")]},
        ):
            job = submit(daemon, asked(*words, image=image, **how))
            ended = daemon.client.wait(str(job), timeout=60)
            output = daemon.output(ended).decode()
            assert ended.outcome == "COMPLETED", output
            found |= {f"{what} ({len(found)})": told for what, told in tried(output).items()}
    escaped = [what for what, told in found.items() if told == "ESCAPED"]
    count("escapes tried", len(found))
    assert len(found) > 200
    assert escaped == []
    count("escapes successful", 0)


@pytest.mark.parametrize("tty", [False, True])
def test_a_further_command_and_a_terminal_lead_no_further(
    daemon: DaemonProcess, image: str, sandbox: Sandbox, home: Path, pins: Path, *, tty: bool
) -> None:
    name = f"launcher-{secrets.token_hex(6)}"
    daemon.client.publish([image])
    fields = {"tty": tty, "stdin_open": True, "ports": (8888,), "gpus": ONE, "image": image}
    volumes = [Mount(source=str(home), target="/work")]
    job = submit(daemon, asked("sleep", "60", volumes=volumes, **fields))
    wait_until(lambda: daemon.client.show(job).job.state == "RUNNING", 30, "it runs")
    with listening_as(name):
        words = ("/escapes", name, *map(str, places(daemon, sandbox, pins)))
        output = executed(daemon, job, words, tty=tty)
    found = tried(output)
    assert len(found) > 60, output
    assert [what for what, told in found.items() if told == "ESCAPED"] == []
    with as_user(ALICE.pw_uid):
        daemon.client.cancel(job, now=True)


def executed(daemon: DaemonProcess, job: int, words: tuple[str, ...], *, tty: bool) -> str:
    """Run a further command in Alice's job, as Alice; returns what it printed."""
    with as_user(ALICE.pw_uid):
        attached = daemon.client.terminal.execute(job, words, tty=tty)
    streams, output = Demultiplexer(), b""
    with attached.connection as connection:
        data = attached.early
        while data or (data := connection.recv(65536)):
            pieces = [(1, bytearray(data))] if tty else streams.feed(data)
            output += b"".join(bytes(piece) for _, piece in pieces)
            data = b""
    return output.decode().replace("\r\n", "\n")


def test_the_same_ways_lead_out_of_a_container_that_is_not_confined(
    image: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """So that they are ways at all."""
    api = DockerConnection(sandbox.docker_host).api()
    (tmp_path / "there").write_text("x")
    host = api.create_host_config(
        cap_add=["SYS_ADMIN", "SYS_PTRACE"],
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        binds=[f"{tmp_path}:/outside"],
        network_mode="host",
    ) | {"MaskedPaths": [], "ReadonlyPaths": []}
    name = f"launcher-{secrets.token_hex(6)}"
    command = ["/escapes", name, "/outside/there"]
    with listening_as(name):
        made = api.create_container(image, command, host_config=host, runtime="runc", user="5:60")
        api.start(made["Id"])
        api.wait(made["Id"], timeout=60)
    found = tried(api.logs(made["Id"]).decode())
    api.remove_container(made["Id"], force=True)
    assert {
        "is root by a setuid program",
        "has capabilities",
        "traces a setuid program",
        "mounts proc",
        "changes its root",
        "makes a mount namespace",
        "makes a user namespace",
        "enters a namespace",
        "takes keys",
        "opens a raw socket",
        "writes /proc/sys/kernel/core_pattern",
        "writes /etc/passwd",
        "reaches an abstract socket of the host",
        "reads /outside/there",
        "reads /proc/1/root/outside/there",
    } <= {what for what, how in found.items() if how == "ESCAPED"}


MORE_FIELDS: dict[str, object] = {
    "devices": ["/dev/nvidia0"],
    "device_requests": [{"Count": -1, "Capabilities": [["gpu"]]}],
    "runtime": "nvidia",
    "privileged": True,
    "cap_add": ["SYS_ADMIN"],
    "security_opt": ["seccomp=unconfined"],
    "pid": "host",
    "ipc": "host",
    "uts": "host",
    "userns_mode": "host",
    "cgroup_parent": "/",
    "annotations": {"cdi.k8s.io/x": "nvidia.com/gpu=all"},
    "labels": {"launcher.uid": "0"},
    "host_config": {"Privileged": True},
    "volumes_from": ["other"],
    "tmpfs": {"/etc": ""},
    "sysctls": {"kernel.core_pattern": "|/x"},
    "group_add": ["0"],
    "owner": {"uid": 0, "gid": 0, "name": "root"},
    "uid": 0,
    "slices": ["all"],
}
FIELDS: dict[str, dict[str, object]] = {
    "every slice by environment": {"environment": {"NVIDIA_VISIBLE_DEVICES": "all"}},
    "a slice by CUDA": {"environment": {"CUDA_VISIBLE_DEVICES": "0"}},
    "a slice by another variable": {"environment": {"DOCKER_RESOURCE_GPU": "all"}},
    "MIG itself": {"environment": {"NVIDIA_MIG_CONFIG_DEVICES": "all"}},
    "the toolkit's loader": {"environment": {"LD_LIBRARY_PATH": "/work"}},
    "a second value": {"environment": {"A": "x", "NVIDIA_VISIBLE_DEVICES ": "all"}},
    "a line in a name": {"environment": {"A\nNVIDIA_VISIBLE_DEVICES": "all"}},
    "an equals sign in a name": {"environment": {"NVIDIA_VISIBLE_DEVICES=all,A": "x"}},
    "CDI's name": {"gpus": GpuRequest(kind="uuid", uuids=("nvidia.com/gpu=all",))},
    "all as a UUID": {"gpus": GpuRequest(kind="uuid", uuids=("all",))},
    "an index": {"gpus": GpuRequest(kind="uuid", uuids=("0",))},
    "an index of a slice": {"gpus": GpuRequest(kind="uuid", uuids=("0:1",))},
    "two in one": {"gpus": GpuRequest(kind="uuid", uuids=("MIG-x,MIG-y",))},
    "a runc's file as directory": {"working_dir": "/proc/self/fd/8"},
    "the host's root as directory": {"working_dir": "/proc/1/root"},
    "a dotted directory": {"working_dir": "/work/../proc/self/fd/8"},
    "a foreign container": {"network_mode": "container:other"},
    "the host's network": {"network_mode": "host"},
    "root": {"user": "0:0"},
    "root's group": {"user": f"{ALICE.pw_uid}:0"},
}


def test_what_leads_out_of_a_job_cannot_even_be_asked(
    daemon: DaemonProcess, sandbox: Sandbox, home: Path, pins: Path, count: Count
) -> None:
    held = asked("true", hold=True)
    gpu = GpuRequest(kind="uuid", uuids=(daemon.client.slices()[0].gpu,))
    requests = [asked("true", hold=True, **fields) for fields in FIELDS.values()]
    requests.append(asked("true", hold=True, gpus=gpu))
    (home / "link").symlink_to(daemon.socket.parent)
    for source in ("/", "/dev", "/proc/1/root", "/sys", "/run", str(home / "link"), *map(
        str, places(daemon, sandbox, pins)
    )):  # fmt: skip
        requests.append(asked("true", volumes=[Mount(source=source, target="/work")], hold=True))
    for target in ("/dev/nvidia0", "/proc/driver/nvidia", "/sys/fs/cgroup", "/run/secrets",
                   "/usr/lib/libcuda.so.1", "/lib64", "/etc/ld.so.conf.d", "//etc"):  # fmt: skip
        requests.append(asked("true", volumes=[Mount(source=str(home), target=target)], hold=True))
    taken = []
    for request in requests:
        try:
            taken.append((request, submit(daemon, request)))
        except LauncherError as refused:
            assert type(refused).http_status < 500, refused
    with session(daemon.socket, ALICE.pw_uid) as asking:
        plain = {"name": held.name, "image": held.image, "hold": True}
        for name, value in MORE_FIELDS.items():
            body = json.dumps({"jobs": [plain | {name: value}]})
            answer = asking.post(f"{BASE}/v1/jobs", data=body)
            if answer.status_code != 400:
                taken.append((name, answer.text))
        answer = asking.post(f"{BASE}/v1/jobs", data=json.dumps({"jobs": [plain]}))
        assert answer.status_code == 201, "what is left without them is a job"
    count("escapes tried", len(requests) + len(MORE_FIELDS))
    assert taken == []
    count("escapes successful", 0)


def test_a_job_gets_the_slice_that_was_leased_and_no_other_by_any_image(
    daemon: DaemonProcess, image: str, sandbox: Sandbox, count: Count
) -> None:
    show = ("sh", "-c", "env; id; ls /dev")
    daemon.client.publish([image])
    mine = submit(daemon, asked("sleep", "600", gpus=ONE))
    wait_until(lambda: daemon.client.show(str(mine)).job.state == "RUNNING", what="it runs")
    leased = daemon.client.show(str(mine)).job.slices
    same = GpuRequest(kind="uuid", uuids=leased)
    thief = submit(daemon, asked(*show, gpus=same), BOB.pw_uid)
    known = len(sandbox.hook.starts())
    with_one = submit(daemon, asked(*show, image=image, gpus=ONE), BOB.pw_uid)
    without = submit(daemon, asked(*show, image=image), BOB.pw_uid)
    ended = daemon.client.wait(str(with_one), timeout=30)
    seen = daemon.output(ended).decode()
    none = daemon.output(daemon.client.wait(str(without), timeout=30)).decode()
    count("escapes tried", 4)
    assert [start.devices for start in sandbox.hook.starts()[known:]] == [tuple(ended.slices)]
    assert ended.slices != leased
    assert f"NVIDIA_VISIBLE_DEVICES={ended.slices[0]}\n" in seen
    assert "NVIDIA_VISIBLE_DEVICES=void\n" in none
    for output in (seen, none):
        assert f"uid={BOB.pw_uid}" in output and "uid=0" not in output
        assert "nvidia" not in output.rpartition("gid=")[2]
    assert daemon.client.show(str(thief)).job.state == "PENDING", "it waits for what is leased"
    count("escapes successful", 0)


def test_a_mount_where_the_image_has_a_link_goes_nowhere_else(
    daemon: DaemonProcess, image: str, home: Path, count: Count
) -> None:
    (home / "core_pattern").write_text("|/work/evil")
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    daemon.client.publish([image])
    script = "echo '|/evil' > /way/core_pattern; cat /proc/sys/kernel/core_pattern"
    mounts = [Mount(source=str(home), target="/way")]
    job = submit(daemon, asked("sh", "-c", script, image=image, volumes=mounts))
    daemon.client.wait(str(job), timeout=30)
    count("escapes tried", 1)
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before
    count("escapes successful", 0)


def test_on_the_host_nobody_reads_what_the_daemon_keeps_or_holds_for_others(
    daemon: DaemonProcess, home: Path, pins: Path, count: Count
) -> None:
    (home / "open").mkdir(mode=0o755)
    (home / "open" / "key").write_text("hers")
    mounts = [Mount(source=str(home / "open"), target="/work")]
    job = submit(daemon, asked("sh", "-c", "echo out; sleep 600", volumes=mounts))
    wait_until(lambda: daemon.client.show(str(job)).job.state == "RUNNING", what="it runs")
    pinned = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    hers = [place for place in pinned if place.startswith(f"{pins}/")]
    assert hers and (Path(hers[0]) / "key").read_text() == "hers"
    wanted = [Path(hers[0]) / "key", *(p for p in daemon.state.rglob("*") if p.is_file())]
    read = []
    with as_user(BOB.pw_uid, reading=False):
        for place in wanted:
            for flags in (os.O_RDONLY, os.O_WRONLY):
                try:
                    os.close(os.open(place, flags))
                except PermissionError:
                    continue
                read.append(place)
    count("escapes tried", 2 * len(wanted))
    assert len(wanted) > 2
    assert read == []
    count("escapes successful", 0)
