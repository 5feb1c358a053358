"""The default policy against a real dockerd: how ordinary users are kept in, and what they try."""

from __future__ import annotations

import contextlib
import json
import pwd
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.core.policy.policy import VERSION
from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers
from launcher.errors import NotAllowed
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import GpuRequest, JobSpec, JobView, RegistryAuth
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, DaemonProcess, as_user
from tests.support.registry import HTPASSWD, Registry
from tests.support.wait import wait_until

ALICE, BOB = (pwd.getpwnam(name) for name in ("games", "news"))
NONE = GpuRequest(kind="none")
ONE = GpuRequest(kind="profile", profile="1g.6gb")
ANN = {"username": "ann", "password": "secret"}


def request(*command: str, **fields: object) -> JobSpec:
    fields = {"name": "mine", "image": BUSYBOX, "gpus": ONE} | fields
    return JobSpec(command=list(command), **fields)  # type: ignore[arg-type]


def submit_as(daemon: DaemonProcess, user: pwd.struct_passwd, asked: JobSpec) -> JobView:
    with as_user(user.pw_uid):
        return daemon.client.submit([asked])[0]


def ran(daemon: DaemonProcess, user: pwd.struct_passwd, asked: JobSpec) -> str:
    """Return what a job wrote."""
    return daemon.output(submit_as(daemon, user, asked)).decode()


def image_of(sandbox: Sandbox, name: str, env: dict[str, str], **more: object) -> str:
    """Make an image that brings this environment, and more of an image's configuration."""
    api = DockerConnection(sandbox.docker_host).api()
    made = api.create_container_from_config({"Image": BUSYBOX, "Cmd": ["true"]})
    conf = {"Env": [f"{key}={value}" for key, value in env.items()], **more}
    repository, tag = name.split(":")
    api.commit(made["Id"], repository, tag, conf=conf)
    api.remove_container(made["Id"])
    return name


def test_an_ordinary_users_container_has_the_limits_that_go_with_its_slice(
    daemon: DaemonProcess, docker: Containers
) -> None:
    script = "ulimit -n; ulimit -c; cat /proc/self/cgroup; grep -E 'Seccomp:|NoNew' /proc/1/status"
    job = submit_as(daemon, ALICE, request("sh", "-c", f"{script}; sleep 30"))
    daemon.until(job, "RUNNING")
    info = docker.inspect(daemon.client.show(str(job.id)).attempts[0].container_name)
    assert info is not None
    host = info.info["HostConfig"]
    with Path("/proc/meminfo").open() as file:
        total = int(file.readline().split()[1]) * 1024
    assert 0.2 * total < host["Memory"] == host["MemorySwap"] < 0.25 * total
    assert (host["PidsLimit"], host["CgroupnsMode"]) == (4096, "private")
    wait_until(lambda: len(list(daemon.client.logs(str(job.id)))) >= 1)
    daemon.client.cancel(str(job.id))
    lines = daemon.output(job).decode().splitlines()
    assert lines[:2] == ["16384", "0"]
    assert all(line.endswith(":/") for line in lines if line.count(":") == 2), lines
    assert any(line.split() == ["NoNewPrivs:", "1"] for line in lines)
    assert any(line.split() == ["Seccomp:", "2"] for line in lines)


def test_a_job_without_a_network_has_none(daemon: DaemonProcess) -> None:
    found = ran(daemon, ALICE, request("ls", "/sys/class/net", network_mode="none", gpus=NONE))
    assert found.split() == ["lo"]


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        ({"user": "0"}, "own-user"),
        ({"user": "0:0"}, "own-user"),
        ({"network_mode": "host"}, "network"),
        ({"policy_profile": "trusted-net"}, "profile"),
        ({"image": "evil/x:1"}, "image-allowed"),
        ({"image": "sha256:" + "a" * 64}, "image-reference"),
        ({"environment": {"NVIDIA_VISIBLE_DEVICES": "all"}}, "environment-names"),
        ({"environment": {"LD_PRELOAD": "/x.so"}}, "environment-names"),
        ({"mem_limit": 2**45}, "memory"),
        ({"priority": 100}, "priority"),
    ],
)
def test_what_is_not_allowed_is_refused_at_submit_by_its_rule(
    strict: DaemonProcess, asked: dict[str, object], rule: str
) -> None:
    with pytest.raises(NotAllowed, match=rf"\(rule {rule}\)") as refused:
        submit_as(strict, ALICE, request("true", **asked))
    assert (refused.value.fix or "").startswith("Allowed: ")


