"""Twelve shapes of Compose files that people publish, and what becomes of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.jobfile.compose.files import Reading
from tests.unit.jobfile.compose.public_files import SHAPES


@dataclass(frozen=True)
class Expected:
    """What becomes of a file: jobs with what they ask of the GPUs, or where it is refused."""

    jobs: dict[str, str]
    ignored: str = ""
    said: tuple[str, ...] = ()
    picked: tuple[str, ...] = ()


TABLE = {
    "vLLM, as its forum shows it": Expected({"vllm": "every whole GPU"}, "ports ipc networks"),
    "vLLM on one GPU": Expected(
        {"vllm": "1 x a whole GPU"},
        "container_name restart deploy.resources.reservations.memory healthcheck logging"
        " NVIDIA_VISIBLE_DEVICES",
    ),
    "ollama with a web UI": Expected(
        {"ollama": "every whole GPU", "open-webui": "a CPU slot"}, "ports tty restart"
    ),
    "text-generation-inference": Expected(
        {"tgi-server": "every whole GPU"}, "container_name ports restart"
    ),
    "ComfyUI": Expected(
        {"app": "every whole GPU"},
        "container_name runtime ports networks build NVIDIA_VISIBLE_DEVICES"
        " NVIDIA_DRIVER_CAPABILITIES",
    ),
    "stable diffusion, with profiles": Expected({"auto-cpu": "a CPU slot"}, "ports build",
                                                picked=("auto-cpu",)),
    "Triton": Expected(
        {},
        "expose runtime restart ipc",
        ("7:7: a variable: NVIDIA_VISIBLE_DEVICES cannot be set",
         "10:5: a job cannot have `runtime: nvidia`: it does not say which GPUs"),
    ),
    "Jupyter, built here": Expected(
        {},
        "container_name",
        ("5:5: a job cannot have `build`", "16:15: a volume: 'jupyter-home' would"),
    ),
    "PyTorch training": Expected({"train": "2 x 1g.6gb"}, "stdin_open tty init cap_drop"),
    "label-studio": Expected(
        {}, "ports stdin_open tty build restart", ("8:9: a volume: 'static' would be",)
    ),
    "ComfyUI on another vendor's GPU": Expected(
        {},
        "",
        ("6:5: a job cannot have `privileged`", "7:5: a job cannot have `network_mode: host`",
         "8:5: a job cannot have `pid`", "9:5: a job cannot have `devices`",
         "12:5: a job cannot have `extra_hosts`", "13:5: a job cannot have `cap_add`",
         "14:5: a job cannot have `security_opt`"),
    ),
    "a pipeline with secrets": Expected(
        {"prepare": "a CPU slot", "train": "1 x 1g.6gb", "board": "a CPU slot"}, "ports"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_published_file_becomes_jobs_or_is_refused_with_every_reason(
    name: str, tmp_path: Path
) -> None:
    for secret in ("hf_token", "wandb"):
        (tmp_path / secret).write_text(secret)
    expected = TABLE[name]
    client = {"JUPYTER_PASSWORD": "p"}
    reading = Reading(SHAPES[name], *expected.picked, base=tmp_path, **client)
    assert len(reading.said) == len(expected.said), reading.said
    for said, beginning in zip(reading.said, expected.said, strict=True):
        assert said.startswith(beginning)
    assert {job.name: str(job.gpus) for job in reading.jobs} == expected.jobs
    assert reading.ignored == expected.ignored.split()


def test_the_profiles_of_a_file_with_merges_keep_what_they_merge(tmp_path: Path) -> None:
    reading = Reading(SHAPES["stable diffusion, with profiles"], "auto", base=tmp_path)
    assert reading.said == [
        "11:29: `device_ids`: '0' is not the UUID of a slice: launch slices shows them"
    ]
    cpu = Reading(SHAPES["stable diffusion, with profiles"], "auto-cpu", base=tmp_path)
    assert [mount.target for mount in cpu.job.volumes] == ["/data", "/output"]
    assert cpu.job.image == "sd-auto:78"
