"""The user's own registry credentials, from Docker's config, for the images of one submit only."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from launcher.imageref import DOCKER_HUB, registry_of
from launcher.wire import RegistryAuth

_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io")
_HELPER_SECONDS = 20


def credentials_for(images: Iterable[str]) -> dict[str, RegistryAuth]:
    """Return the user's credentials for these images' registries, by registry; often empty."""
    registries = {registry_of(image) for image in images}
    config = _config() if registries else {}
    result = {registry: _lookup(config, registry) for registry in sorted(registries)}
    return {registry: auth for registry, auth in result.items() if auth}


def _config() -> dict[str, Any]:
    directory = os.environ.get("DOCKER_CONFIG")
    try:
        path = (Path(directory) if directory else Path.home() / ".docker") / "config.json"
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RuntimeError):
        return {}
    return config if isinstance(config, dict) else {}


def _lookup(config: dict[str, Any], registry: str) -> RegistryAuth | None:
    keys = (
        _HUB_KEYS
        if registry == DOCKER_HUB
        else (registry, f"https://{registry}", f"http://{registry}")
    )
    helpers, store = config.get("credHelpers"), config.get("credsStore")
    for key in keys:
        helper = helpers.get(key) if isinstance(helpers, dict) else None
        if isinstance(helper, str) and (reply := _helper_credentials(helper, key)):
            return reply
    if isinstance(store, str) and store and (reply := _helper_credentials(store, keys[0])):
        return reply
    auths = config.get("auths")
    for name, entry in auths.items() if isinstance(auths, dict) else ():
        if (name in keys or _host(name) in keys) and isinstance(entry, dict):
            return _entry(entry)
    return None


def _host(key: str) -> str:
    return key.partition("://")[2].partition("/")[0] or key.partition("/")[0]


def _entry(entry: dict[str, Any]) -> RegistryAuth | None:
    token = entry.get("identitytoken") or ""
    user, password = entry.get("username") or "", entry.get("password") or ""
    if entry.get("auth"):
        try:
            text = base64.b64decode(str(entry["auth"])).decode()
        except ValueError:
            return None
        user, _, password = text.partition(":")
    if not (user or token):
        return None
    return RegistryAuth(
        username=str(user), password=str(password).rstrip("\0"), identitytoken=str(token)
    )


def _helper_credentials(helper: str, server: str) -> RegistryAuth | None:
    """Run ``docker-credential-<helper> get``; None if it fails."""
    if not helper.replace("-", "").replace("_", "").replace(".", "").isalnum():
        return None
    try:
        done = subprocess.run(
            [f"docker-credential-{helper}", "get"],
            input=server.encode(),
            capture_output=True,
            timeout=_HELPER_SECONDS,
            check=True,
        )
        reply = json.loads(done.stdout)
        user, secret = str(reply["Username"]), str(reply["Secret"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return None
    if user == "<token>":
        return RegistryAuth(identitytoken=secret)
    return RegistryAuth(username=user, password=secret) if user or secret else None