@pytest.fixture
def strict(make_daemon: MakeDaemon) -> DaemonProcess:
    """A daemon with the default policy, but for busybox."""
    daemon = make_daemon()
    daemon.config.write_text(
        '[policy]\nimages = ["docker.io/launcher/*"]\n[profiles.trusted-net]\nnetwork = "host"\n'
    )
    return daemon.start()


def test_a_policy_that_became_stricter_while_a_job_waited_is_applied_at_its_start(
    strict: DaemonProcess,
) -> None:
    held, older = (submit_as(strict, ALICE, request("true", hold=True)) for _ in range(2))
    assert strict.client.show(str(held.id)).policy_version == VERSION
    strict.stop()
    strict.config.write_text('[policy]\nimages = ["nvcr.io/nvidia/*"]\n')
    with contextlib.closing(sqlite3.connect(strict.state / "launcher.db")) as db:
        db.execute("UPDATE jobs SET policy_version = ? WHERE id = ?", (VERSION - 1, older.id))
        db.commit()
    strict.start()
    for job, why in (
        (held, "since then launcher.toml or the groups"),
        (older, f"version {VERSION - 1} of the policy, this is version {VERSION}."),
    ):
        strict.client.release(str(job.id))
        ended = strict.done(job)
        assert (ended.outcome, ended.exit_code) == ("FAILED", None)
        assert "(rule image-allowed)" in (ended.message or "")
        assert why in (ended.message or "")
        assert strict.client.show(str(job.id)).attempts[0].container_id is None


def test_under_which_policy_a_job_was_queued_is_its_owners_and_an_admins_to_see(
    strict: DaemonProcess,
) -> None:
    job = submit_as(strict, ALICE, request("true", hold=True))
    shown = [line.split() for line in strict.cli("show", str(job.id)).stdout.splitlines()]
    assert ["policy:", "version", str(VERSION)] in shown
    told = json.loads(strict.cli("show", "-o", "json", str(job.id)).stdout)
    assert told["policy_version"] == VERSION
    with as_user(ALICE.pw_uid):
        assert strict.client.show(str(job.id)).policy_version == VERSION
    with as_user(BOB.pw_uid):
        assert strict.client.show(str(job.id)).policy_version is None
    strict.kill()
    strict.start()
    assert strict.client.show(str(job.id)).policy_version == VERSION


@pytest.mark.parametrize(
    ("env", "rule"),
    [
        ({"LD_PRELOAD": "/proc/self/cwd/poc.so"}, "image-preload"),
        ({"GLIBC_TUNABLES": "glibc.rtld.nns=9"}, "image-preload"),
        ({"DOCKER_RESOURCE_GPU": "all"}, "image-devices"),
        ({"NVIDIA_MIG_CONFIG_DEVICES": "all"}, "image-devices"),
        ({"NVIDIA_IMEX_CHANNELS": "all"}, "image-devices"),
    ],
)
def test_an_image_that_speaks_to_the_toolkit_is_not_run(
    make_daemon: MakeDaemon, sandbox: Sandbox, env: dict[str, str], rule: str
) -> None:
    image = image_of(sandbox, f"launcher/{rule}-{min(env).lower()}:1", env)
    daemon = make_daemon()
    tools = daemon.machine.directory / "root/usr/bin"
    tools.mkdir(parents=True, exist_ok=True)
    (tools / "nvidia-ctk").write_text(
        "#!/bin/sh\necho 'NVIDIA Container Toolkit CLI version 1.17.7'\n"
    )
    (tools / "nvidia-ctk").chmod(0o755)
    daemon.start()
    ended = daemon.done(submit_as(daemon, ALICE, request("true", image=image)))
    assert (ended.outcome, ended.slices) == ("FAILED", [])
    assert f"(rule {rule}" in (ended.message or "")


def test_an_image_that_starts_in_a_file_of_runcs_is_not_run(
    daemon: DaemonProcess, sandbox: Sandbox
) -> None:
    image = image_of(sandbox, "launcher/leaky:1", {}, WorkingDir="/proc/self/fd/7")
    for user in (ALICE, pwd.getpwuid(0)):
        ended = daemon.done(submit_as(daemon, user, request("true", image=image)))
        assert (ended.outcome, ended.slices) == ("FAILED", [])
        assert "(rule image-directory)" in (ended.message or "")


