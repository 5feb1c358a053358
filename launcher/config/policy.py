"""Tables of launcher.toml about what jobs may be: ``[policy]``, ``[profiles.NAME]``, ``[host]``."""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from launcher.config.tables import Read, count, mapping, names, read, seconds
from launcher.core.policy.policy import MountRoot, Policy, PolicyProfile
from launcher.errors import ConfigError
from launcher.jobfile.values.units import parse_size

TABLES = ("policy", "profiles", "host")

_ROOTS_GROUPS = frozenset({"root", "docker", "disk", "shadow", "sudo", "wheel"})
_PATTERN = re.compile(r"\*|[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)*(/\*)?")
_CLOSED = ("/proc", "/sys", "/dev", "/run", "/var/run", "/var/lib", "/etc", "/boot", "/root")
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,62}")


def policy_from(tables: Mapping[str, Any], file: object, base: Policy) -> Policy:
    """Return the policy of these tables over a base.

    Raises ``ConfigError`` naming file, key and value.
    """
    own = read(tables.get("policy", {}), _POLICY, "policy", file)
    named = mapping(tables.get("profiles", {}), "profiles", file)
    profiles = {}
    for name, table in named.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{file}: profiles.{name}: a name is a letter, then a-z, 0-9, ._-")
        profiles[name] = PolicyProfile(**read(table, _PROFILE, f"profiles.{name}", file))
    host = read(tables.get("host", {}), _HOST, "host", file)
    groups = host.get("groups", base.host_groups)
    return dataclasses.replace(base, **own, profiles=profiles, host_groups=groups)


def _size(value: Any) -> int:
    size = parse_size(value if isinstance(value, str) else str(value))
    if size <= 0:
        raise ValueError("it must be more than nothing")
    return size


def _some(value: Any) -> int:
    if count(value) == 0:
        raise ValueError("it must be more than 0")
    return int(value)


def _images(value: Any) -> tuple[str, ...]:
    for pattern in names(value):
        if not _PATTERN.fullmatch(pattern):
            raise ValueError(f"{pattern!r} is not a valid repository such as nvcr.io/nvidia/*")
    return tuple(p if "/" in p or p == "*" else f"{p}/*" for p in value)


def _root(text: str) -> MountRoot:
    path, colon, mode = text.partition(":")
    if colon and mode not in ("ro", "rw"):
        raise ValueError(f"{mode!r} is not a valid mode: write ro or rw")
    if not path.startswith("/") or posixpath.normpath(path) != path or path == "/":
        raise ValueError(f"{path!r} must be an absolute path of a directory below /")
    if any(f"{path}/".startswith(f"{closed}/") for closed in _CLOSED):
        raise ValueError(f"{path!r} belongs to the system and cannot be mounted")
    if "{" in path.replace("{user}", ""):
        raise ValueError(f"{path!r}: only {{user}} is replaced in it")
    return MountRoot(path, mode == "ro")


def _roots(value: Any) -> tuple[MountRoot, ...]:
    return tuple(_root(text) for text in names(value))


def _kept_groups(value: Any) -> frozenset[str]:
    result = frozenset(names(value))
    if roots := result & _ROOTS_GROUPS:
        raise ValueError(f"{min(roots)} is as good as root, and no container's to have")
    return result


def _flag(value: Any) -> bool:
    if value not in (True, False):
        raise ValueError("it must be true or false")
    return bool(value)


def _network(value: Any) -> str:
    if value != "host":
        raise ValueError("it must be 'host'")
    return str(value)


_LIMITS: dict[str, Read] = {
    "images": _images,
    "mount_roots": _roots,
    "memory": _size,
    "pids": _some,
    "nofile": _some,
}
_POLICY: dict[str, Read] = {
    **_LIMITS,
    "latest": _flag,
    "groups": _kept_groups,
    "max_stop_grace": seconds,
}
_HOST: dict[str, Read] = {"groups": lambda value: frozenset(names(value))}
_PROFILE: dict[str, Read] = {
    **_LIMITS,
    "network": _network,
    "groups": lambda value: frozenset(names(value)),
}
