"""The Docker of a user's own daemon: DOCKER_HOST, or the current context."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from launcher.config.default_paths import DOCKER_HOST
from launcher.config.docker_context import docker_host

ROOTLESS = "unix:///run/user/1000/docker.sock"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    number = hashlib.sha256(b"rootless").hexdigest()
    meta = tmp_path / "contexts" / "meta" / number / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": "rootless", "Endpoints": {"docker": {"Host": ROOTLESS}}}))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "rootless"}))
    return tmp_path


def test_the_current_context_counts_and_variables_win(config: Path) -> None:
    env = {"DOCKER_CONFIG": str(config)}
    assert docker_host(env) == ROOTLESS
    assert docker_host(env | {"DOCKER_CONTEXT": "default"}) == DOCKER_HOST
    assert docker_host(env | {"DOCKER_HOST": "unix:///x"}) == "unix:///x"
    (config / "config.json").write_text("{}")
    assert docker_host(env) == DOCKER_HOST
    assert docker_host(env | {"DOCKER_CONTEXT": "rootless"}) == ROOTLESS


@pytest.mark.parametrize(
    "text", ["", "[", "[1]", '{"currentContext": 7}', '{"currentContext": "?"}']
)
def test_what_cannot_be_read_leaves_the_default(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert docker_host({"DOCKER_CONFIG": str(tmp_path)}) == DOCKER_HOST
    assert docker_host({"DOCKER_CONFIG": str(tmp_path / "none")}) == DOCKER_HOST