def test_an_image_that_asks_for_every_gpu_gets_what_was_leased_and_a_cpu_job_none(
    daemon: DaemonProcess, sandbox: Sandbox
) -> None:
    image = image_of(sandbox, "launcher/cuda:1", {"NVIDIA_VISIBLE_DEVICES": "all"})
    daemon.client.publish([image])
    show = ("sh", "-c", "env | grep NVIDIA_VISIBLE_DEVICES")
    job = submit_as(daemon, ALICE, request(*show, image=image))
    leased = daemon.done(job).slices
    assert daemon.output(job).decode().splitlines()[-1] == f"NVIDIA_VISIBLE_DEVICES={leased[0]}"
    found = ran(daemon, ALICE, request(*show, image=image, gpus=NONE))
    assert found.splitlines() == ["NVIDIA_VISIBLE_DEVICES=void"]


def test_the_beginning_of_an_images_id_is_no_way_around_its_name(
    daemon: DaemonProcess, sandbox: Sandbox
) -> None:
    identity = DockerConnection(sandbox.docker_host).api().inspect_image(BUSYBOX)["Id"]
    short = identity.removeprefix("sha256:")[:12]
    ended = daemon.done(submit_as(daemon, ALICE, request("true", image=short, pull_policy="never")))
    assert (ended.outcome, ended.reason) == ("FAILED", "ImagePullFailed")


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Registry]:
    """A registry that wants a password."""
    made = Registry(tmp_path / "private", htpasswd=HTPASSWD)
    yield made
    made.stop()


@pytest.fixture
def secret(private: Registry, sandbox: Sandbox) -> str:
    """An image that only Ann's password opens, not here yet."""
    image = image_of(sandbox, "launcher/hidden:1", {"WHAT": "hidden"})
    reference = private.push(sandbox.docker_host, image, "ann/hidden:1", ANN)
    DockerConnection(sandbox.docker_host).api().remove_image(image)
    return reference


def test_a_private_image_in_the_cache_is_not_another_users_to_run(
    daemon: DaemonProcess, private: Registry, secret: str, sandbox: Sandbox
) -> None:
    asked = request("true", image=secret)
    with as_user(ALICE.pw_uid):
        (hers,) = daemon.client.submit([asked], {private.host: RegistryAuth(**ANN)})
    assert daemon.done(hers).outcome == "COMPLETED"
    for tries in ({}, {"pull_policy": "never"}, {"pull_policy": "always"}):
        his = daemon.done(submit_as(daemon, BOB, request("true", image=secret, **tries)))
        assert (his.outcome, his.reason) == ("FAILED", "ImagePullFailed"), tries
    assert DockerConnection(sandbox.docker_host).api().inspect_image(secret), (
        "it is here all the while"
    )
    daemon.stop()
    daemon.start()
    again = daemon.done(submit_as(daemon, BOB, asked))
    assert again.outcome == "FAILED", "also after a restart"
    with as_user(BOB.pw_uid):
        (his,) = daemon.client.submit([asked], {private.host: RegistryAuth(**ANN)})
    assert daemon.done(his).outcome == "COMPLETED", "his own password opens it to him"


def test_after_a_restart_a_job_waits_for_its_owners_login_and_says_so(
    daemon: DaemonProcess, private: Registry, secret: str
) -> None:
    asked = request("true", image=secret, hold=True)
    with as_user(ALICE.pw_uid):
        (job,) = daemon.client.submit([asked], {private.host: RegistryAuth(**ANN)})
    daemon.stop()
    daemon.start()
    with as_user(ALICE.pw_uid):
        daemon.client.release(str(job.id))

    def told() -> str:
        with as_user(ALICE.pw_uid):
            return json.dumps([b.have for b in daemon.client.show(str(job.id)).blockers])

    wait_until(lambda: f"`launch login {private.host}`" in told(), what="it says what to do")
    with as_user(BOB.pw_uid):
        daemon.client.login(private.host, RegistryAuth(**ANN))
    assert f"`launch login {private.host}`" in told(), "another's login does not help"
    with as_user(ALICE.pw_uid):
        with pytest.raises(NotAllowed, match="cannot log in"):
            daemon.client.login(private.host, RegistryAuth(username="ann", password="wrong"))
        assert daemon.client.login(private.host, RegistryAuth(**ANN)).registry == private.host
    assert daemon.done(job).outcome == "COMPLETED"
    written = b"".join(p.read_bytes() for p in daemon.state.rglob("*") if p.is_file())
    assert b"secret" not in written
    assert "wrong" not in daemon.log.read_text()


def test_nobody_has_docker_ask_a_registry_that_he_may_run_nothing_of(
    strict: DaemonProcess, private: Registry
) -> None:
    with as_user(ALICE.pw_uid), pytest.raises(NotAllowed, match="image-allowed"):
        strict.client.login(private.host, RegistryAuth(**ANN))
