"""The Docker that a user's own commands talk to: DOCKER_HOST, or the current `docker context`.

As docker's command finds it: docs.docker.com/engine/manage-resources/contexts. Without ``pathlib``
and docker-py, which every verb would load for this alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from launcher.config.default_paths import DOCKER_HOST

MOST_BYTES = 2**20
"""A larger file is not read."""


def docker_host(env: Mapping[str, str] = os.environ) -> str:
    """Return the URL of the caller's Docker; the default if a context cannot be read."""
    if host := env.get("DOCKER_HOST"):
        return host
    directory = env.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")  # noqa: PTH111
    name = env.get("DOCKER_CONTEXT") or _json(f"{directory}/config.json").get("currentContext")
    if not isinstance(name, str) or name in ("", "default"):
        return DOCKER_HOST
    import hashlib  # takes as long to load as a request

    number = hashlib.sha256(name.encode()).hexdigest()
    meta = _json(f"{directory}/contexts/meta/{number}/meta.json")
    try:
        host = meta["Endpoints"]["docker"]["Host"]
    except (KeyError, TypeError):
        return DOCKER_HOST
    return host if isinstance(host, str) and host else DOCKER_HOST


def _json(path: str) -> dict[str, Any]:
    import json

    try:
        with open(path, "rb") as file:  # noqa: PTH123
            value = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
