"""From a job's spec to Docker's create body: whole bodies, and I8 for whatever a user writes."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.core.policy.policy import is_kernels, normal
from launcher.core.policy.settings import Policy
from launcher.engine.spec import ContainerSpec, create_body, environment, gpu_driver
from launcher.engine.validate import body_faults
from launcher.network import NETWORK
from launcher.spec.job_spec import Mount
from tests.support.builders import ALICE, ROOT
from tests.unit.engine.launches import IMAGE_ID, ONE, SHARE, TWO, bounds_of, launch, uuids_of

COMMON = {
    "Image": IMAGE_ID,
    "Tty": False,
    "StdinOnce": False,
    "OpenStdin": False,
    "AttachStdin": False,
    "Healthcheck": {"Test": ["NONE"]},
}
HOST = {
    "Init": True,
    "AutoRemove": False,
    "RestartPolicy": {"Name": "no"},
    "IpcMode": "private",
    "CgroupnsMode": "private",
    "LogConfig": {
        "Type": "local",
        "Config": {"max-size": "50m", "max-file": "5", "compress": "false"},
    },
    "Mounts": [],
    "Tmpfs": {},
}
CONFINED = {
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges"],
    "Memory": SHARE,
    "MemorySwap": SHARE,
    "ShmSize": SHARE // 2,
    "PidsLimit": 4096,
    "Ulimits": [
        {"Name": "nofile", "Soft": 16384, "Hard": 16384},
        {"Name": "core", "Soft": 0, "Hard": 0},
    ],
}


def labels(uuids: str, uid: int) -> dict[str, str]:
    return {
        "launcher.store": "feed",
        "launcher.job": "7",
        "launcher.attempt": "2",
        "launcher.slices": uuids,
        "launcher.uid": str(uid),
    }


def request(*uuids: str, driver: str = "") -> list[dict[str, Any]]:
    return [
        {
            "Driver": driver,
            "Count": 0,
            "DeviceIDs": list(uuids),
            "Capabilities": [["gpu", "compute", "utility"]],
            "Options": {},
        }
    ]


def own(source: str, target: str, *, read_only: bool = False) -> dict[str, Any]:
    mount = {"Type": "bind", "BindOptions": {"Propagation": "rprivate"}}
    return mount | {"Source": f"/homes/{source}", "Target": target, "ReadOnly": read_only}


def targets(body: dict[str, Any]) -> set[str]:
    """Where the job's own directories are, without its accounts."""
    mounts = [m for m in body["HostConfig"]["Mounts"] if m["Source"].startswith("/homes/")]
    return {mount["Target"] for mount in mounts} - {"/etc/passwd", "/etc/group"}


def test_the_body_of_an_ordinary_users_job_on_one_slice() -> None:
    body = create_body(launch(command=("python", "train.py"), environment={"A": "1"}))
    assert body == COMMON | {
        "Cmd": ["python", "train.py"],
        "User": "1000:1000",
        "WorkingDir": "/home/alice",
        "Env": [
            "HOME=/home/alice",
            "USER=alice",
            "LOGNAME=alice",
            "A=1",
            "LAUNCHER_JOB_ID=7",
            "LAUNCHER_ATTEMPT=2",
            "LAUNCHER_SLICES=MIG-a-0",
            "LAUNCHER_PROFILE=1g.6gb",
        ],
        "Labels": labels("MIG-a-0", 1000),
        "HostConfig": HOST
        | CONFINED
        | {
            "DeviceRequests": request("MIG-a-0"),
            "Mounts": [
                own("jobs/launch-feed-7-2/home", "/home/alice"),
                own("caches/1000/cache", "/home/alice/.cache"),
                own("jobs/launch-feed-7-2/tmp", "/tmp"),
                own("jobs/launch-feed-7-2/passwd", "/etc/passwd", read_only=True),
                own("jobs/launch-feed-7-2/group", "/etc/group", read_only=True),
            ],
        },
    }


def test_the_body_of_a_root_job_with_mounts_and_limits() -> None:
    body = create_body(
        launch(
            ROOT,
            entrypoint=("/entry",),
            working_dir="/work",
            volumes=(Mount("/data", "/in", True), Mount("/out", "/out", False)),
            shm_size=1 << 30,
            mem_limit=2 << 30,
            cpus=1.5,
            user="1234",
        )
    )
    mount = {"Type": "bind", "BindOptions": {"Propagation": "rprivate"}}
    assert body == COMMON | {
        "Entrypoint": ["/entry"],
        "WorkingDir": "/work",
        "User": "1234",
        "Env": [
            "LAUNCHER_JOB_ID=7",
            "LAUNCHER_ATTEMPT=2",
            "LAUNCHER_SLICES=MIG-a-0",
            "LAUNCHER_PROFILE=1g.6gb",
        ],
        "Labels": labels("MIG-a-0", 0),
        "HostConfig": HOST
        | {
            "DeviceRequests": request("MIG-a-0"),
            "ShmSize": 1 << 30,
            "Memory": 2 << 30,
            "MemorySwap": 2 << 30,
            "NanoCpus": 1_500_000_000,
            "Mounts": [
                mount | {"Source": "/data", "Target": "/in", "ReadOnly": True},
                mount | {"Source": "/out", "Target": "/out", "ReadOnly": False},
            ],
        },
    }


