"""The engine's calls on a real dockerd: containers, their logs, and what inspect shows (I9)."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
from typing import Any

import pytest

from launcher.core.model.ids import container_name, labels
from launcher.core.policy.policy import Person, PolicyInput
from launcher.core.policy.sandbox import confinement
from launcher.core.policy.settings import Policy
from launcher.engine.attach import attach
from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Container, Containers, cgroup_is_empty, gpu_ids
from launcher.engine.images import Images
from launcher.engine.inspect_check import inspect_faults
from launcher.engine.logs import LogEntry, Logs
from launcher.engine.outcome import Refusal, Refused
from launcher.engine.spec import LOG_CONFIG, ContainerSpec, create_body
from launcher.engine.validate import Bounds, body_faults
from launcher.fakegpu.sandbox import Sandbox
from launcher.spec.job_spec import JobSpec
from launcher.wire.docker_stream import Demultiplexer
from tests.support.builders import ALICE, CPU, ROOT, mig, profile
from tests.support.daemon import BUSYBOX
from tests.support.wait import wait_until
from tests.unit.engine.launches import SHARE, bounds_of

PLAIN: dict[str, Any] = {"Image": BUSYBOX}
numbers = itertools.count(1)


def launch(sandbox: Sandbox, slices: int, **spec: Any) -> ContainerSpec:
    """Return an attempt on so many slices, with an image that is really there."""
    owner, job = spec.pop("owner", ALICE), next(numbers)
    image_id = Images(DockerConnection(sandbox.docker_host)).find(BUSYBOX)
    assert image_id is not None
    need = profile(count=slices) if slices else CPU
    made = JobSpec("test", BUSYBOX, need, **spec)
    leased = tuple(mig(n) for n in range(slices))
    marks = labels("c0de", job, 1, tuple(s.uuid for s in leased), owner.uid)
    kept = confinement(PolicyInput(made, Person(owner), Policy(), SHARE))
    return ContainerSpec(job, 1, made, leased, image_id, kept, marks, made.volumes)


def run(docker: Containers, made: ContainerSpec) -> Container:
    """Create and start an attempt as the daemon does; returns what inspect shows."""
    body, name = create_body(made), container_name("c0de", made.job, made.attempt)
    assert body_faults(body, bounds_of(made)) == []
    docker.create(name, body)
    docker.start(name)
    return look(docker, name)


def look(docker: Containers, name: str) -> Container:
    found = docker.inspect(name)
    assert found is not None
    return found


def start(docker: Containers, *command: str, **more: Any) -> str:
    name = f"engine-{next(numbers)}"
    docker.create(name, PLAIN | {"Cmd": list(command)} | more)
    docker.start(name)
    return name


@pytest.mark.parametrize("slices", [0, 1, 3])
@pytest.mark.parametrize("owner", [ALICE, ROOT])
def test_i9_inspect_shows_exactly_what_was_leased(
    docker: Containers, sandbox: Sandbox, slices: int, owner: Any
) -> None:
    made = launch(sandbox, slices, command=("sleep", "60"), owner=owner)
    found = run(docker, made)
    uuids = [s.uuid for s in made.slices]
    assert inspect_faults(found.info, bounds_of(made)) == []
    assert gpu_ids(found.info) == set(uuids)
    assert found.belongs_to("c0de", made.job, 1)
    assert not found.belongs_to("c0de", made.job, 2)


def test_i9_a_real_container_with_another_slice_is_found_out(
    docker: Containers, sandbox: Sandbox
) -> None:
    made = launch(sandbox, 2, command=("sleep", "60"))
    body = create_body(made)
    docker.create("other", body)
    found = look(docker, "other")
    first, second = (s.uuid for s in made.slices)
    bounds = bounds_of(made)
    assert inspect_faults(found.info, bounds) == []
    for leased in ([first], [second, first], [first, second, "MIG-a-9"], []):
        (fault,) = inspect_faults(found.info, dataclasses.replace(bounds, uuids=leased))
        assert "leased is" in fault


@pytest.mark.parametrize(
    "extra",
    [
        {"Privileged": True},
        {"PidMode": "host"},
        {"NetworkMode": "host"},
        {"IpcMode": "host"},
        {"UTSMode": "host"},
        {"CapAdd": ["SYS_ADMIN"]},
        {"Binds": ["/etc:/host:ro"]},
        {"Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n"}]},
        {"DeviceCgroupRules": ["c 195:* rwm"]},
    ],
)
def test_i9_a_real_container_with_something_forbidden_is_found_out(
    docker: Containers, extra: dict[str, Any]
) -> None:
    docker.create("forbidden", PLAIN | {"HostConfig": {"CgroupnsMode": "private"} | extra})
    assert len(inspect_faults(look(docker, "forbidden").info, Bounds([], 0, 0))) == 1


def test_every_field_of_the_body_reaches_docker(docker: Containers, sandbox: Sandbox) -> None:
    made = launch(
        sandbox,
        1,
        command=("sleep", "60"),
        environment={"A": "b c"},
        working_dir="/tmp",
        mem_limit=64 * 2**20,
        cpus=0.5,
        shm_size=32 * 2**20,
    )
    info = run(docker, made).info
    host, config = info["HostConfig"], info["Config"]
    assert (host["Memory"], host["NanoCpus"], host["ShmSize"]) == (2**26, 500_000_000, 2**25)
    assert (host["Init"], host["AutoRemove"], host["RestartPolicy"]["Name"]) == (True, False, "no")
    assert host["LogConfig"]["Config"] == LOG_CONFIG["Config"]
    assert (config["WorkingDir"], config["User"], config["Tty"]) == ("/tmp", "1000:1000", False)
    assert "A=b c" in config["Env"]
    assert config["Healthcheck"] == {"Test": ["NONE"]}
    assert config["Labels"] == made.labels


def test_a_container_runs_ends_and_is_removed(docker: Containers) -> None:
    name = start(docker, "sh", "-c", "sleep 0.3; exit 3")
    running = look(docker, name)
    assert (running.running, running.ever_started, running.finished_at) == (True, True, None)
    assert running.pid > 0
    assert not cgroup_is_empty(running.id)
    docker.wait(name)
    ended = look(docker, name)
    assert (ended.running, ended.exit_code, ended.oom, ended.status) == (False, 3, False, "exited")
    assert (ended.started_at or "") < (ended.finished_at or "")
    wait_until(lambda: cgroup_is_empty(ended.id), what="its cgroup is empty")
    docker.remove(name)
    assert docker.inspect(name) is None
    docker.remove(name)


def test_stop_sends_term_and_kills_after_the_grace(docker: Containers) -> None:
    kind = start(docker, "sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.05; done")
    stubborn = start(docker, "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    docker.stop(kind, 10.0)
    docker.stop(stubborn, 0.0)
    assert (look(docker, kind).exit_code, look(docker, stubborn).exit_code) == (9, 137)
    docker.stop(kind, 1.0)  # again: nothing
    docker.kill(kind, "SIGTERM")


def test_starting_what_runs_changes_nothing(docker: Containers) -> None:
    name = start(docker, "sleep", "60")
    before = look(docker, name)
    docker.start(name)
    after = look(docker, name)
    assert (after.pid, after.started_at) == (before.pid, before.started_at)


def test_ours_are_listed_by_label_in_every_state_and_running_whoever_made_them(
    docker: Containers,
) -> None:
    marks = {"Labels": labels("abcd", 1, 1, (), 0)}
    alive = start(docker, "sleep", "60", **marks)
    over = start(docker, "true", **marks)
    docker.wait(over)
    docker.create("never-started", PLAIN | marks)
    stranger = start(docker, "sleep", "60")
    start(docker, "true", Labels=labels("abcde", 1, 1, (), 0))
    names = {c["Names"][0].lstrip("/"): c["State"] for c in docker.ours("abcd")}
    assert names == {alive: "running", over: "exited", "never-started": "created"}
    running = {c["Names"][0].lstrip("/") for c in docker.running()}
    assert {alive, stranger} <= running
    assert "never-started" not in running


@pytest.fixture
def logs(sandbox: Sandbox) -> Logs:
    return Logs(DockerConnection(sandbox.docker_host))


def read(logs: Logs, name: str, *, follow: bool = True) -> list[LogEntry]:
    return [entry for batch in logs.read(name, follow=follow) for entry in batch]


def test_output_and_errors_come_apart_each_with_its_time(docker: Containers, logs: Logs) -> None:
    name = start(docker, "sh", "-c", "echo out; echo err >&2; printf end")
    docker.wait(name)
    entries = read(logs, name, follow=False)
    assert {(e.stream, e.data) for e in entries} == {(1, b"out\n"), (2, b"err\n"), (1, b"end")}
    assert all(e.time_ns > 1_700_000_000 * 10**9 for e in entries)


def test_following_goes_on_to_the_end_of_the_container(docker: Containers, logs: Logs) -> None:
    name = start(docker, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.05; done")
    assert [e.data for e in read(logs, name)] == [b"1\n", b"2\n", b"3\n"]


def test_a_line_longer_than_dockers_buffer_comes_in_pieces_that_make_it_whole(
    docker: Containers, logs: Logs
) -> None:
    name = start(docker, "sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo")
    entries = read(logs, name)
    assert len(entries) > 1
    assert b"".join(e.data for e in entries) == b"x" * 40000 + b"\n"


BYTES = {
    "invalid UTF-8 without a final newline": "printf '\\377\\376\\200'",
    "every byte": 'i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf %03o $i)"; i=$((i+1)); done',
    "UTF-8 across the buffer": "head -c 16383 /dev/zero | tr '\\0' x; printf '\\303\\251\\nend\\n'",
    "a line of a megabyte": "head -c 1000000 /dev/zero; echo; echo end",
    "empty lines": "printf '\\n\\n\\n'; printf ' \\n'",
    "carriage returns": "printf '\\r10%%\\r20%%'; sleep 0.1; printf '\\r100%%\\n'",
}


@pytest.mark.parametrize("script", BYTES.values(), ids=BYTES)
def test_dockers_log_has_every_byte_that_was_written(
    docker: Containers, logs: Logs, script: str, sandbox: Sandbox
) -> None:
    name = start(docker, "sh", "-c", f"{script}; exit 0", HostConfig={"LogConfig": LOG_CONFIG})
    docker.wait(name)
    direct = subprocess.run(
        ["docker", "-H", sandbox.docker_host, "run", "--rm", BUSYBOX, "sh", "-c", script],
        check=True,
        capture_output=True,
    ).stdout
    assert b"".join(e.data for e in read(logs, name, follow=False)) == direct


def test_an_attached_socket_carries_every_byte_from_the_start_to_the_end(
    docker: Containers, sandbox: Sandbox
) -> None:
    script = "".join(f"{one}; echo; " for one in BYTES.values()) + "echo err >&2"
    name = f"attached-{next(numbers)}"
    docker.create(name, PLAIN | {"Cmd": ["sh", "-c", script]})
    streams, found = Demultiplexer(), {1: b"", 2: b""}
    with attach(sandbox.docker_host, name, 10) as attached:
        docker.start(name)
        while data := attached.recv(1 << 16):
            for stream, piece in streams.feed(data):
                found[stream] += piece
    docker.wait(name)
    direct = subprocess.run(
        ["docker", "-H", sandbox.docker_host, "run", "--rm", BUSYBOX, "sh", "-c", script],
        check=True,
        capture_output=True,
    )
    assert (found[1], found[2]) == (direct.stdout, b"err\n")


def test_attaching_to_no_container_says_so(sandbox: Sandbox) -> None:
    with pytest.raises(Refused, match="No such container") as caught:
        attach(sandbox.docker_host, "nobody", 10)
    assert caught.value.refusal is Refusal.MISSING


def test_reading_that_is_given_up_leaves_the_engine_usable(docker: Containers, logs: Logs) -> None:
    name = start(docker, "sh", "-c", "while :; do echo on; sleep 0.01; done")
    for _ in range(5):
        stream = logs.read(name, follow=True)
        assert next(stream)[0].data == b"on\n"
        stream.close()  # type: ignore[attr-defined]
    assert look(docker, name).running


def test_one_connection_serves_many_threads_at_once(docker: Containers) -> None:
    from concurrent.futures import ThreadPoolExecutor

    names = [start(docker, "sleep", "60") for _ in range(3)]
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda n: docker.inspect(names[n % 3]), range(120)))
    assert [c.name for c in found if c] == [names[n % 3] for n in range(120)]


def test_a_pinned_id_and_its_name_are_one_image(sandbox: Sandbox) -> None:
    images = Images(DockerConnection(sandbox.docker_host))
    image_id = images.find(BUSYBOX)
    assert image_id is not None
    assert image_id.startswith("sha256:")
    assert images.find(image_id) == images.find(image_id.removeprefix("sha256:")) == image_id
    assert images.find(image_id.removeprefix("sha256:")[:12]) is None, "Docker would find it"
    assert images.find("nobody/nothing:1") is None
    assert images.digest(image_id) is None, "it was never pulled"


def test_version_and_info_are_dockers_own(sandbox: Sandbox) -> None:
    connection = DockerConnection(sandbox.docker_host)
    assert connection.version()["Version"]
    assert connection.info()["LiveRestoreEnabled"] is True
