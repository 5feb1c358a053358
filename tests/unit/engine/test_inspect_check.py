"""I9: a container that Docker made otherwise than it may be is found out by Docker's own answer."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from launcher.engine.inspect_check import inspect_faults
from launcher.engine.validate import Bounds

GIB = 1 << 30
ALICES = Bounds(
    ["MIG-a-0"], 1000, 1000, memory=GIB, pids=4096, nofile=16384,
    mounts=(("/run/pins/0", "/work", True),),
)  # fmt: skip
ROOTS = Bounds(["MIG-a-0"], 0, 0)
REQUEST = {"Driver": "", "Count": 0, "DeviceIDs": ["MIG-a-0"], "Capabilities": [["gpu"]]}
PLAIN = {
    "DeviceRequests": [REQUEST],
    "Privileged": False,
    "Devices": None,
    "PidMode": "",
    "IpcMode": "private",
    "CgroupnsMode": "private",
    "NetworkMode": "default",
    "Binds": None,
    "PortBindings": {},
    "OomScoreAdj": 0,
    "MaskedPaths": ["/proc/kcore"],
    "ReadonlyPaths": ["/proc/sys"],
}
KEPT = {
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges"],
    "Memory": GIB,
    "MemorySwap": GIB,
    "PidsLimit": 4096,
    "Mounts": [{"Type": "bind", "Source": "/run/pins/0", "Target": "/work", "ReadOnly": True}],
}


def alices(user: str = "1000:1000", **host: Any) -> dict[str, Any]:
    """What Docker tells of an ordinary user's container."""
    return {"Id": "c", "Config": {"User": user}, "HostConfig": PLAIN | KEPT | host}


def roots(**host: Any) -> dict[str, Any]:
    """What Docker tells of a container of uid 0."""
    return {"Id": "c", "Config": {"User": ""}, "HostConfig": PLAIN | host}


def test_a_container_with_exactly_what_was_leased_and_granted_is_right() -> None:
    assert inspect_faults(alices(), ALICES) == []
    assert inspect_faults(roots(), ROOTS) == []
    assert inspect_faults(roots(DeviceRequests=None), Bounds([], 0, 0)) == []


