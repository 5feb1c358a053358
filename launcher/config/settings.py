"""launcher.toml, environment and flags, read and checked once, then frozen.

A flag wins over the environment, the environment over the file, the file over the defaults. System
defaults are for uid 0, XDG directories for anyone else.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.config import default_paths
from launcher.config.history import DEFAULT_HISTORY, History, history_from
from launcher.config.history import TABLE as HISTORY
from launcher.config.limits import DEFAULT_LIMITS, Limits, limits_from
from launcher.config.limits import TABLE as LIMITS
from launcher.config.policy import TABLES as POLICY_TABLES
from launcher.config.policy import policy_from
from launcher.config.queue import TABLES as QUEUE_TABLES
from launcher.config.queue import rules_from
from launcher.core.policy.policy import Policy
from launcher.core.policy.settings import DEFAULT_RULES, Settings
from launcher.errors import ConfigError

DEFAULT_DOCKER_HOST = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Config:
    """What a daemon runs with. ``lock_dir`` is None where device nodes carry the GPU claims."""

    socket: Path
    state_dir: Path
    docker_host: str
    system: bool
    lock_dir: Path | None
    cpu_slots: int
    log_limit_mib: int = 256
    disk_reserve_mib: int = 16
    inventory_seconds: float = 5.0
    sweep_seconds: float = 10.0
    orphan_grace_seconds: float = 300.0
    docker_timeout_seconds: float = 60.0
    nvml_seconds: float = 5.0
    fake_gpu: str | None = None
    idle_exit: float | None = None
    drain: bool = False
    log_level: str = "info"
    log_format: str = "text"
    admin_group: str | None = None
    trusted_group: str | None = None
    rules: Settings = DEFAULT_RULES
    pins_directory: str = "/run/launcher/pins"
    """Where users' mounts are held in place; root's alone."""
    pins_socket: str | None = None
    """Where the helper listens that holds them; None: the daemon, which is root, starts its own."""
    kernel_exit_status: bool = True
    """Whether the kernel is asked for exit codes (Linux 6.15 and later)."""
    output_socket: str | None = None
    """Where the output keeper listens; None: the daemon starts one of its own."""
    host_socket: str | None = None
    """Where the helper for host jobs listens; None: the daemon starts one of its own."""
    limits: Limits = DEFAULT_LIMITS
    history: History = DEFAULT_HISTORY
    foreign_allow: tuple[str, ...] = ("nv-hostengine", "dcgm-exporter", "nvidia-persistenced")
    """Processes, containers or image repositories that do not count as use of a slice."""


_NUMBERS: dict[Any, str] = {
    int: "a whole number",
    (int, float): "a number",
    bool: "true or false",
}
_TABLES = (*QUEUE_TABLES, *POLICY_TABLES)
SYSTEM_LOCKS = "/run/launcher"
_VARIABLES = {
    "socket": "LAUNCHER_SOCKET",
    "state_dir": "LAUNCHER_STATE_DIR",
    "docker_host": "DOCKER_HOST",
    "pins_socket": "LAUNCHER_PINS_SOCKET",
    "output_socket": "LAUNCHER_OUTPUT_SOCKET",
    "host_socket": "LAUNCHER_HOST_SOCKET",
    "pins_directory": "LAUNCHER_PINS_DIRECTORY",
}
_FILE_KEYS: dict[str, type | tuple[type, ...]] = {
    "socket": str,
    "state_dir": str,
    "docker_host": str,
    "lock_dir": str,
    "cpu_slots": int,
    "log_limit_mib": int,
    "disk_reserve_mib": int,
    "inventory_seconds": (int, float),
    "sweep_seconds": (int, float),
    "orphan_grace_seconds": (int, float),
    "docker_timeout_seconds": (int, float),
    "nvml_seconds": (int, float),
    "log_level": str,
    "log_format": str,
    "admin_group": str,
    "trusted_group": str,
    "pins_directory": str,
    "pins_socket": str,
    "output_socket": str,
    "host_socket": str,
    "kernel_exit_status": bool,
}


_POSITIVE = (
    "cpu_slots",
    "log_limit_mib",
    "inventory_seconds",
    "sweep_seconds",
    "docker_timeout_seconds",
    "nvml_seconds",
)


def load(flags: Mapping[str, Any], env: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration; raises ``ConfigError`` that names the file, key and value.

    ``flags`` has the keys of ``Config``, ``config`` for the file, and None where not given.
    """
    given = {k: v for k, v in flags.items() if v is not None}
    system = os.getuid() == 0
    named = given.pop("config", None) or env.get("LAUNCHER_CONFIG")
    default = default_paths.SYSTEM_CONFIG if system else default_paths.own_config(env)
    values: dict[str, Any] = {
        "socket": default_paths.default_socket(env),
        "state_dir": default_paths.SYSTEM_STATE if system else default_paths.own_state(env),
        "docker_host": DEFAULT_DOCKER_HOST,
        "lock_dir": SYSTEM_LOCKS if system else None,
        "cpu_slots": os.cpu_count() or 1,
    }
    values |= _from_file(Path(named or default), required=named is not None)
    values |= {key: env[name] for key, name in _VARIABLES.items() if env.get(name)}
    values |= given
    for key in ("socket", "state_dir", "lock_dir"):
        values[key] = Path(values[key]).absolute() if values[key] else None
    return _checked(Config(system=system, **values))


