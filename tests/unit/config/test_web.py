"""The tables [web] and [users], and which file `launch web` reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.config import default_paths
from launcher.config.web import WEB_USER, parse_listen, web_config_file
from launcher.errors import ConfigError
from tests.support.toml import toml


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:80", "::1", 80), (":9", "", 9),
     ("gpu.example.org:65535", "gpu.example.org", 65535)],
)  # fmt: skip
def test_an_address_and_a_port_are_read(text: str, host: str, port: int) -> None:
    assert parse_listen(text) == (host, port)
    assert toml(f'web.listen = "{text}"').web.listen == text


@pytest.mark.parametrize(
    "text", ["8080", "::1:80", "127.0.0.1:", "a:b", "a:65536", "a:-1", "a:99999999999999999999"]
)
def test_what_is_not_one_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"web\.listen .*(127\.0\.0\.1:8080|\[::1\]:8080)"):
        toml(f'web.listen = "{text}"')


def test_without_the_tables_guests_read_pages_on_this_machine_alone() -> None:
    found = toml("")
    assert (found.web.listen, found.web.guests) == ("127.0.0.1:8080", True)
    assert (found.web.textfile, found.users.observer) == (None, WEB_USER)


def test_a_textfile_is_an_absolute_path_or_none() -> None:
    assert toml('web.textfile = "/x/launcher.prom"').web.textfile == Path("/x/launcher.prom")
    assert toml('web.textfile = ""').web.textfile is None
    with pytest.raises(ConfigError, match="absolute path"):
        toml('web.textfile = "launcher.prom"')


def test_the_file_is_the_named_one_then_the_users_own_then_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "system.toml"
    monkeypatch.setattr(default_paths, "SYSTEM_CONFIG", str(system))
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert web_config_file(None, env) is None
    system.touch()
    assert web_config_file(None, env) == str(system)
    own = tmp_path / "launcher/launcher.toml"
    own.parent.mkdir()
    own.touch()
    assert web_config_file(None, env) == str(own)
    assert web_config_file(None, env | {"LAUNCHER_CONFIG": "/variable"}) == "/variable"
    assert web_config_file("/named", env | {"LAUNCHER_CONFIG": "/variable"}) == "/named"
