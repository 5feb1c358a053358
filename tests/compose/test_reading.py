"""Compose files, their variables and env files, as the real Compose reads them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.compose.stack import TOOLS
from tests.unit.jobfile.compose.files import Reading
from tests.unit.jobfile.compose.public_files import SHAPES
from tests.unit.jobfile.compose.test_extending import BASE
from tests.unit.jobfile.variables import compose_cases

Config = Callable[..., dict[str, Any] | None]
SET = {"FOO": "first", "BAR": "", "JSON": '{"json":2}'}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return what Compose makes of a file, None if it refuses it."""
    plugins = tmp_path / "config" / "cli-plugins"
    plugins.mkdir(parents=True)
    tools = TOOLS / "trixie" / "usr"
    plugin = tools / "libexec/docker/cli-plugins/docker-compose"
    (plugins / "docker-compose").symlink_to(plugin)

    def run(text: str, *profiles: str, **client: str) -> dict[str, Any] | None:
        (tmp_path / "c.yaml").write_text(text)
        words = [word for name in profiles for word in ("--profile", name)]
        done = subprocess.run(
            ["docker", "compose", "-f", "c.yaml", *words, "config", "--format", "json"],
            cwd=tmp_path,
            env={
                "PATH": f"{tools}/bin:/usr/bin:/bin",
                "HOME": "/home/me",
                "DOCKER_CONFIG": str(tmp_path / "config"),
                **client,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return None
        services: dict[str, Any] = json.loads(done.stdout.replace("$$", "$"))["services"]
        return services

    return run


def environment(config: Config, values: Mapping[str, str]) -> dict[str, str] | None:
    services = config(json.dumps({"services": {"a": {"image": "x", "environment": values}}}), **SET)
    return None if services is None else services["a"]["environment"]


def test_variables_become_what_compose_makes_of_them(config: Config) -> None:
    cases = {f"V{n}": text for n, (text, _) in enumerate(compose_cases.TEMPLATES)}
    text = json.dumps({"services": {"a": {"image": "x", "environment": cases}}})
    found = environment(config, cases)
    assert found is not None
    assert Reading(text, **SET).job.environment == found


@pytest.mark.parametrize("text", [*compose_cases.INVALID, *(t for t, _ in compose_cases.REQUIRED)])
def test_what_compose_refuses_of_variables_is_refused(config: Config, text: str) -> None:
    assert environment(config, {"A": text}) is None
    file = json.dumps({"services": {"a": {"image": "x", "environment": {"A": text}}}})
    assert Reading(file, **SET).said


@pytest.mark.parametrize(("text", "client", "result"), compose_cases.FILES)
def test_an_env_file_has_the_variables_that_compose_reads(
    config: Config, tmp_path: Path, text: str, client: dict[str, str], result: dict[str, str]
) -> None:
    (tmp_path / "vars").write_bytes(text.encode())
    services = config("services: {a: {image: x, env_file: vars}}", **client)
    assert services is not None
    assert (services["a"].get("environment") or {}) == result


def must_be_alike(reading: Reading, services: dict[str, Any]) -> None:
    """Compare jobs with the services that Compose prints."""
    assert {job.name for job in reading.jobs} == set(services)
    for job in reading.jobs:
        service = services[job.name]
        assert job.image == service["image"]
        assert list(job.command or ()) == (service["command"] or [])
        assert str(job.shm_size or 0) == service.get("shm_size", "0")
        given = {key: value for key, value in (service.get("environment") or {}).items()
                 if value is not None and not key.startswith("NVIDIA_")}  # fmt: skip
        assert job.environment == given
        mounts = [(mount["source"], mount["target"]) for mount in service.get("volumes", [])]
        assert [(mount.source, mount.target) for mount in job.volumes] == mounts


@pytest.mark.parametrize(
    ("name", "profiles"),
    [
        ("vLLM on one GPU", ()),
        ("ollama with a web UI", ()),
        ("text-generation-inference", ()),
        ("ComfyUI", ()),
        ("stable diffusion, with profiles", ("auto-cpu",)),
        ("PyTorch training", ()),
        ("a pipeline with secrets", ()),
    ],
)
def test_a_job_has_what_compose_gives_the_service(
    config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    profiles: tuple[str, ...],
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for secret in ("hf_token", "wandb"):
        (tmp_path / secret).write_text(secret)
    services = config(SHAPES[name], *profiles)
    assert services is not None
    reading = Reading(SHAPES[name], *profiles, base=tmp_path)
    assert not reading.said
    must_be_alike(reading, services)


@pytest.mark.parametrize("name", ["vLLM on one GPU", "PyTorch training", "a pipeline with secrets"])
def test_what_compose_prints_of_a_file_is_read_as_the_file_is(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for secret in ("hf_token", "wandb"):
        (tmp_path / secret).write_text(secret)
    text = re.sub(r"    x-launcher:\n(      .*\n)+", "", SHAPES[name])  # Compose drops it
    direct = Reading(text, base=tmp_path)
    services = config(text)
    secrets = {key: {"file": str(tmp_path / key)} for key in ("hf_token", "wandb")}
    printed = json.dumps({"services": services, "secrets": secrets}).replace("$", "$$")
    again = Reading(printed, base=tmp_path)
    assert not again.said
    assert sorted(again.jobs, key=lambda job: job.name) == sorted(
        direct.jobs, key=lambda job: job.name
    )


def test_a_service_takes_over_from_another_what_it_takes_over_in_compose(
    config: Config, tmp_path: Path
) -> None:
    text = (
        f"{BASE}  own:\n    extends: {{service: base}}\n    environment: [B=own, C=own]\n"
        "    volumes: [/new:/two:ro, {type: bind, source: /three, target: /three}]\n"
        "    command: c\n    profiles: []\n"
    )
    services = config(text, "base")
    assert services is not None
    must_be_alike(Reading(text, base=tmp_path, COMPOSE_PROFILES="base"), services)
