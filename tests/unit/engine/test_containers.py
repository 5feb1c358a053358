"""What inspect says, as values; who has which device; the empty cgroup as a proof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers, cgroup_is_empty, gpu_ids, parse, six_decimals
from launcher.engine.outcome import Refused
from tests.unit.engine.wire_docker import WireDocker, raw, reply

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]
ID = "db615b736159e1128d3d4101e725176a33121ad6953a1f29f8860d534f4d4ce3"


@pytest.mark.parametrize(
    ("docker", "ours"),
    [
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456Z"),
        ("2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.100000Z"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000Z"),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
    ],
)
def test_times_have_six_decimals_and_dockers_zero_is_none(
    docker: str | None, ours: str | None
) -> None:
    assert six_decimals(docker) == ours


@given(nanos=st.integers(0, 999_999_999))
def test_cutting_a_time_keeps_the_order_of_times(nanos: int) -> None:
    text = f"2026-01-02T03:04:05.{nanos:09d}".rstrip("0").rstrip(".") + "Z"
    assert six_decimals(text) == f"2026-01-02T03:04:05.{nanos // 1000:06d}Z"


def state(**values: Any) -> dict[str, Any]:
    """Return an inspect answer: of a created container unless said otherwise."""
    created = {
        "Status": "created",
        "Running": False,
        "OOMKilled": False,
        "Pid": 0,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": "0001-01-01T00:00:00Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    }
    return {"Id": ID, "Name": "/launch-feed-7-2", "State": created | values, "Config": {}}


def test_a_created_container_never_started() -> None:
    found = parse(state())
    assert (found.id, found.name, found.status) == (ID, "launch-feed-7-2", "created")
    assert (found.ever_started, found.running, found.started_at, found.error) == (
        False,
        False,
        None,
        "",
    )
    assert found.labels == {}


def test_an_ended_container_has_its_code_its_times_and_whether_memory_ran_out() -> None:
    started, ended = "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:01Z"
    found = parse(
        state(Status="exited", ExitCode=137, OOMKilled=True, StartedAt=started, FinishedAt=ended)
    )
    assert (found.ever_started, found.exit_code, found.oom) == (True, 137, True)
    assert found.started_at == "2026-01-01T00:00:00.500000Z"
    assert found.finished_at == "2026-01-01T00:00:01.000000Z"


def test_a_container_never_ends_before_it_starts_though_docker_stamps_it_so() -> None:
    started, ended = "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.4Z"
    found = parse(state(Status="exited", StartedAt=started, FinishedAt=ended))
    assert found.started_at == found.finished_at == "2026-01-01T00:00:00.400000Z"
    running = parse(state(Status="running", Running=True, StartedAt=started))
    assert running.started_at == "2026-01-01T00:00:00.500000Z"


@pytest.mark.parametrize(
    ("labels", "ours"),
    [
        ({"launcher.store": "feed", "launcher.job": "7", "launcher.attempt": "2"}, True),
        ({"launcher.store": "feed", "launcher.job": "7", "launcher.attempt": "1"}, False),
        ({"launcher.store": "feed", "launcher.job": "17", "launcher.attempt": "2"}, False),
        ({"launcher.store": "beef", "launcher.job": "7", "launcher.attempt": "2"}, False),
        (None, False),
    ],
)
def test_a_container_is_an_attempts_only_by_all_three_labels(
    labels: dict[str, str] | None, ours: bool
) -> None:
    info = state()
    info["Config"]["Labels"] = labels
    assert parse(info).belongs_to("feed", 7, 2) is ours


def given_devices(runtime: str, env: list[str] | None, *requests: dict[str, Any]) -> dict[str, Any]:
    host = {"Runtime": runtime, "DeviceRequests": list(requests) or None}
    return {"HostConfig": host, "Config": {"Env": env}}


def with_devices(*paths: str) -> dict[str, Any]:
    devices = [{"PathOnHost": path, "PathInContainer": path} for path in paths]
    return {"HostConfig": {"Runtime": "runc", "Devices": devices}, "Config": {}}


def cdi(name: str) -> dict[str, Any]:
    return given_devices("runc", None, {"Driver": "cdi", "DeviceIDs": [name]})


VISIBLE = "NVIDIA_VISIBLE_DEVICES="


@pytest.mark.parametrize(
    ("info", "ids"),
    [
        (given_devices("runc", None, {"DeviceIDs": ["MIG-1", "MIG-2"]}), {"MIG-1", "MIG-2"}),
        (given_devices("runc", None, {"DeviceIDs": ["nvidia.com/gpu=MIG-1"]}), {"MIG-1"}),
        (given_devices("runc", None, {"DeviceIDs": None, "Count": -1}), {"all"}),
        (given_devices("runc", None, {"DeviceIDs": [], "Count": 2}), {"all"}),
        (given_devices("runc", None, {"DeviceIDs": [], "Count": 0}), set()),
        (given_devices("runc", [VISIBLE + "all"]), set()),
        (given_devices("nvidia", ["A=1", VISIBLE + "all"]), {"all"}),
        (given_devices("nvidia", [VISIBLE + "0,MIG-2"]), {"0", "MIG-2"}),
        (given_devices("nvidia", [VISIBLE + "void"]), set()),
        (given_devices("nvidia", [VISIBLE + "none"]), set()),
        (given_devices("nvidia", None), set()),
        (given_devices("nvidia", [VISIBLE + "all", VISIBLE + "MIG-3"]), {"MIG-3"}),
        (given_devices("nvidia-legacy", [VISIBLE + "0:1"]), {"0:1"}),
        (given_devices("nvidia", [VISIBLE + "nvidia.com/gpu=0:1"]), {"0:1"}),
        (cdi("nvidia.com/gpu=all"), {"all"}),
        (cdi("nvidia.com/gpu=0:1"), {"0:1"}),
        (cdi("acme.com/nic=0"), set()),
        (with_devices("/dev/nvidia0", "/dev/nvidiactl", "/dev/fuse"), {"/dev/nvidia0"}),
        (with_devices("nvidia.com/gpu=MIG-1", "acme.com/nic=0"), {"MIG-1"}),
        (
            given_devices("nvidia", None)
            | {"Mounts": [{"Destination": "/var/run/nvidia-container-devices/MIG-4"}]},
            {"MIG-4"},
        ),
        ({"HostConfig": None, "Config": {}}, set()),
    ],
)
def test_what_devices_a_container_was_given(info: dict[str, Any], ids: set[str]) -> None:
    assert gpu_ids(info) == ids


def process(proc: Path, pid: int, cgroup: str) -> Path:
    place = proc / str(pid)
    place.mkdir(parents=True)
    (place / "cgroup").write_text(cgroup)
    return place


def test_a_cgroup_is_empty_when_no_process_names_the_container(tmp_path: Path) -> None:
    process(tmp_path, 1, "0::/init.scope\n")
    process(tmp_path, 2, f"0::/system.slice/docker-{'a' * 64}.scope\n")
    (tmp_path / "self").mkdir()
    (tmp_path / "99").mkdir()  # ended meanwhile: it has no cgroup any more
    assert cgroup_is_empty(ID, tmp_path)


@pytest.mark.parametrize(
    "cgroup", [f"0::/system.slice/docker-{ID}.scope/init\n", f"4:x:/docker/{ID}\n"]
)
def test_a_cgroup_with_a_process_is_not_empty(tmp_path: Path, cgroup: str) -> None:
    process(tmp_path, 1, "0::/init.scope\n")
    process(tmp_path, 4711, cgroup)
    assert not cgroup_is_empty(ID, tmp_path)


def test_a_process_that_cannot_be_looked_at_is_no_proof(tmp_path: Path) -> None:
    """/proc may hide other users' processes; what is hidden could be the job's (I2)."""
    (tmp_path / "7" / "cgroup").mkdir(parents=True)
    assert not cgroup_is_empty(ID, tmp_path)


def test_a_container_without_an_id_proves_nothing(tmp_path: Path) -> None:
    process(tmp_path, 1, "0::/init.scope\n")
    assert not cgroup_is_empty("", tmp_path)


def test_stopping_killing_and_removing_what_is_gone_or_does_not_run_is_nothing(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    containers = Containers(connection)
    for code in (404, 409):
        answer = reply(code, {"message": "No such container: x"})
        docker_wire.on("POST /containers/x/stop", answer)
        docker_wire.on("POST /containers/x/kill", answer)
        docker_wire.on("DELETE /containers/x", answer)
        containers.stop("x", 1.0)
        containers.kill("x", "SIGTERM")
        containers.remove("x")
    asked = [r.split(" ")[0] for r in docker_wire.requests if "/containers/" in r]
    assert asked == ["POST", "POST", "DELETE"] * 2


def test_a_removal_that_docker_cannot_do_is_an_error(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on("DELETE /containers/x", reply(500, {"message": "device or resource busy"}))
    with pytest.raises(Refused, match="busy"):
        Containers(connection).remove("x")


def test_inspect_tells_gone_from_cannot_say(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on(
        "GET /containers/x/json",
        reply(404, {"message": "No such container: x"}),
        reply(500, {"message": "open /var/lib/docker: input/output error"}),
    )
    containers = Containers(connection)
    assert containers.inspect("x") is None
    with pytest.raises(Refused):
        containers.inspect("x")


def test_a_start_that_changes_nothing_is_no_error(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    answer = raw(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n")
    docker_wire.on("POST /containers/x/start", answer)
    Containers(connection).start("x")
    assert docker_wire.requests[-1].startswith("POST")


def test_a_ghost_runs_by_dockers_word_and_has_no_process(tmp_path: Path) -> None:
    docker = Containers(DockerConnection("unix:///nowhere"))
    info = {
        "Id": ID, "Name": "/x", "Config": {},
        "State": {"Status": "running", "Running": True, "Pid": 41},
    }  # fmt: skip
    found = parse(info)
    assert not docker.is_ghost(found, tmp_path), "who sees not even pid 1 sees nothing"
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "cgroup").write_text("0::/\n")
    assert docker.is_ghost(found, tmp_path)
    for pid, cgroup in (("41", "/elsewhere"), ("77", f"/docker/{ID}")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cgroup").write_text(f"0::{cgroup}\n")
        assert not docker.is_ghost(found, tmp_path), "one of its processes is there"
        (tmp_path / pid / "cgroup").unlink()
        (tmp_path / pid).rmdir()
    info["State"] = {"Status": "exited", "Running": False, "Pid": 0}
    assert not docker.is_ghost(parse(info), tmp_path)
