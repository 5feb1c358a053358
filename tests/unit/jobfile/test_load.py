"""Job files: what they become, and what is said where they are wrong."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import JobFileError
from launcher.jobfile import load
from launcher.wire import GpuRequest, JobSpec, Mount
from tests.support.plain_work import cost


def written(directory: Path, text: str, name: str = "job.yaml") -> str:
    path = directory / name
    path.write_text(textwrap.dedent(text))
    return str(path)


def one(directory: Path, text: str) -> JobSpec:
    (job,) = load([written(directory, text)])
    return job


def refused(directory: Path, text: str) -> str:
    with pytest.raises(JobFileError) as caught:
        load([written(directory, text)])
    return caught.value.message.replace(f"{directory}/", "")


def test_every_key_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HERE", "mine")
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / ".env").write_text("A=file\nexport B='quoted # x'\nC=plain # comment\nFROM_HERE\n")
    job = one(
        tmp_path,
        """\
        x-note: [anything, {at: all}]
        name: train
        image: nvcr.io/nvidia/pytorch:25.01-py3
        command: ["python", "train.py", "--lr", 0.10, true]
        entrypoint: /bin/run -x "two words"
        gpus: {profile: 1g.6gb, count: 2}
        environment: {A: job, N: 1.10, T: true, FROM_HERE: , MISSING_HERE: }
        env_file: .env
        working_dir: /work
        volumes:
          - ./src:/work:ro
          - ~/data:/data
          - {type: bind, source: ../up, target: /up, read_only: true}
        shm_size: 8g
        mem_limit: 24g
        cpus: 0.5
        user: 1000:1000
        stop_grace_period: 1m30s
        pull_policy: always
        depends_on:
          prepare: {condition: service_completed_successfully}
          12: {condition: afterany}
        schedule:
          x-why: urgent
          priority: 7
          time_limit: 1-00:00:00
          begin: 2026-12-01T02:00:00Z
          hold: true
        """,
    )
    assert job == JobSpec(
        name="train",
        image="nvcr.io/nvidia/pytorch:25.01-py3",
        command=("python", "train.py", "--lr", "0.10", "true"),
        entrypoint=("/bin/run", "-x", "two words"),
        gpus=GpuRequest(kind="profile", profile="1g.6gb", count=2),
        environment={
            "A": "job",
            "B": "quoted # x",
            "C": "plain",
            "FROM_HERE": "mine",
            "N": "1.10",
            "T": "true",
        },
        working_dir="/work",
        volumes=(
            Mount(source=f"{tmp_path}/src", target="/work", read_only=True),
            Mount(source="/home/me/data", target="/data"),
            Mount(source=f"{tmp_path.parent}/up", target="/up", read_only=True),
        ),
        shm_size=8 << 30,
        mem_limit=24 << 30,
        cpus=0.5,
        user="1000:1000",
        stop_grace_period=90.0,
        pull_policy="always",
        priority=7,
        time_limit=86400.0,
        begin="2026-12-01T02:00:00Z",
        hold=True,
        depends_on={"prepare": "afterok", "12": "afterany"},
    )


def test_the_defaults_are_those_of_the_request(tmp_path: Path) -> None:
    image = "registry.example:5000/team/my_tool:v1"
    assert one(tmp_path, f"image: {image}") == JobSpec(name="my_tool", image=image)


def test_several_jobs_keep_their_names_and_order(tmp_path: Path) -> None:
    path = written(tmp_path, "jobs:\n  b: {image: x}\n  a: {image: y}\nx-expect: 1\n")
    assert [(job.name, job.image) for job in load([path])] == [("b", "x"), ("a", "y")]


@pytest.mark.parametrize(
    ("gpus", "request_"),
    [
        ("1g.6gb:2", GpuRequest(kind="profile", profile="1g.6gb", count=2)),
        ("{memory: 10g}", GpuRequest(kind="memory", memory_gb=10)),
        ("{memory: 10240MiB, count: 2}", GpuRequest(kind="memory", memory_mib=10240, count=2)),
        ("{profile: full}", GpuRequest(kind="full")),
        ("none", GpuRequest()),
        (
            "{driver: nvidia, count: 1, options: {profile: 1g.6gb}}",
            GpuRequest(kind="profile", profile="1g.6gb"),
        ),
        (
            "[{driver: nvidia, count: 2, options: {profile: 1g.6gb}, capabilities: [gpu]}]",
            GpuRequest(kind="profile", profile="1g.6gb", count=2),
        ),
        (
            "[{driver: nvidia, device_ids: [MIG-11111111-2222-3333-4444-555555555555]}]",
            GpuRequest(kind="uuid", uuids=("MIG-11111111-2222-3333-4444-555555555555",)),
        ),
    ],
)
def test_gpus_in_all_their_forms(tmp_path: Path, gpus: str, request_: GpuRequest) -> None:
    assert one(tmp_path, f"image: x\ngpus: {gpus}\n").gpus == request_


WRONG: dict[str, tuple[str, str]] = {
    "a misspelt key": ("imagee: x", "job.yaml:1:1: `imagee` is not a key of a job (did you mean"),
    "a misspelt key of schedule": (
        "image: x\nschedule:\n  time_limt: 4h",
        "job.yaml:3:3: `time_limt` is not a key of `schedule` (did you mean `time_limit`?)",
    ),
    "a key in the wrong place": ("image: x\ntime_limit: 4h", "2:1: `time_limit` belongs under"),
    "a key of the job in schedule": ("image: x\nschedule: {cpus: 1}", "belongs to the job"),
    "a Compose key that is refused": ("image: x\nprivileged: true", "2:1: `privileged` is not a"),
    "a key that Compose calls restart": ("image: x\nrestart: always", "`retries` under `schedule`"),
    "depends_on": ("image: x\ndepends_on: {a: {condition: service_healthy}}", "2:29"),
    "depends_on words": ("image: x\ndepends_on: {a: {condition: ok}}", "write service_completed"),
    "depends_on keys": ("image: x\ndepends_on: {a: {conditon: afterok}}", "`condition`"),
    "retries in the wrong place": ("image: x\nretries: 2", "2:1: `retries` belongs under"),
    "begin": ("image: x\nschedule: {begin: soon}", "'soon' is not a valid time"),
    "hold": ("image: x\nschedule: {hold: 1}", "must be true or false"),
    "no image": ("name: a", "job.yaml:1:1: the job has no `image`"),
    "an empty image": ("image: ''", "the image is empty"),
    "image null": ("image:", "`image` must be text, not empty"),
    "upper case": ("image: Busy", "must be in lower case"),
    "an image with spaces": ("image: a b", "is not a valid image"),
    "an empty file": ("", "the file is empty"),
    "a list": ("- a", "is a mapping (`key: value`), not a list"),
    "a word": ("busybox", "not text"),
    "a bad unit": ("image: x\nshm_size: 8x", "2:11: `shm_size`: '8x' is not a valid size"),
    "no unit": ("image: x\nschedule: {time_limit: 30}", "'30' has no unit: write 30s"),
    "4:00": ("image: x\nschedule: {time_limit: 4:00}", "'4:00' can be read two ways"),
    "gpus without what": ("image: x\ngpus: 1", "2:7: `gpus`: '1' does not say of what"),
    "gpus twice": ("image: x\ngpus: {profile: 1g.6gb, memory: 1g}", "exactly one of"),
    "gpus unknown": ("image: x\ngpus: {profil: 1g.6gb}", "did you mean `profile`?"),
    "another driver": (
        "image: x\ngpus: {driver: amd, options: {profile: 1g.6gb}}",
        "the driver 'amd' is not known",
    ),
    "gpus as a longer list": ("image: x\ngpus: [1g.6gb, 1g.6gb]", "takes one mapping"),
    "a bad count": ("image: x\ngpus: {profile: 1g.6gb, count: 0}", "'0' is not a valid count"),
    "a named volume": ("image: x\nvolumes: ['data:/data']", "would be a named volume"),
    "an anonymous volume": ("image: x\nvolumes: [/data]", "write SOURCE:TARGET"),
    "a volume type": (
        "image: x\nvolumes: [{type: volume, source: /a, target: /b}]",
        "no volumes of Docker's",
    ),
    "a mount over /": ("image: x\nvolumes: ['/a:/']", "nothing can be mounted over"),
    "two on one target": ("image: x\nvolumes: ['/a:/x', '/b:/x/']", "two mounts have the target"),
    "a mount mode": ("image: x\nvolumes: ['/a:/x:y']", "'y' is not a valid mount mode"),
    "a relative target": ("image: x\nvolumes: ['/a:x']", "must be an absolute path"),
    "NVIDIA_": ("image: x\nenvironment: {NVIDIA_VISIBLE_DEVICES: all}", "cannot be set by a job"),
    "CUDA": ("image: x\nenvironment: [CUDA_VISIBLE_DEVICES=0]", "cannot be set by a job"),
    "LD_PRELOAD": ("image: x\nenvironment: {LD_PRELOAD: a}", "LD_PRELOAD cannot be set"),
    "GLIBC_TUNABLES": ("image: x\nenvironment: {GLIBC_TUNABLES: a}", "cannot be set by a job"),
    "GCONV_PATH": ("image: x\nenvironment: {GCONV_PATH: a}", "cannot be set by a job"),
    "LAUNCHER_": ("image: x\nenvironment: {LAUNCHER_JOB_ID: a}", "cannot be set by a job"),
    "DOCKER_RESOURCE_": ("image: x\nenvironment: {DOCKER_RESOURCE_A: a}", "cannot be set"),
    "a variable's name": ("image: x\nenvironment: {'a-b': 1}", "2:15: a variable: 'a-b' is no"),
    "a variable's list": ("image: x\nenvironment: {A: [1]}", "the value of A must be text"),
    "no env file": ("image: x\nenv_file: nope", "2:11: cannot read the env file"),
    "an empty command": ("image: x\ncommand: []", "leave it out to run the image's own"),
    "an open quote": ("image: x\ncommand: echo 'a", "2:10: `command`: this command cannot be"),
    "a null in a command": ("image: x\ncommand: [a, null]", "2:14: a word of `command`"),
    "a relative directory": ("image: x\nworking_dir: work", "must be an absolute path"),
    "a user": ("image: x\nuser: 'a b'", "is not a valid user"),
    "a name": ("image: x\nname: My Job", "is not a valid job name"),
    "a name like an id": ("image: x\nname: '12'", "reads like a job id"),
    "the name last": ("image: x\nname: last", "reads like a job id"),
    "pull": ("image: x\npull_policy: build", "write always, missing or never"),
    "a priority": ("image: x\nschedule: {priority: 1001}", "is not a valid priority"),
    "no time at all": ("image: x\nschedule: {time_limit: 0s}", "leave it out for no limit"),
    "schedule as a list": ("image: x\nschedule: [a]", "`schedule` must be a mapping"),
    "jobs and more": ("jobs: {a: {image: x}}\nimage: y", "2:1: `image` stands beside `jobs`"),
    "empty jobs": ("jobs: {}", "`jobs` is empty"),
    "jobs as a list": ("jobs: [a]", "`jobs` must be a mapping"),
    "a job that is a word": ("jobs: {a: x}", "the job `a` must be a mapping, not text"),
    "a name inside jobs": ("jobs: {a: {image: x, name: b}}", "leave `name` out"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_named_where_it_stands(tmp_path: Path, name: str) -> None:
    text, said = WRONG[name]
    assert said in refused(tmp_path, text)


def test_every_mistake_of_all_files_is_said_and_nothing_is_returned(tmp_path: Path) -> None:
    good = written(tmp_path, "image: x", "good.yaml")
    bad = written(tmp_path, "jobs:\n  a: {image: x, cpus: no}\n  b: {imag: y}\n", "bad.yaml")
    with pytest.raises(JobFileError) as caught:
        load([good, bad, str(tmp_path / "none.yaml")])
    lines = caught.value.message.replace(f"{tmp_path}/", "").splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "bad.yaml:2:23",
        "bad.yaml:3:7",
        "none.yaml",
    ]


def test_a_mistake_in_an_env_file_is_named_there(tmp_path: Path) -> None:
    (tmp_path / "vars").write_text("# fine\nLD_PRELOAD=x\n")
    assert refused(tmp_path, "image: x\nenv_file: [vars]").startswith("vars:2:1: LD_PRELOAD")


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    with path.open("wb") as stream:
        stream.truncate(10 << 30)
    with pytest.raises(JobFileError, match="up to 256 KiB"):
        load([str(path)])
    with pytest.raises(JobFileError, match="up to 256 KiB"):
        load(["-"], io.BytesIO(b"#" * (300 << 10)))


@pytest.mark.parametrize("form", ["  j{}: {{image: b}}", "  j{}:\n    image: b"])
def test_nearly_five_thousand_small_jobs_are_read_at_once(tmp_path: Path, form: str) -> None:
    file = tmp_path / "jobs.yaml"
    file.write_text("\n".join(["jobs:", *(form.format(number) for number in range(4_990))]))
    assert len(load([str(file)])) == 4_990
    assert cost(lambda: load([str(file)]), 500) < 500


def test_standard_input_is_read_once_and_is_relative_to_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (job,) = load(["-"], io.BytesIO(b"\xef\xbb\xbfimage: x\nvolumes: ['./a:/a']\n"))
    assert job.volumes[0].source == f"{tmp_path}/a"
    with pytest.raises(JobFileError, match="only once"):
        load(["-", "-"], io.BytesIO(b"image: x"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.mkdir(), "this is a directory"),
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b"image: x\nname: \xff\n"), ":2:7: the file is not UTF-8"),
    ],
)
def test_what_is_no_text_file_is_said_to_be_none(tmp_path: Path, make: Any, said: str) -> None:
    make(tmp_path / "f.yaml")
    with pytest.raises(JobFileError) as caught:
        load([str(tmp_path / "f.yaml")])
    assert said in caught.value.message


def test_an_entrypoint_can_be_taken_away(tmp_path: Path) -> None:
    assert one(tmp_path, "image: x\nentrypoint: ''").entrypoint == ("",)


@pytest.mark.parametrize("path", ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "link"])
@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_paths_of_a_file_that_is_named_by_a_descriptor_are_relative_to_the_present_directory(
    tmp_path: Path, path: str, kind: str
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to("/dev/stdin")
    (tmp_path / "vars").write_text("A=outside\n")
    (tmp_path / "here" / "vars").write_text("A=inside\n")
    text = "image: x\nvolumes: [./src:/src]\nenv_file: vars\n"
    (tmp_path / "job.yaml").write_text(text)
    name = str(tmp_path / "link") if path == "link" else path
    script = (
        "import sys; from launcher.jobfile import load; (job,) = load(sys.argv[1:]);"
        "print(job.volumes[0].source, job.environment['A'])"
    )
    with (tmp_path / "job.yaml").open() as file:
        done = subprocess.run(
            [sys.executable, "-c", script, name],
            cwd=tmp_path / "here",
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            **({"stdin": file} if kind == "file" else {"input": text}),
        )
    assert done.stdout == f"{tmp_path}/here/src inside\n"


def test_a_named_pipe_and_a_file_in_memory_keep_their_directories(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(
        target=(tmp_path / "pipe").write_text, args=("image: x\nvolumes: [./a:/a]\n",)
    )
    writer.start()
    (job,) = load([str(tmp_path / "pipe")])
    writer.join()
    assert job.volumes[0].source == f"{tmp_path}/a"