def test_what_a_policy_grants_is_in_the_body_and_nothing_else() -> None:
    host = create_body(launch(gids=(60, 61), network_mode="none", mem_limit=1 << 30))["HostConfig"]
    assert (host["GroupAdd"], host["NetworkMode"]) == (["60", "61"], "none")
    assert (host["Memory"], host["MemorySwap"]) == (1 << 30, 1 << 30)
    assert "NetworkMode" not in create_body(launch(network_mode="default"))["HostConfig"]


def test_in_the_network_of_jobs_a_hostname_takes_no_servers_short_name() -> None:
    in_network = create_body(launch(job_network=NETWORK, hostname="proxy"))
    assert in_network["HostConfig"]["NetworkMode"] == NETWORK
    assert in_network["Hostname"] == "proxy.launcher"
    assert create_body(launch(hostname="proxy"))["Hostname"] == "proxy"
    most = "h" * 63
    assert create_body(launch(job_network=NETWORK, hostname=most))["Hostname"] == most


def test_who_runs_a_daemon_of_his_own_has_no_limits_but_those_he_asks_for() -> None:
    own = Policy(unbound=frozenset({0, ALICE.uid}))
    body = create_body(launch(policy=own, gids=(60,)))
    assert "Memory" not in body["HostConfig"]
    assert body["HostConfig"]["GroupAdd"] == ["60"]
    assert (body["User"], body["HostConfig"]["CapDrop"]) == ("1000:1000", ["ALL"])


def test_the_body_of_a_cpu_job_runs_with_runc_and_sees_no_gpu() -> None:
    body = create_body(launch(ROOT, slices=()))
    assert body["HostConfig"] == HOST | {
        "Runtime": "runc",
        "NanoCpus": 10**9,
        "ShmSize": SHARE // 2,
    }
    assert body["Env"][2:] == [
        "LAUNCHER_SLICES=",
        "LAUNCHER_PROFILE=none",
        "NVIDIA_VISIBLE_DEVICES=void",
    ]


def test_several_slices_are_one_request_with_all_of_them() -> None:
    body = create_body(launch(slices=TWO, driver="nvidia.runtime-hook"))
    driver = "nvidia.runtime-hook"
    assert body["HostConfig"]["DeviceRequests"] == request("MIG-a-0", "MIG-a-1", driver=driver)
    assert "LAUNCHER_SLICES=MIG-a-0,MIG-a-1" in body["Env"]


def test_a_deadline_is_told_where_there_is_one() -> None:
    at = "2026-01-01T00:00:00.000000Z"
    told = environment(dataclasses.replace(launch(), deadline=at))
    assert told["LAUNCHER_DEADLINE"] == at
    assert "LAUNCHER_DEADLINE" not in environment(launch())


def test_a_user_may_say_where_his_home_is_and_gets_it_writable() -> None:
    body = create_body(launch(environment={"HOME": "/home/elsewhere"}))
    assert "HOME=/home/elsewhere" in body["Env"]
    assert targets(body) == {"/tmp", "/home/elsewhere", "/home/elsewhere/.cache"}


@pytest.mark.parametrize(
    "home", ["/home/../etc", "/home/a/../../proc", "/home/", "/etc", "/home//x", "/home/a/.", "/"]
)
def test_no_text_of_a_user_mounts_anything_outside_home(home: str) -> None:
    body = create_body(launch(environment={"HOME": home}))
    assert targets(body) == {"/tmp"}


@pytest.mark.parametrize(
    ("target", "home"),
    [
        ("/home/alice", "/home/alice"),
        ("/home/alice", "/home/alice/link"),
        ("/home/./alice/", "/home/alice/a/b"),
        ("/home", "/home/alice"),
    ],
)
def test_nothing_of_ours_is_put_at_or_below_a_users_mount_where_a_symlink_could_lead_it_elsewhere(
    target: str, home: str
) -> None:
    made = launch(volumes=(Mount("/run/pins/0", target, True),), environment={"HOME": home})
    body = create_body(made)
    assert targets(body) == {"/tmp"}
    assert body_faults(body, bounds_of(made)) == []


def test_a_mount_below_home_leaves_home_writable() -> None:
    made = launch(volumes=(Mount("/run/pins/0", "/home/alice/work", True),))
    assert targets(create_body(made)) == {"/tmp", "/home/alice", "/home/alice/.cache"}
    made = launch(volumes=(Mount("/run/pins/0", "/tmp", True),))
    assert targets(create_body(made)) == {"/home/alice", "/home/alice/.cache"}
    made = launch(tmp="memory")
    body = create_body(made)
    assert targets(body) == {"/home/alice", "/home/alice/.cache"}
    assert body["HostConfig"]["Tmpfs"] == {"/tmp": "rw,exec,nosuid,nodev,mode=1777"}
    assert body_faults(body, bounds_of(made)) == []


