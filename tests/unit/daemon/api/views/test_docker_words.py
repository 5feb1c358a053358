"""The words of ``docker run``: every field of the create body is said, and read back the same."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from launcher.core.policy.settings import Policy
from launcher.daemon.api.views.docker_words import BODY, HOST, LEFT_OUT, docker_words
from launcher.engine.spec import ContainerSpec, create_body
from launcher.network import NETWORK
from launcher.spec.job_spec import Mount, Ulimit
from tests.support.builders import ROOT
from tests.unit.engine.launches import IMAGE_ID, TWO, launch

EVIL = "a b'\"\\\n\x1b[31m$X`x`,=:"
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "of root": {"owner": ROOT, "user": "1000:1000", "cpus": 0.1, "mem_limit": 1 << 30},
    "two slices": {"slices": TWO, "driver": "nvidia.runtime-hook"},
    "no slice": {"slices": ()},
    "no devices": {"driver": None},
    "everything": {
        "command": ("--x", EVIL),
        "entrypoint": ("/bin/sh", "-c", EVIL),
        "environment": {"A": EVIL, "B": "", "HOME": "/home/x"},
        "working_dir": "/work",
        "volumes": (Mount('/data/alice/a,"b', "/x,y"), Mount("/datasets", "/d", read_only=True)),
        "shm_size": 1 << 20,
        "cpus": 3.25,
        "hostname": "worker",
        "ulimits": {"memlock": Ulimit(-1, -1), "stack": Ulimit(1, 2)},
        "gids": (100, 200),
        "job_network": NETWORK,
        "policy": Policy(pids=7, nofile=9),
    },
    "no network": {"network_mode": "none", "tmp": "memory"},
    "no entrypoint": {"entrypoint": ("",), "command": ("x",)},
    "secrets": {"secrets": "/run/launch/secrets"},
}


def made(case: str) -> ContainerSpec:
    whole = launch(**CASES[case])
    return replace(whole, binds=whole.spec.volumes)


def options(words: list[str]) -> list[tuple[str, str]]:
    found = []
    for word in words[2:]:
        if not word.startswith("--"):
            return found
        name, _, value = word.removeprefix("--").partition("=")
        found.append((name, value))
    raise AssertionError("there is no image")


def gpus(value: str) -> Iterator[tuple[str, str]]:
    for field in next(csv.reader([value])):
        yield field.partition("=")[0], field.partition("=")[2]


@pytest.mark.parametrize("case", CASES)
def test_every_field_of_the_body_is_said_or_left_out_on_purpose(case: str) -> None:
    body = create_body(made(case))
    assert body.keys() <= BODY.keys() | LEFT_OUT
    assert body["HostConfig"].keys() <= HOST.keys() | LEFT_OUT


@pytest.mark.parametrize("case", CASES)
def test_the_words_say_what_the_body_says(case: str) -> None:
    body = create_body(made(case))
    host, words = body["HostConfig"], docker_words(made(case))
    said = options(words)
    of = dict(said)
    assert words[:3] == ["docker", "run", "--rm"]
    assert [value for name, value in said if name == "env"] == body["Env"]
    entrypoint = body.get("Entrypoint", [])
    rest = words[2 + len(said) :]
    assert rest == [IMAGE_ID, *entrypoint[1:], *body.get("Cmd", [])]
    assert of.get("entrypoint") == (entrypoint[0] if entrypoint else None)
    for option, field in (("workdir", "WorkingDir"), ("hostname", "Hostname"), ("user", "User")):
        assert of.get(option) == body.get(field)
    for option, field in (
        ("memory", "Memory"), ("memory-swap", "MemorySwap"), ("pids-limit", "PidsLimit"),
        ("shm-size", "ShmSize"), ("network", "NetworkMode"), ("runtime", "Runtime"),
        ("ipc", "IpcMode"), ("cgroupns", "CgroupnsMode"),
    ):  # fmt: skip
        assert of.get(option) == (str(host[field]) if field in host else None)
    for option, field in (
        ("group-add", "GroupAdd"), ("cap-drop", "CapDrop"), ("security-opt", "SecurityOpt"),
    ):  # fmt: skip
        assert [value for name, value in said if name == option] == host.get(field, [])
    assert ("cpus" in of) == ("NanoCpus" in host)
    assert round(float(of.get("cpus", 0)) * 1e9) == host.get("NanoCpus", 0)
    limits = [f"{each['Name']}={each['Soft']}:{each['Hard']}" for each in host.get("Ulimits", [])]
    assert [value for name, value in said if name == "ulimit"] == limits
    assert {"init", "no-healthcheck"} <= of.keys()


@pytest.mark.parametrize("case", CASES)
def test_slices_and_mounts_are_said_as_dockers_command_reads_them(case: str) -> None:
    host, said = create_body(made(case))["HostConfig"], options(docker_words(made(case)))
    mounts = [next(csv.reader([value])) for name, value in said if name == "mount"]
    assert mounts == [
        ["type=bind", f"source={m['Source']}", f"target={m['Target']}"]
        + ["readonly"] * m["ReadOnly"]
        for m in host["Mounts"]
    ]
    requests = [dict(gpus(value)) for name, value in said if name == "gpus"]
    assert [each["device"].split(",") for each in requests] == [
        each["DeviceIDs"] for each in host.get("DeviceRequests", [])
    ]
    assert [each.get("driver", "") for each in requests] == [
        each["Driver"] for each in host.get("DeviceRequests", [])
    ]
    assert [["gpu", *each["capabilities"].split(",")] for each in requests] == [
        each["Capabilities"][0] for each in host.get("DeviceRequests", [])
    ]


def test_the_device_has_the_quotes_that_dockers_command_needs() -> None:
    (said,) = (value for name, value in options(docker_words(made("two slices"))) if name == "gpus")
    uuids = ",".join(each.uuid for each in TWO)
    assert said == f'driver=nvidia.runtime-hook,"device={uuids}","capabilities=compute,utility"'


def test_home_and_tmp_are_in_memory_and_secrets_and_labels_are_left_out() -> None:
    words = docker_words(made("secrets"))
    places = {value.partition(":")[0] for name, value in options(words) if name == "tmpfs"}
    assert places == {"/tmp", "/home/alice"}
    assert not any("secrets" in word or "kept:" in word or "label" in word for word in words)


def test_a_job_of_root_gets_no_places() -> None:
    assert "tmpfs" not in dict(options(docker_words(made("of root"))))