FOR_ANYBODY: list[tuple[dict[str, Any], str]] = [
    ({"DeviceRequests": None}, "given nothing"),
    ({"DeviceRequests": [{"DeviceIDs": ["MIG-a-1"]}]}, "MIG-a-1"),
    ({"DeviceRequests": [{"DeviceIDs": ["MIG-a-0", "MIG-a-1"]}]}, "MIG-a-1"),
    ({"DeviceRequests": [{"DeviceIDs": ["MIG-a-0"], "Count": -1}]}, "MIG-a-0"),
    ({"DeviceRequests": [{"DeviceIDs": ["MIG-a-0"]}, {"DeviceIDs": ["all"]}]}, "all"),
    ({"Privileged": True}, "privileged"),
    ({"Devices": [{"PathOnHost": "/dev/nvidia0"}]}, "/dev/nvidia0"),
    ({"DeviceCgroupRules": ["c 195:* rwm"]}, "195"),
    ({"CapAdd": ["SYS_ADMIN"]}, "SYS_ADMIN"),
    ({"PidMode": "host"}, "PidMode"),
    ({"PidMode": "container:abc"}, "PidMode"),
    ({"NetworkMode": "host"}, "NetworkMode"),
    ({"NetworkMode": "container:abc"}, "NetworkMode"),
    ({"IpcMode": "host"}, "IpcMode"),
    ({"CgroupnsMode": "host"}, "CgroupnsMode"),
    ({"UTSMode": "host"}, "UTSMode"),
    ({"UsernsMode": "host"}, "UsernsMode"),
    ({"Binds": ["/:/host"]}, "Binds"),
    ({"VolumesFrom": ["other"]}, "VolumesFrom"),
    ({"Sysctls": {"kernel.shmmax": "1"}}, "Sysctls"),
    ({"PortBindings": {"22/tcp": [{"HostPort": "22"}]}}, "PortBindings"),
    ({"OomScoreAdj": -500}, "OomScoreAdj"),
    ({"CgroupParent": "/"}, "CgroupParent"),
    ({"Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}]}, "mounts"),
]


@pytest.mark.parametrize(("host", "word"), FOR_ANYBODY)
def test_a_container_that_has_what_nobody_was_given_is_found_out(
    host: dict[str, Any], word: str
) -> None:
    for found in (inspect_faults(alices(**host), ALICES), inspect_faults(roots(**host), ROOTS)):
        (fault,) = found
        assert word in fault


@pytest.mark.parametrize(
    ("host", "word"),
    [
        ({"CapDrop": None}, "capabilities"),
        ({"CapDrop": ["NET_RAW"]}, "NET_RAW"),
        ({"SecurityOpt": None}, "security"),
        ({"SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]}, "unconfined"),
        ({"MaskedPaths": []}, "MaskedPaths"),
        ({"ReadonlyPaths": None}, "ReadonlyPaths"),
        ({"Memory": 2 * GIB}, "Memory"),
        ({"MemorySwap": 2 * GIB}, "MemorySwap"),
        ({"PidsLimit": 5000}, "PidsLimit"),
        ({"GroupAdd": ["0"]}, "groups"),
    ],
)
def test_an_ordinary_users_container_that_is_kept_in_less_is_found_out(
    host: dict[str, Any], word: str
) -> None:
    (fault,) = inspect_faults(alices(**host), ALICES)
    assert word in fault


@pytest.mark.parametrize("user", ["", "0:0", "1000", "1001:1000", "1000:0", "root"])
def test_an_ordinary_users_container_runs_as_nobody_else(user: str) -> None:
    (fault,) = inspect_faults(alices(user), ALICES)
    assert "1000:1000" in fault


def test_a_limit_that_the_kernel_does_not_have_is_no_fault_of_the_container() -> None:
    dropped = alices(Memory=0, MemorySwap=-1, PidsLimit=None)
    assert inspect_faults(dropped, ALICES) == []


def test_limits_of_another_day_are_not_compared() -> None:
    found = alices(Memory=2 * GIB, MemorySwap=2 * GIB, PidsLimit=10, GroupAdd=["60"])
    assert inspect_faults(found, ALICES, limits=False) == []
    assert inspect_faults(found, ALICES)


def test_a_cpu_container_that_was_given_a_slice_or_a_runtime_is_found_out() -> None:
    none = Bounds([], 0, 0)
    assert inspect_faults(roots(), none) == ["it was given ['MIG-a-0'], leased is nothing"]
    found = inspect_faults(roots(DeviceRequests=None, Runtime="nvidia"), none)
    assert found == ["a job without devices has the runtime nvidia"]
    fake = Bounds(["MIG-a-0"], 0, 0, real=False)
    assert inspect_faults(roots(DeviceRequests=None), fake) == []
    assert inspect_faults(roots(), fake) == ["it was given ['MIG-a-0'], leased is nothing"]


def test_secrets_are_mounted_where_they_are_read_only_and_nowhere_else() -> None:
    one = {"Type": "bind", "Source": "/run/pins/secrets", "Target": "/run/secrets"}
    with_secrets = dataclasses.replace(ALICES, pins="/run/pins/", secrets="/run/pins/secrets")
    right = alices(Mounts=[*KEPT["Mounts"], one | {"ReadOnly": True}])  # type: ignore[misc]
    assert inspect_faults(right, with_secrets) == []
    (fault,) = inspect_faults(right, ALICES)
    assert "it mounts" in fault
    (fault,) = inspect_faults(alices(), with_secrets)
    assert "it mounts" in fault
    writable = alices(Mounts=[*KEPT["Mounts"], one])  # type: ignore[misc]
    assert inspect_faults(writable, with_secrets) == ["its secrets can be written"]


def test_what_a_profile_opened_is_no_fault() -> None:
    opened = Bounds(["MIG-a-0"], 0, 0, network="host")
    assert inspect_faults(roots(NetworkMode="host"), opened) == []


@pytest.mark.parametrize("network", ["launcher", "others-net", "none"])
def test_a_network_that_was_not_granted_is_found_out(network: str) -> None:
    (fault,) = inspect_faults(alices(NetworkMode=network), ALICES)
    assert network in fault
    ours = dataclasses.replace(ALICES, network="launcher")
    assert inspect_faults(alices(NetworkMode="launcher"), ours) == []
    (fault,) = inspect_faults(alices(NetworkMode="bridge"), ours)
    assert "bridge" in fault


@pytest.mark.parametrize(
    ("network", "faults"), [("default", 0), ("launcher", 0), ("others-net", 1)]
)
def test_an_earlier_daemon_may_have_given_a_usual_network(network: str, faults: int) -> None:
    found = alices(NetworkMode=network)
    assert len(inspect_faults(found, ALICES, limits=False)) == faults