def _checked(config: Config) -> Config:
    if len(str(config.socket).encode()) > 107:
        raise ConfigError(
            f"the socket path {config.socket} is longer than the 107 bytes that Linux allows",
            fix="Choose a shorter one with --socket or LAUNCHER_SOCKET.",
        )
    for name in _POSITIVE:
        if getattr(config, name) <= 0:
            raise ConfigError(f"{name} is {getattr(config, name)}, it must be more than 0")
    if config.disk_reserve_mib < 0:
        raise ConfigError(f"disk_reserve_mib is {config.disk_reserve_mib}, it must be 0 or more")
    if config.log_level not in ("debug", "info", "warning", "error"):
        raise ConfigError(f"log_level is {config.log_level!r}, not debug, info, warning or error")
    if config.log_format not in ("text", "json"):
        raise ConfigError(f"log_format is {config.log_format!r}, not text or json")
    return config


def _from_file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        if required:
            raise ConfigError(
                f"there is no configuration file {path}",
                fix="Make it, or leave out --config and LAUNCHER_CONFIG.",
            ) from None
        return {"rules": _rules({}, path)}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    foreign = _foreign(values.pop("foreign", {}), path)
    limits = limits_from(values.pop(LIMITS, {}), path)
    history = history_from(values.pop(HISTORY, {}), path)
    tables = {name: values.pop(name) for name in _TABLES if name in values}
    for key, value in values.items():
        if key not in _FILE_KEYS:
            known = ", ".join(
                [*_FILE_KEYS, *(f"[{name}]" for name in (*_TABLES, LIMITS, HISTORY, "foreign"))]
            )
            raise ConfigError(f"{path}: unknown key {key!r}", fix=f"Known: {known}")
        is_bool = _FILE_KEYS[key] is bool
        if not isinstance(value, _FILE_KEYS[key]) or isinstance(value, bool) != is_bool:
            kind = "text" if _FILE_KEYS[key] is str else _NUMBERS[_FILE_KEYS[key]]
            raise ConfigError(f"{path}: {key} is {value!r}, it must be {kind}")
    rules = _rules(tables, path)
    return values | foreign | {"rules": rules, "limits": limits, "history": history}


def _rules(tables: Mapping[str, Any], path: Path) -> Settings:
    policy = policy_from(tables, path, _own_policy())
    return dataclasses.replace(rules_from(tables, path), policy=policy)


def _own_policy() -> Policy:
    """Return the default policy on this machine, for a daemon of this user."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Policy(host_memory=memory, unbound=frozenset({0, os.getuid()}))


def _foreign(table: Any, path: Path) -> dict[str, tuple[str, ...]]:
    """Return what the table ``[foreign]`` says."""
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: foreign is {table!r}, it must be a table ([foreign])")
    for key in table.keys() - {"allow"}:
        raise ConfigError(f"{path}: unknown key {key!r} in [foreign]", fix="Known: allow")
    if "allow" not in table:
        return {}
    names = table["allow"]
    if not isinstance(names, list) or not all(isinstance(n, str) and n.strip() for n in names):
        raise ConfigError(f"{path}: foreign.allow is {names!r}, it must be a list of names")
    return {"foreign_allow": tuple(names)}
