"""The second look: every mutant of a good body is refused, and every way a container can differ."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from launcher.engine.spec import ContainerSpec, create_body
from launcher.engine.validate import body_faults
from launcher.network import NETWORK
from launcher.spec.job_spec import Mount
from tests.support.builders import ROOT
from tests.unit.engine.launches import TWO, bounds_of, launch

Body = dict[str, Any]
GOOD = {
    "ordinary": launch(command=("true",), mem_limit=1 << 30, cpus=2.0, working_dir="/w"),
    "root": launch(ROOT, entrypoint=("x",), user="9", volumes=(Mount("/a", "/b", False),)),
    "cpu": launch(slices=()),
    "gang": launch(slices=TWO),
    "network": launch(job_network=NETWORK, hostname="proxy"),
    "granted": launch(
        gids=(60,), network_mode="none", volumes=(Mount("/run/pins/0", "/work", True),)
    ),
    "secrets": launch(secrets="/run/pins/secrets", volumes=(Mount("/run/pins/0", "/work", False),)),
    "driver": launch(driver="nvidia.runtime-hook"),
    "fake": launch(driver=None),
}


def faults(made: ContainerSpec, body: Body) -> list[str]:
    return body_faults(body, bounds_of(made))


@pytest.mark.parametrize("kind", GOOD)
def test_what_spec_builds_passes(kind: str) -> None:
    assert faults(GOOD[kind], create_body(GOOD[kind])) == []


JUNK: tuple[Any, ...] = (None, "x", -1, 0, 1, 1.5, True, False, ["host"], {"Type": "none"}, [], {})
FREE = ("Cmd", "Entrypoint", "WorkingDir")
"""What a user fills with any words: only another type is a fault, and so is nothing missing."""
AMOUNTS = ("ShmSize", "NanoCpus")
ROOT_MAY = ("CapDrop", "SecurityOpt", "User")


def places(body: Body) -> Iterator[tuple[Body, str]]:
    """Yield (object, field) for every field of a body, at every depth that has fixed fields."""
    host = body["HostConfig"]
    for where in (body, host, *host.get("DeviceRequests", []), *host["Mounts"]):
        for name in tuple(where):
            yield where, name


def harmless(name: str, old: Any, new: Any) -> bool:
    """Whether a user could have asked for this value himself, or it gives him only less."""
    if type(old) is type(new) and (old == new or (name in ("Mounts", "Tmpfs") and not new)):
        return True
    if name in (*FREE, "ReadOnly"):
        return type(old) is type(new)
    return name in AMOUNTS and type(new) is int and new > 0


def mutants(body: Body, *, root: bool) -> Iterator[tuple[str, Body]]:
    """Yield every body that differs from a good one in one field, and what was changed."""
    for number, (found, name) in enumerate(places(body)):
        optional = name in (*FREE, *AMOUNTS[1:], "Hostname") or (root and name in ROOT_MAY)
        for value in JUNK:
            if not harmless(name, found[name], value) and not (root and (name, value) == USER_X):
                yield f"{name} = {value!r}", changed(body, number, value)
        if not optional:
            yield f"no {name}", changed(body, number, MISSING)


USER_X = ("User", "x")
MISSING = object()


def changed(body: Body, number: int, value: Any) -> Body:
    mutant = copy.deepcopy(body)
    where, name = list(places(mutant))[number]
    if value is MISSING:
        del where[name]
    else:
        where[name] = value
    return mutant


@pytest.mark.parametrize("kind", GOOD)
def test_a_body_that_differs_in_any_one_field_is_refused(
    kind: str, count: Callable[[str, int], None]
) -> None:
    made = GOOD[kind]
    tried = list(mutants(create_body(made), root=kind == "root"))
    surviving = [what for what, mutant in tried if not faults(made, mutant)]
    count("mutants of a create body tried", len(tried))
    count("mutants of a create body surviving", len(surviving))
    assert surviving == []
    assert len(tried) > 200


def on_host(**values: Any) -> Callable[[Body], None]:
    return lambda body: body["HostConfig"].update(values)


def on_request(**values: Any) -> Callable[[Body], None]:
    return lambda body: body["HostConfig"]["DeviceRequests"][0].update(values)


def add_env(entry: str) -> Callable[[Body], None]:
    return lambda body: body["Env"].append(entry)


def add_tmpfs(place: str, how: str = "rw,nosuid,nodev") -> Callable[[Body], None]:
    return lambda body: body["HostConfig"]["Tmpfs"].update({place: how})


def mounts(source: str, target: str) -> Callable[[Body], None]:
    one = {"Type": "bind", "Source": source, "Target": target, "ReadOnly": True}
    return on_host(Mounts=[one | {"BindOptions": {"Propagation": "rprivate"}}])


def twice(body: Body) -> None:
    body["HostConfig"]["DeviceRequests"] *= 2


ATTACKS: dict[str, Callable[[Body], None]] = {
    "another slice": on_request(DeviceIDs=["MIG-a-3"]),
    "one slice more": on_request(DeviceIDs=["MIG-a-0", "MIG-a-1"]),
    "no slice": on_request(DeviceIDs=[]),
    "all slices": on_request(DeviceIDs=["all"]),
    "a count": on_request(Count=-1),
    "a count that is not a number": on_request(Count=False),
    "another driver": on_request(Driver="cdi"),
    "more capabilities": on_request(Capabilities=[["gpu", "graphics"]]),
    "options": on_request(Options={"x": "y"}),
    "an unknown field": on_request(Extra=1),
    "a second request": twice,
    "the nvidia runtime": on_host(Runtime="nvidia"),
    "privileged": on_host(Privileged=True),
    "capabilities": on_host(CapAdd=["SYS_ADMIN"]),
    "fewer dropped": on_host(CapDrop=["NET_RAW"]),
    "another profile": on_host(SecurityOpt=["no-new-privileges", "seccomp=unconfined"]),
    "the host's processes": on_host(PidMode="host"),
    "the host's network": on_host(NetworkMode="host"),
    "the network of jobs where there is none": on_host(NetworkMode="launcher"),
    "another network": on_host(NetworkMode="others-net"),
    "another container's network": on_host(NetworkMode="container:x"),
    "shared memory of the host": on_host(IpcMode="host"),
    "binds": on_host(Binds=["/:/host"]),
    "a device": on_host(Devices=[{"PathOnHost": "/dev/nvidia0"}]),
    "device rules": on_host(DeviceCgroupRules=["c *:* rwm"]),
    "volumes of another": on_host(VolumesFrom=["x"]),
    "sysctls": on_host(Sysctls={"kernel.core_pattern": "|/x"}),
    "a parent group": on_host(CgroupParent="/"),
    "groups": on_host(GroupAdd=["docker"]),
    "auto-remove": on_host(AutoRemove=True),
    "a restart policy": on_host(RestartPolicy={"Name": "always"}),
    "another log driver": on_host(LogConfig={"Type": "none", "Config": {}}),
    "a log driver's option": on_host(
        LogConfig={"Type": "local", "Config": {"max-size": "1", "max-file": "1", "labels": ""}}
    ),
    "a mount": mounts("/", "/host"),
    "a mount that is not a pin": mounts("/home/bob", "/data"),
    "a mount of all pins": mounts("/run/pins/", "/data"),
    "a mount out of the pins": mounts("/run/pins/../0", "/data"),
    "a mount of another's pin": mounts("/run/pins-of-bob/0", "/data"),
    "every gpu by environment": add_env("NVIDIA_VISIBLE_DEVICES=all"),
    "the drivers of another": add_env("NVIDIA_DRIVER_CAPABILITIES=all"),
    "the mig monitor": add_env("NVIDIA_MIG_MONITOR_DEVICES=all"),
    "a preloaded library": add_env("LD_PRELOAD=/x.so"),
    "the loader's tunables": add_env("GLIBC_TUNABLES=glibc.rtld.nns=9"),
    "the loader's modules": add_env("GCONV_PATH=/x"),
    "cuda's devices": add_env("CUDA_VISIBLE_DEVICES=0"),
    "a device by resource": add_env("DOCKER_RESOURCE_NVIDIA=x"),
    "a name without a value": add_env("HOSTNAME"),
    "other slices told": add_env("LAUNCHER_SLICES=MIG-a-3"),
    "tmpfs over the image": add_tmpfs("/etc"),
    "tmpfs out of home": add_tmpfs("/home/../proc"),
    "tmpfs with devices": add_tmpfs("/home/b", "rw,exec"),
    "tmpfs of another": add_tmpfs("/home/b", "rw,nosuid,nodev,uid=0"),
    "root": lambda body: body.update(User="0:0"),
    "a file of runc's": lambda body: body.update(WorkingDir="/proc/self/fd/8"),
    "a file of runc's by dots": lambda body: body.update(WorkingDir="/w/../proc/self/fd/8"),
    "a file of runc's and a line": lambda body: body.update(WorkingDir="//proc/self/fd/8\n"),
    "two lines": lambda body: body.update(WorkingDir="/w\n/x"),
    "a relative directory": lambda body: body.update(WorkingDir="proc/self/fd/8"),
    "the image's user": lambda body: body.pop("User"),
    "root's group": lambda body: body.update(User="1000:0"),
    "no group": lambda body: body.update(User="1000"),
    "another's label": lambda body: body["Labels"].update({"launcher.uid": "0"}),
    "other slices labelled": lambda body: body["Labels"].update({"launcher.slices": "MIG-a-3"}),
    "a label of his own": lambda body: body["Labels"].update({"com.docker.x": "y"}),
    "an image by name": lambda body: body.update(Image="evil/image:1"),
    "a terminal": lambda body: body.update(Tty=True),
    "a health check": lambda body: body.update(Healthcheck={"Test": ["CMD", "x"]}),
    "a network": lambda body: body.update(NetworkingConfig={"EndpointsConfig": {}}),
    "volumes": lambda body: body.update(Volumes={"/x": {}}),
    "ports": lambda body: body.update(ExposedPorts={"22/tcp": {}}),
    "no host config": lambda body: body.pop("HostConfig"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_an_attacker_would_want_is_refused(attack: str) -> None:
    made = GOOD["ordinary"]
    body = create_body(made)
    assert faults(made, body) == []
    ATTACKS[attack](body)
    assert faults(made, body) != []


def test_only_ordinary_users_jobs_are_in_the_network_of_jobs() -> None:
    made = GOOD["network"]
    bounds = bounds_of(made)
    assert body_faults(create_body(made), bounds) == []
    assert any(
        "ordinary users" in fault
        for fault in body_faults(create_body(made), dataclasses.replace(bounds, unbound=True))
    )


@pytest.mark.parametrize("hostname", ["proxy", "proxy.example", "proxy.launcher.launcher", "."])
def test_a_hostname_that_others_in_the_network_could_take_for_a_server_is_refused(
    hostname: str,
) -> None:
    body = create_body(GOOD["network"])
    body["Hostname"] = hostname
    assert faults(GOOD["network"], body)
    other = create_body(launch(hostname="proxy"))
    assert faults(launch(hostname="proxy"), other) == []
    other["Hostname"] = "proxy.launcher"
    assert faults(launch(hostname="proxy"), other)


def test_a_cpu_job_with_a_device_or_without_runc_is_refused() -> None:
    made = GOOD["cpu"]
    body = create_body(made)
    del body["HostConfig"]["Runtime"]
    assert faults(made, body) == ["a job without devices must run with runtime runc"]
    body = create_body(made)
    body["HostConfig"]["DeviceRequests"] = []
    assert faults(made, body) == ["a job without devices has a device request"]


def test_a_root_job_gets_no_tmpfs_and_only_plain_binds() -> None:
    made = GOOD["root"]
    body = create_body(made)
    body["HostConfig"]["Tmpfs"] = {"/tmp": "rw"}
    assert len(faults(made, body)) == 1
    for field, value in (
        ("Type", "volume"),
        ("Source", "data"),
        ("Target", "in"),
        ("BindOptions", {"Propagation": "rshared"}),
    ):
        body = create_body(made)
        body["HostConfig"]["Mounts"][0][field] = value
        assert faults(made, body), field


SECRETS = {
    "Type": "bind",
    "Source": "/run/pins/secrets",
    "Target": "/run/secrets",
    "ReadOnly": True,
    "BindOptions": {"Propagation": "rprivate"},
}


@pytest.mark.parametrize("kind", GOOD.keys() - {"secrets"})
def test_the_mount_of_secrets_is_refused_where_a_job_has_none(kind: str) -> None:
    body = create_body(GOOD[kind])
    body["HostConfig"]["Mounts"].append(copy.deepcopy(SECRETS))
    assert any("it mounts" in fault for fault in faults(GOOD[kind], body))


def test_a_job_with_secrets_has_exactly_their_mount() -> None:
    made = GOOD["secrets"]
    body = create_body(made)
    assert body["HostConfig"]["Mounts"][-1] == SECRETS
    others: list[list[Body]] = [[], [SECRETS, SECRETS]]
    others += [
        [SECRETS | {key: value}]
        for key, value in (
            ("Source", "/run/pins/1"),
            ("Source", "/run/pins-of-bob/secrets"),
            ("Source", "/run/pins/../secrets"),
            ("Target", "/run/secrets/x"),
            ("Target", "/etc"),
            ("ReadOnly", False),
            ("BindOptions", {"Propagation": "rshared"}),
        )
    ]
    for mounted in others:
        body["HostConfig"]["Mounts"][1:] = mounted
        assert faults(made, body), mounted


def test_secrets_are_among_the_pins_unless_who_has_docker_anyway_has_none() -> None:
    made = launch(secrets="/run/user/1000/launcher-secrets/c")
    bounds = bounds_of(made)
    assert any("not a pin" in fault for fault in body_faults(create_body(made), bounds))
    own = dataclasses.replace(bounds, unbound=True)
    assert body_faults(create_body(made), own) == []


@pytest.mark.parametrize("target", ["/etc", "/usr/lib", "/proc/self", "//", "/w/../run", "/lib64"])
def test_a_pin_over_what_belongs_to_the_system_is_refused(target: str) -> None:
    made = launch(volumes=(Mount("/run/pins/0", target, True),))
    assert any("hides" in fault for fault in faults(made, create_body(made)))


@pytest.mark.parametrize("place", ["/home/alice/link", "/home/alice"])
def test_a_tmpfs_at_or_below_a_mount_is_refused(place: str) -> None:
    made = launch(volumes=(Mount("/run/pins/0", "/home/./alice/", True),))
    body = create_body(made)
    body["HostConfig"]["Tmpfs"][place] = "rw,nosuid,nodev"
    assert any("is in a mount" in fault for fault in faults(made, body))


def test_who_has_docker_anyway_mounts_paths_as_they_are() -> None:
    made = launch(volumes=(Mount("/home/alice", "/etc", True),))
    own = dataclasses.replace(bounds_of(made), unbound=True)
    assert body_faults(create_body(made), own) == []
