"""Where a daemon's settings come from, and what is not a setting."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.config.settings import Config, Foreign, load
from launcher.core.policy.settings import Policy, Settings
from launcher.engine.connection import DockerConnection
from launcher.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "launcher.toml"


def from_file(file: Path, text: str) -> Config:
    file.write_text(text)
    return load({"config": str(file)}, {})


def test_a_flag_wins_over_the_environment_that_over_the_file_that_over_the_default(
    file: Path,
) -> None:
    file.write_text('state_dir = "/from/file"\ndocker_host = "unix:///file"\nsocket = "/s/file"\n')
    env = {
        "LAUNCHER_CONFIG": str(file),
        "LAUNCHER_STATE_DIR": "/from/env",
        "DOCKER_HOST": "unix:///e",
    }
    found = load({"state_dir": "/from/flag", "socket": None}, env)
    assert (str(found.state_dir), found.docker_host) == ("/from/flag", "unix:///e")
    assert (str(found.socket), found.log_limit_mib) == ("/s/file", 256)
    assert str(load({}, env).state_dir) == "/from/env"


def test_root_has_the_machines_places_and_without_a_file_the_defaults() -> None:
    found = load({}, {})
    assert (str(found.socket), str(found.state_dir), str(found.lock_dir)) == (
        "/run/launcher/launcher.sock",
        "/var/lib/launcher",
        "/run/launcher",
    )
    assert (found.system, found.docker_host) == (True, "unix:///var/run/docker.sock")
    assert found.cpu_slots >= 1


def test_a_user_has_his_own_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    os.chown(tmp_path, 1000, 1000)
    monkeypatch.setattr("os.getuid", lambda: 1000)
    places = {"XDG_STATE_HOME": "/h/state", "XDG_CONFIG_HOME": "/h/config"}
    found = load({}, places | {"XDG_RUNTIME_DIR": str(tmp_path)})
    assert str(found.state_dir) == "/h/state/launcher"
    assert found.socket == tmp_path / "launcher" / "launcher.sock"
    assert (found.system, found.lock_dir) == (False, None)
    without = load({}, places)
    assert str(without.socket) == "/h/state/launcher/launcher.sock"


def test_every_key_of_the_file_is_taken(file: Path) -> None:
    text = """
socket = "/s"
state_dir = "/d"
docker_host = "unix:///x"
lock_dir = "/l"
cpu_slots = 3
log_limit_mib = 5
inventory_seconds = 1.5
sweep_seconds = 2
orphan_grace_seconds = 3.5
nvml_seconds = 0.5
log_level = "debug"
[foreign]
allow = ["watcher"]
"""
    found = from_file(file, text)
    assert found == Config(
        socket=Path("/s"),
        state_dir=Path("/d"),
        docker_host="unix:///x",
        system=True,
        lock_dir=Path("/l"),
        cpu_slots=3,
        log_limit_mib=5,
        inventory_seconds=1.5,
        sweep_seconds=2,
        orphan_grace_seconds=3.5,
        nvml_seconds=0.5,
        log_level="debug",
        foreign=Foreign(allow=("watcher",)),
        rules=found.rules,
    )
    own = Policy(host_memory=found.rules.policy.host_memory, unbound=frozenset({0, os.getuid()}))
    assert found.rules == Settings(policy=own)
    assert 2**30 < own.host_memory < 2**50
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.cpu_slots = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour = 'red'", "unknown key 'colour'"),
        ("fake_gpu = 'A30'", "unknown key 'fake_gpu'"),
        ("cpu_slots = '4'", "cpu_slots is '4'"),
        ("cpu_slots = true", "cpu_slots is True"),
        ("cpu_slots = 1.5", "cpu_slots is 1.5"),
        ("state_dir = 7", "state_dir is 7"),
        ("[state_dir]\nx = 1", "state_dir is a table"),
        ("cpu_slots = -1", "cpu_slots is -1"),
        ("log_limit_mib = 0", "log_limit_mib is 0"),
        ("inventory_seconds = 0.0", "inventory_seconds is 0.0"),
        ("sweep_seconds = -1", "sweep_seconds is -1"),
        ("log_level = 'loud'", "log_level is 'loud'"),
        ("nvml_seconds = 0", "nvml_seconds is 0"),
        ("foreign = 1", "foreign is 1: it must be a table"),
        ("[foreign]\nallowed = []", "unknown key 'allowed' in [foreign]"),
        ("[foreign]\nallow = 'dcgm'", "foreign.allow is 'dcgm': it must be a list of names"),
        ("[foreign]\nallow = ['']", "foreign.allow is ['']: it must be a list of names"),
        ("log_format = 'xml'", "log_format is 'xml': it must be 'text' or 'json'"),
        ("disk_reserve_mib = -1", "disk_reserve_mib is -1"),
        ("cpu_slots = = 1", "launcher.toml: "),
        ("cpu_slots = 1\ncpu_slots = 2", "launcher.toml: "),
    ],
)
def test_a_wrong_file_is_told_by_key_and_value(file: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_file(file, text)
    assert words in caught.value.message


def test_an_unknown_key_comes_with_those_that_are_known(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        from_file(file, "x = 1")
    assert "state_dir" in (caught.value.fix or "")


def test_a_file_that_was_named_must_be_there_and_the_default_one_need_not(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.toml")
    for flags, env in (({"config": missing}, {}), ({}, {"LAUNCHER_CONFIG": missing})):
        with pytest.raises(ConfigError, match="there is no configuration file"):
            load(flags, env)
    load({}, {})


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, content: bytes | None) -> None:
    place = tmp_path / "x.toml"
    if content is None:
        place.mkdir()
    else:
        place.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot read"):
        load({"config": str(place)}, {})


def test_a_socket_path_that_linux_cannot_bind_is_refused_before_anything_is_done() -> None:
    load({"socket": "/" + "x" * 106}, {})
    with pytest.raises(ConfigError, match="107 bytes"):
        load({"socket": "/" + "x" * 107}, {})
    with pytest.raises(ConfigError, match="107 bytes"):
        load({"socket": "/" + "é" * 60}, {})


def test_relative_places_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = load({"state_dir": "state", "socket": "l.sock"}, {})
    assert (found.state_dir, found.socket) == (tmp_path / "state", tmp_path / "l.sock")


@pytest.mark.parametrize("host", ["tcp://10.0.0.1:2375", "ssh://x", "/run/docker.sock"])
def test_a_docker_host_of_another_machine_is_refused_when_it_is_used(host: str) -> None:
    found = load({}, {"DOCKER_HOST": host})
    with pytest.raises(ConfigError, match="not a unix socket"):
        DockerConnection(found.docker_host)


@pytest.fixture(autouse=True)
def no_default_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The machine may have a real /etc/launcher/launcher.toml."""
    monkeypatch.setattr("launcher.config.default_paths.SYSTEM_CONFIG", str(tmp_path / "etc.toml"))
    yield