@pytest.mark.parametrize("cpus", [1e300, float("inf"), 1e18])
def test_more_cores_than_there_can_be_still_make_a_number_that_docker_can_read(cpus: float) -> None:
    config = create_body(launch(cpus=cpus))["HostConfig"]
    assert config["NanoCpus"] == 9 * 10**18
    assert json.loads(json.dumps(config)) == config


@pytest.mark.parametrize(
    ("version", "driver"),
    [
        ("20.10.24+dfsg1", ""),
        ("28.5.2", ""),
        ("29.1.9", ""),
        ("29.2.0", "nvidia.runtime-hook"),
        ("29.2.0-rc.1", "nvidia.runtime-hook"),
        ("30.0.0+deb", "nvidia.runtime-hook"),
        ("", ""),
        ("dev", ""),
    ],
)
def test_the_driver_is_named_from_the_version_on_that_tries_cdi_first(
    version: str, driver: str
) -> None:
    assert gpu_driver(version) == driver


def test_slices_of_a_fake_gpu_are_named_and_no_device_is_asked_for() -> None:
    made = launch(slices=TWO, driver=None)
    body = create_body(made)
    assert "DeviceRequests" not in body["HostConfig"]
    assert body["HostConfig"]["Runtime"] == "runc"
    told = environment(made)
    assert told["LAUNCHER_SLICES"] == ",".join(uuids_of(made))
    assert told["NVIDIA_VISIBLE_DEVICES"] == "void"


anything = st.text(max_size=40)
hostile = st.one_of(
    anything,
    st.sampled_from(
        [
            '"}],"HostConfig":{"Privileged":true',
            "NVIDIA_VISIBLE_DEVICES=all",
            "--privileged",
            "all",
            "../../containers/x",
            "MIG-a-3",
            "\0",
            "a\nNVIDIA_VISIBLE_DEVICES=all",
        ]
    ),
)


@st.composite
def launches(draw: st.DrawFn) -> ContainerSpec:
    """An attempt with whatever a user may have written in every text field of his job."""
    maybe = st.one_of(st.none(), st.lists(hostile, max_size=4).map(tuple))
    names = st.from_regex(r"[A-KM-MO-Z_][A-Z0-9_]{0,8}", fullmatch=True).filter(
        lambda name: not name.startswith(("CUDA_", "DOCKER_"))
    )
    made = launch(
        draw(st.sampled_from([ALICE, ROOT])),
        draw(st.sampled_from([(), ONE, TWO])),
        command=draw(maybe),
        entrypoint=draw(maybe),
        environment=draw(st.dictionaries(names, hostile, max_size=4)),
        working_dir=draw(st.one_of(st.none(), hostile.map(_path))),
        user=draw(st.one_of(st.none(), hostile)),
    )
    spec = dataclasses.replace(made.spec, image=draw(hostile), name=draw(hostile))
    return dataclasses.replace(made, spec=spec)


def _path(text: str) -> str:
    """Return what is left of a text where the policy lets a working directory pass."""
    path = "/" + re.sub(r"[\x00-\x1f\x7f]", "", text)
    return "/" if is_kernels(path) else path


@given(made=launches())
def test_i8_whatever_a_user_writes_the_body_is_ours(made: ContainerSpec) -> None:
    body, uuids = create_body(made), uuids_of(made)
    assert set(body) <= {*COMMON, "Env", "Labels", "HostConfig", "Cmd", "Entrypoint"} | {
        "WorkingDir",
        "User",
    }
    host = body["HostConfig"]
    assert set(host) <= {*HOST, *CONFINED, "DeviceRequests", "Runtime", "NanoCpus"}
    assert host.get("DeviceRequests", []) == (request(*uuids) if uuids else [])
    assert body["Image"] == IMAGE_ID, "what is run is the pinned id, never the user's text"
    assert body["Labels"] == labels(",".join(uuids), int(made.labels["launcher.uid"]))
    assert body_faults(body, bounds_of(made)) == []


@given(made=launches())
def test_i8_a_users_words_reach_the_container_as_he_wrote_them(made: ContainerSpec) -> None:
    body, spec = create_body(made), made.spec
    assert body.get("Cmd") == (None if spec.command is None else list(spec.command))
    assert body.get("Entrypoint") == (None if spec.entrypoint is None else list(spec.entrypoint))
    if spec.working_dir is not None:
        assert body["WorkingDir"] == normal(spec.working_dir)
    told = dict(entry.split("=", 1) for entry in body["Env"])
    assert told.items() >= dict(spec.environment).items()
