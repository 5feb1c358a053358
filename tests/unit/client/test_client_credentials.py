from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from launcher.client.credentials import credentials_for, registry_of
from launcher.wire import RegistryAuth

HELPER = """\
#!/bin/sh
read server
[ "$1" = get ] || exit 2
case "$server" in
  token.example) echo '{"ServerURL":"x","Username":"<token>","Secret":"tok"}' ;;
  user.example) echo '{"ServerURL":"x","Username":"u","Secret":"s"}' ;;
  broken.example) echo 'no json' ;;
  *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    helper = tmp_path / "docker-credential-stub"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return lambda value: (tmp_path / "config.json").write_text(
        value if isinstance(value, str) else json.dumps(value)
    )


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("busybox", "docker.io"), ("team/tool:1", "docker.io"), ("docker.io/a/b", "docker.io"),
        ("index.docker.io/a/b", "docker.io"), ("nvcr.io/nvidia/x:1", "nvcr.io"),
        ("localhost/x", "localhost"), ("127.0.0.1:5000/x", "127.0.0.1:5000"),
        ("sha256:" + "0" * 64, "docker.io"),
    ],
)  # fmt: skip
def test_the_registry_of_an_image(image: str, registry: str) -> None:
    assert registry_of(image) == registry


def test_only_the_registries_of_the_images_are_looked_up(config: Any) -> None:
    config({"auths": {
        "https://index.docker.io/v1/": auth("hub", "h:x"),
        "nvcr.io": auth("$oauthtoken", "key"),
        "https://other.example/v2/": auth("no", "no"),
    }})  # fmt: skip
    assert credentials_for(["busybox", "nvcr.io/a:1", "quay.io/b"]) == {
        "docker.io": RegistryAuth(username="hub", password="h:x"),
        "nvcr.io": RegistryAuth(username="$oauthtoken", password="key"),
    }


def test_helpers_are_asked_and_tokens_are_told_from_passwords(config: Any) -> None:
    config({"credHelpers": {"token.example": "stub"}, "credsStore": "stub"})
    images = ["token.example/a", "user.example/b", "nobody.example/c", "broken.example/d"]
    assert credentials_for(images) == {
        "token.example": RegistryAuth(identitytoken="tok"),
        "user.example": RegistryAuth(username="u", password="s"),
    }


@pytest.mark.parametrize(
    "content",
    [
        "", "no json", "[]", '{"auths": 3}', '{"auths": {"nvcr.io": 4}}', '{"credsStore": "../x"}',
        '{"auths": {"nvcr.io": {"auth": "%%%"}}}', '{"credsStore": "none-of-that-name"}',
        '{"auths": {"nvcr.io": {}}}', '{"credHelpers": [1]}',
    ],
)  # fmt: skip
def test_a_config_that_says_nothing_gives_nothing(config: Any, content: str) -> None:
    config(content)
    assert credentials_for(["nvcr.io/a", "busybox"]) == {}


def test_secrets_are_not_in_what_is_printed() -> None:
    shown = repr(RegistryAuth(username="u", password="secret", identitytoken="token"))
    assert "secret" not in shown
    assert "token=" not in shown
