"""``runtime: host``: a command on the machine itself."""

from __future__ import annotations

import pytest

from launcher.wire import GpuRequest
from tests.unit.jobfile.documents import read, said

HOST = "runtime: host\ncommand: [./train.sh, --fast]\n"


def test_a_command_without_a_container_runs_beside_its_file() -> None:
    job = read(HOST + "gpus: 1g.6gb\nenvironment: {A: b}\n")
    assert (job.name, job.image, job.runtime, job.foreground) == ("train.sh", "", "host", False)
    assert (job.command, job.working_dir) == (("./train.sh", "--fast"), "/base")
    assert (job.gpus, job.environment) == (GpuRequest(kind="profile", profile="1g.6gb"), {"A": "b"})


def test_its_name_and_place_can_be_said() -> None:
    job = read(HOST + "name: mine\nworking_dir: /srv\nmatrix: {a: [1, 2]}\n")
    assert (job.name, job.working_dir) == ("mine", "/srv")
    assert job.array is not None
    assert len(job.array.matrix) == 2


@pytest.mark.parametrize(
    "key",
    [
        "image: x", "entrypoint: x", "volumes: [/a:/b]", "shm_size: 1g", "user: 1", "profile: x",
        "network_mode: none", "pull_policy: always",
    ],
)  # fmt: skip
def test_what_only_containers_have_is_refused_where_it_stands(key: str) -> None:
    told = said(f"{HOST}{key}\n")
    name = key.partition(":")[0]
    assert told == f"3:1: `{name}` is a container's: a job with `runtime: host` has none"


def test_it_needs_a_command_and_a_container_needs_an_image() -> None:
    assert "a job with `runtime: host` needs a `command`" in said("runtime: host\n")
    assert "the job has no `image`" in said("command: x\n")


def test_no_other_runtime_can_be_named() -> None:
    assert "`runtime`: 'nvidia' is not known" in said("image: x\nruntime: nvidia\n")
